"""Rows of a region of a map, as rows to fit another map to."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.model.map_tree import MapTree
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.statistics.region_shares import RegionShares, RowsWithin, region_size

logger = logging.getLogger("dask_igtm")


def rows_in_region(rows: RowBlocks, model: Model, mask: NDArray[np.bool_]) -> RowBlocks:
    """Return `rows`, each with the weight that a region of a map has of it; one pass.

    Parameters
    ----------
    rows : RowBlocks
    model : Model
        The map.
    mask : ndarray of shape (K,)
        Its nodes in the region.

    Raises
    ------
    ValueError
        If next to no row lies there.
    """
    kernel = best_kernel()
    found = reduce(prepare(rows), region_size, model, kernel, mask.astype(np.float64), label="igtm-region")
    n_rows, total, inside, n_inside = found.tolist()
    if inside < LEAST_WEIGHT:
        raise ValueError(
            f"The region has {mask.sum()} nodes and no rows: their weight there is {inside:.2g} of "
            f"{total:.6g}; give a region in which rows lie."
        )
    logger.info("%.6g of %.6g rows lie in the region, by their weights", inside, total)
    tree = MapTree.of_root(model).divided(0, mask.astype(np.intp))
    tree = tree.with_shares(0, np.array([1.0 - inside / total, inside / total]))
    shares = RegionShares(tree, kernel, ((0, 1),), total / n_rows)
    return dataclasses.replace(rows, view=RowsWithin(shares, n_inside))
