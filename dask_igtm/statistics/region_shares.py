"""How much of each row a region of a map has: the weights of rows in the maps within maps.

A row counts in a child by the responsibilities of the parent, summed over the region, times how much it
counts in the parent (Tino & Nabney 2002).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from dask_igtm.model.arrays import digest
from dask_igtm.model.map_tree import MapTree, TreeMap
from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.posterior import posteriors
from dask_igtm.posterior.tiles import Rows, csr_of, is_sparse
from dask_igtm.posterior.tree_posterior import ROWS
from dask_igtm.statistics.node_sums import weighted_tiles

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

EPS = 1e-9  # of the mean weight of a row in a region: less of it is left out
ENTRY_BYTES, NEAR = 12, 16  # of a weight; regions in which a row may have some
TINY = float(np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class RegionShares:
    """The weights of rows in some regions.

    Attributes
    ----------
    tree : MapTree
        With the shares of those regions.
    kernel : str
        Name of the kernel.
    regions : tuple of (int, int)
        The number of a map, and of its region.
    mean_weight : float
        Of all rows.
    """

    tree: MapTree
    kernel: str
    regions: tuple[tuple[int, int], ...]
    mean_weight: float = 1.0

    @property
    def digest(self) -> str:
        """Fingerprint of all that decides these weights, but what rounds otherwise on other machines."""
        tree = {name: array for name, array in self.tree.pack().items() if not name.endswith("_shares")}
        return digest(tree | {"wanted": np.array(self.regions)})

    def of(self, X: Rows, sample_weight: Array | None) -> csc_array:
        """Return the weights, (n, R), of the rows of a block, without those that are next to nothing."""
        check_weights(sample_weight)
        X = csr_of(X) if is_sparse(X) else X
        weight = np.ones(X.shape[0]) if sample_weight is None else np.asarray(sample_weight, np.float64)
        counted = np.flatnonzero(weight > 0)
        parts = [counted[start : start + ROWS] for start in range(0, len(counted), ROWS)]
        found: list[list[tuple[Indices, Array]]] = [[] for _ in self.regions]
        for rows in parts:
            self._descend(X, 0, rows, weight[rows], found)
        sizes = [sum(len(rows) for rows, _ in column) for column in found]
        nothing = (np.empty(0, np.int32), np.empty(0))
        entries = [nothing, *(entry for column in found for entry in column)]
        places, values = (np.concatenate(each) for each in zip(*entries, strict=True))
        ends = np.cumsum([0, *sizes])
        return csc_array((values, places.astype(np.int32), ends), shape=(X.shape[0], len(self.regions)))

    def _descend(
        self, X: Rows, number: int, rows: Indices, weight: Array, found: list[list[tuple[Indices, Array]]]
    ) -> None:
        """Add to `found` the rows of a block that lie in regions of a map and below, with their weights."""
        own = self.tree.maps[number]
        least = EPS * self.mean_weight * np.exp(self.tree.log_shares[number]) * own.shares
        shares = weight[:, None] * _inside(X[rows], own, self.kernel)
        for region, child in enumerate(own.children):
            kept = shares[:, region] >= max(least[region], TINY)
            if (number, region) in self._columns:
                found[self._columns[number, region]].append((rows[kept], shares[kept, region]))
            if child in self._needed:
                self._descend(X, child, rows[kept], shares[kept, region], found)

    @functools.cached_property
    def _columns(self) -> dict[tuple[int, int], int]:
        return {region: column for column, region in enumerate(self.regions)}

    @functools.cached_property
    def _needed(self) -> set[int]:
        """Numbers of the maps above the regions."""
        return {above for number, _ in self.regions for above in self.tree.path(number)}


@dataclass(frozen=True)
class RowsWithin:
    """A view of rows: those of one region, with their weights there.

    Attributes
    ----------
    shares : RegionShares
    n_rows : float
        About how many rows that leaves.
    """

    shares: RegionShares
    n_rows: float
    n_arrays: ClassVar[int] = 2
    row_bytes: ClassVar[int] = 8  # of what goes with a row

    def __call__(self, X: Rows, sample_weight: Array | None, *beside: Any) -> tuple[Any, ...]:
        """Return rows, weights and what goes with them."""
        X = csr_of(X) if is_sparse(X) else X
        found = self.shares.of(X, sample_weight)
        return (X[found.indices], found.data, *(each[found.indices] for each in beside))


@dataclass(frozen=True)
class RowsWithShares:
    """A view of rows: all of them, with their weights in each of several regions as their values.

    Attributes
    ----------
    shares : RegionShares
    n_rows : float
        How many rows there are.
    """

    shares: RegionShares
    n_rows: float
    n_arrays: ClassVar[int] = 3

    @property
    def row_bytes(self) -> int:
        """Bytes of what goes with a row, about: without clusters, rows have weight in most regions near."""
        return ENTRY_BYTES * min(len(self.shares.regions), NEAR)

    def __call__(self, X: Rows, sample_weight: Array | None, *beside: Any) -> tuple[Any, ...]:
        """Return rows, weights, those of the regions, and what goes with them."""
        return (X, sample_weight, self.shares.of(X, sample_weight), *beside)


View = RowsWithin | RowsWithShares


def region_size(X: Rows, sample_weight: Array | None, model: Model, kernel: str, mask: Array) -> Array:
    """Return sums over a block, (4,): rows, their weights, those in a region, and rows that count there."""
    total = np.zeros(4)
    for tile, weight in weighted_tiles(X, sample_weight, model, kernel):
        share = tile.expectations(mask[:, None])[:, 0]
        seen = np.count_nonzero((share > EPS) & (weight > 0))
        total += np.array([len(weight), weight.sum(), weight @ share, seen])
    return total


def _inside(X: Rows, own: TreeMap, kernel: str) -> Array:
    """Return the responsibilities of the regions of a map for some rows, (n, R)."""
    inside, masks = np.empty((X.shape[0], len(own.children))), own.masks
    for tile in posteriors(X, own.model, kernel):
        inside[tile.rows] = tile.expectations(masks)
    return inside
