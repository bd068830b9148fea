"""What a node or a region of the map means: the columns that lie most above or below the rest of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.frames import frame
from dask_igtm.landscape.from_rows import density
from dask_igtm.landscape.regions import node_mask
from dask_igtm.model.checks import check_whole
from dask_igtm.projection.columns import column_labels, in_noise
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.validate import fitted_map

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


def markers(model: Any, X: Any = None, n: int = 5, region: Any = None, sample_weight: Any = None) -> Any:
    """Name the columns that set a node, or a region, most apart from the rest of the map.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X : as in `IGTM.fit`; shape (n, D), optional
        Rows that weigh the nodes by how many of them lie there, from one pass. By default all nodes weigh
        alike, and so do those of a region, or of a rest, in which no row lies.
    n : int, default=5
        Columns of each node or of the region; all of them where there are fewer.
    region : int, sequence of int, (K,) bools, four floats, or (P, 2) numbers, optional
        Numbers of nodes, a mask of them, a box (x1_min, x1_max, x2_min, x2_max), or the corners of a polygon;
        it is told as one. By default each node is told by itself.
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts.

    Returns
    -------
    pandas.DataFrame
        `node`, unless there is a region; `rank`, from 1; `column`, its name, or its number where the fit knew
        none; `value`, the mean of the centres there, and `rest`, that of all others, in the units of the
        column; `difference`, how far `value` lies above `rest` in standard deviations of the map's noise in
        that column, by whose size columns are ranked, the first on ties.

    Raises
    ------
    ImportError
        If pandas is not installed.
    ValueError
        If the region is none, or the whole map, if there are weights and no X, or X is not as
        `IGTM.transform` wants it.

    Notes
    -----
    The noise of a column is `sqrt(noise_variance_)`; with `n_components` it is that of an axis in the units
    of the column, so that a column which the axes leave out is no marker.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, landscape
    >>> iris = load_iris(as_frame=True).data
    >>> igtm = IGTM(k=8, scale="standard", solver="em").fit(iris)
    >>> landscape.markers(igtm, iris, n=2, region=(-1.0, 0.0, -1.0, 1.0)).columns.tolist()
    ['rank', 'column', 'value', 'rest', 'difference']
    """
    check_whole("n", n, least=1)
    fitted, labels = fitted_map(model), column_labels(model)
    n_nodes = len(fitted.nodes)
    if X is None and sample_weight is not None:
        raise ValueError("sample_weight is given without X; give the rows that it weighs.")
    mask = None if region is None else node_mask(fitted.nodes, region)
    if n_nodes == 1 or (mask is not None and mask.all()):
        raise ValueError(
            f"region={region!r} is the whole map of {n_nodes} nodes, and no rest is left to set it apart "
            "from; give fewer of its nodes."
        )
    rows = None if X is None else density(model, X, sample_weight).support
    weight = np.ones(n_nodes) if rows is None else rows
    if mask is None:
        return frame(marker_columns(fitted, labels, weight, n), None)
    return frame(_columns(labels, _apart(fitted, weight, [mask], n)), None)


def marker_columns(fitted: FittedMap, labels: Sequence[Any], weight: Array, n: int) -> dict[str, Any]:
    """Return the columns of the table of markers of each node by itself, of a map of two or more.

    Parameters
    ----------
    fitted : FittedMap
    labels : sequence
        What its columns are called.
    weight : ndarray of shape (K,)
        By which nodes enter a mean.
    n : int
        Columns of each node; all of them where there are fewer.
    """
    table = _columns(labels, _apart(fitted, weight, _each(len(weight)), n))
    return {"node": np.arange(len(weight)).repeat(len(table["rank"]) // len(weight)), **table}


def _columns(labels: Sequence[Any], parts: Iterable[tuple[Any, ...]]) -> dict[str, Any]:
    rank, column, *figures = (np.concatenate(part) for part in zip(*parts, strict=True))
    table = {"rank": rank, "column": [labels[number] for number in column]}
    return table | dict(zip(("value", "rest", "difference"), figures, strict=True))


def _each(n_nodes: int) -> Iterator[Mask]:
    """Yield a mask of each node by itself."""
    for node in range(n_nodes):
        yield np.arange(n_nodes) == node


def _apart(fitted: FittedMap, weight: Array, masks: Iterable[Mask], n: int) -> Iterator[tuple[Any, ...]]:
    """Yield ranks, numbers of columns, their means within a mask and without, and their differences."""
    # By the few functions of the map, for the centres of wide maps are large.
    by_node = fitted.model.noise.natural  # with a function for each node, by which no more is multiplied
    functions, weights = in_noise(fitted.model)
    in_units = fitted.centers if by_node else fitted.weights
    for mask in masks:
        inside, rest = (_mean(None if by_node else functions, weight, part) for part in (mask, ~mask))
        difference = (inside - rest) @ weights  # in centred coordinates, where no offset rounds it
        columns = _largest(np.abs(difference), n)
        values = (mean @ in_units[:, columns] for mean in (inside, rest))
        yield np.arange(1, len(columns) + 1), columns, *values, difference[columns]


def _mean(functions: Array | None, weight: Array, mask: Mask) -> Array:
    """Return the means of functions over some nodes, which weigh alike where none has rows.

    None stands for functions that are 1 at a node of their own and 0 at all others.
    """
    weight = weight[mask]
    share = weight / weight.sum() if weight.sum() > 0 else np.full(len(weight), 1.0 / len(weight))
    if functions is None:
        means = np.zeros(len(mask))
        means[mask] = share
        return means
    return np.asarray(share @ functions[mask])


def _largest(sizes: Array, n: int) -> NDArray[np.intp]:
    """Return where the `n` largest numbers are, descending, the first on ties."""
    n = min(n, len(sizes))
    candidates = np.flatnonzero(sizes >= np.partition(sizes, -n)[-n])
    return candidates[np.argsort(-sizes[candidates], kind="stable")][:n]
