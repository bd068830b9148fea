"""Which rows lie at the nodes of a map, or in a region of it, by their names."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dask_igtm.data.frames import frame
from dask_igtm.data.row_names import NUMBER, Names, split_names
from dask_igtm.data.table_columns import check_distinct
from dask_igtm.landscape.regions import node_mask
from dask_igtm.model.checks import check_whole
from dask_igtm.passes.empty_rows import occupied
from dask_igtm.passes.row_records import records_of
from dask_igtm.posterior.tree_posterior import on_map, paths_of
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.fitted_tree import FittedTree
from dask_igtm.projection.validate import fitted_maps, rows_of
from dask_igtm.statistics.node_members import NodeMembers, members_of


def members(
    model: Any,
    X: Any,
    ids: Any = None,
    top: int = 5,
    region: Any = None,
    map: int | str | None = None,  # noqa: A002
) -> Any:
    """Which rows lie at each node, or in a region: the likeliest of them, from one pass.

    Parameters
    ----------
    model : IGTM, IGTMClassifier, IGTMRegressor or IGTMAtlas
        Fitted.
    X : as in `IGTM.table`; shape (n, D) without columns that are ids
    ids : str, sequence of str, or array or series of n, optional
        As in `IGTM.table`: what the rows are called, by default the index of a frame, or row numbers.
    top : int, default=5
        The most rows of a node, or of the region.
    region : int, sequence of int, (K,) bools, four floats, or (P, 2) numbers, optional
        Numbers of nodes, a mask of them, a box (x1_min, x1_max, x2_min, x2_max), or the corners of a
        polygon, edges included; whole numbers in one dimension are nodes, fractions a box. By default
        each node stands by itself.
    map : int or str, optional
        Number or name of a map of an atlas, by default the root. Probabilities are then times that of the
        path to the map.

    Returns
    -------
    pandas.DataFrame
        Sorted, with the columns "node" (not of a region), "rank" from 1, the names of the row, and
        "probability" in float32: that the row lies at the node, which is its responsibility, or in the
        region, the sum of these. Equal ones are in the order of the rows. A node has as many rows as have
        a probability above 0 there; one far from all rows has some of next to none. What is in memory
        is `top` rows a node.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        As `density` and `IGTM.table`, and if the region is none or has no node in it, or there is no such
        map.

    Examples
    --------
    >>> import pandas as pd
    >>> from dask_igtm import IGTM, landscape
    >>> towns = pd.DataFrame({"x": [0.0, 0.1, 8.0], "y": [0.0, 0.2, 9.0]}, ["Ost", "Nord", "West"])
    >>> igtm = IGTM(k=2, m=2, scale="center", solver="em").fit(towns)
    >>> west = igtm.describe(towns.loc[["West"]], ["node"])["node"]
    >>> landscape.members(igtm, towns.rename_axis("town"), region=west)["town"].tolist()
    ['West']
    """
    check_whole("top", top, least=1)
    number, fitted = _chosen(model, map)
    mask = None if region is None else node_mask(fitted.nodes, region).astype(np.float64)
    rest, names = split_names(X, ids)
    check_distinct(("node", "rank", *(names or ()), "probability"), "The table of members")
    frame({}, None)  # which says now that pandas is not installed, and not after the pass
    rows = rows_of(model, rest)
    skip_empty = rows.skip_empty
    carried = names is not None and not rows.in_memory
    if names and carried:
        rows = dataclasses.replace(rows, y=records_of(rows.X, names, rows.remedy))
    function = _of_block_with_ids if carried else _of_block
    rows = dataclasses.replace(rows, skip_empty=False)  # for they are counted
    tree = None if number is None else (model.tree_, number)
    found: NodeMembers = fitted.reduce(rows, function, skip_empty, mask, top, tree, label="igtm-members")
    columns = member_columns(found, names)
    return frame(columns if region is None else {key: columns[key] for key in columns if key != "node"}, None)


def _chosen(model: Any, name: int | str | None) -> tuple[int | None, FittedMap]:
    """Return the map to look at, and its number in an atlas."""
    fitted = fitted_maps(model)
    if not isinstance(fitted, FittedTree):
        if name is not None:
            raise ValueError(
                f"map={name!r} is for an atlas, and {type(model).__name__} is one map; leave it out."
            )
        return None, fitted
    numbers = dict(enumerate(fitted.model.names))
    known = numbers | {other: number for number, other in numbers.items()}
    if name is not None and (isinstance(name, bool) or not isinstance(name, int | str) or name not in known):
        raise ValueError(f"map={name!r}; give a number or name of {numbers}.")
    found: Any = 0 if name is None else known[name] if isinstance(name, str) else name
    return found, fitted.maps[found]


def _of_block(X: Any, sample_weight: None, *arguments: Any) -> NodeMembers:
    return _of_block_with_ids(X, sample_weight, None, *arguments)


def _of_block_with_ids(
    X: Any, _: None, ids: Any, model: Any, kernel: str, skip_empty: bool, region: Any, top: int, tree: Any
) -> NodeMembers:
    """Return the likeliest rows of a block, empty ones left out that are to be skipped."""
    kept = occupied(X) if skip_empty else None
    some = X if kept is None else X[kept]
    ids = ids if ids is None or kept is None else ids[kept]
    probability = None
    if tree is not None:
        rows, values = on_map(paths_of(some, tree[0], kernel), tree[1])
        probability = np.zeros(some.shape[0])
        probability[rows] = values
    found = members_of(some, ids, model, kernel, region, top, probability)
    return found if kept is None else found.among(kept)


def member_columns(found: NodeMembers, names: Names | None) -> Names:
    """Return the columns of the table of members; names that are no ids of `found` are those of all rows."""
    order = {"node": found.place, "rank": found.rank + 1}
    return {**order, **_names_of(found, names), "probability": found.probability}


def _names_of(found: NodeMembers, names: Names | None) -> Names:
    if names is None:
        return {NUMBER: found.row}
    if found.ids is None:
        return {name: array[found.row] for name, array in names.items()}
    return {name: found.ids[name] for name in names}
