"""All that a page tells of rows on a map, or on each map of an atlas, from one pass over them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.containers import opened
from dask_igtm.data.frames import category_order
from dask_igtm.data.row_arrays import sizes_message
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.row_names import Names, split_names
from dask_igtm.data.table_columns import check_distinct
from dask_igtm.data.table_ids import opened_with_ids
from dask_igtm.landscape.column_markers import marker_columns
from dask_igtm.landscape.from_rows import classes_of, density_of, names_of_values, property_of
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.landscape.rows_at_nodes import member_columns
from dask_igtm.model.checks import check_whole
from dask_igtm.model.map_tree import MapTree
from dask_igtm.passes.empty_rows import occupied
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.row_records import records_of, side_by_side
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.projection.columns import column_labels
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.labelled_rows import labels_beside, values_beside
from dask_igtm.projection.quality import N_NEIGHBORS, N_SAMPLE, WHO, Quality, quality_of, sample_of
from dask_igtm.projection.validate import fitted_map, map_estimator, names_of_fit, rows_of, seed_of
from dask_igtm.statistics import map_bins
from dask_igtm.statistics.map_bins import Spread
from dask_igtm.statistics.row_subsets import Sums
from dask_igtm.statistics.survey import Asked, Beside, Draw, Surveyed, surveys_of

Array = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

MOST_ENTRIES = 20_000  # of the tables of members and of markers, while each node has one
BELOW = 4  # times as much as of the root is told of all maps below it together
OWN_COLUMNS = ("node", "rank", "probability")  # of the table of members, beside the names of the rows


@dataclass(frozen=True)
class Survey:
    """All that a page tells of rows on a map.

    Attributes
    ----------
    plain, by_label, by_value : Spread or None
        Where the rows lie: `plain` without labels and without values of a single column, or else by each of
        these that there is.
    density : Landscape
        As `landscape.density`.
    classes : Landscape or None
        As `landscape.classes`, where there are labels.
    property : Landscape or None
        As `landscape.property`, where there are values.
    quality : Quality or None
        As `projection.quality`.
    without_quality : str
        Why there is none; empty where there is one.
    members : dict of str to ndarray of shape (S,)
        The columns of `landscape.members`: node, rank, the names of the rows, probability. A name that is
        one of the others has "of X" behind it. Rows without weight are no members.
    markers : dict of str to ndarray of shape (P,)
        The columns of `landscape.markers` of nodes weighted by these rows: node, rank, column, value, rest,
        difference. Empty for a map of one node.
    """

    plain: Spread | None
    by_label: Spread | None
    by_value: Spread | None
    density: Landscape
    classes: Landscape | None
    property: Landscape | None
    quality: Quality | None
    without_quality: str
    members: Columns
    markers: Columns


def survey(
    model: Any,
    X: Any,
    *,
    y: Any = None,
    labels: Any = None,
    ids: Any = None,
    sample_weight: Any = None,
    n_bins: int = 64,
    max_points: int = 5000,
    top: int = 5,
    n_markers: int = 5,
) -> Survey:
    """Tell all that a page shows of rows on a map; reads them once.

    Lazy weights are read once more, by themselves and before, for the sample of rows in which neighbours
    are sought.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X : as in `IGTM.table`; shape (n, D) without columns that are ids
    y : array, series or frame, in memory or lazy, of shape (n,) or (n, T), optional
        As in `landscape.property`.
    labels : array or series, in memory or lazy, of shape (n,), optional
        As in `landscape.classes`, and not more than a picture can tell apart.
    ids : str, sequence of str, or array or series of n, optional
        As in `IGTM.table`: what the rows are called.
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts.
    n_bins : int, default=64
        About how many bins a side of the map has; a whole number for each node.
    max_points : int, default=5000
        The most rows that are kept one by one.
    top : int, default=5
        The most members of a node.
    n_markers : int, default=5
        Markers of a node. Of these and of members there are fewer where the map has so many nodes that
        there would be more than 20,000; one at the least.

    Returns
    -------
    Survey

    Raises
    ------
    ValueError
        As `landscape.density`, `landscape.property`, `landscape.classes`, `plot.projection` and
        `IGTM.table`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM
    >>> X, y = load_iris(return_X_y=True)
    >>> found = survey(IGTM(k=8, scale="standard", solver="em").fit(X), X, labels=y)
    >>> found.classes.columns, list(found.members), found.quality.n_samples
    ((0, 1, 2), ['node', 'rank', 'row', 'probability'], 150)
    """
    asked = {"n_bins": n_bins, "max_points": max_points, "top": top, "n_markers": n_markers}
    igtm = map_estimator(model)
    read = _read(model, X, y, labels, ids, sample_weight)
    return _told(MapTree.of_root(igtm.model_), [igtm], read, **asked)[0]


def surveys(
    atlas: Any,
    X: Any,
    *,
    y: Any = None,
    labels: Any = None,
    ids: Any = None,
    sample_weight: Any = None,
    n_bins: int = 64,
    max_points: int = 5000,
    top: int = 5,
    n_markers: int = 5,
) -> list[Survey | None]:
    """Tell all that a page shows of rows on each map of an atlas; reads them once.

    Parameters
    ----------
    atlas : IGTMAtlas
        Fitted.
    X, y, labels, ids, sample_weight
        As in `survey`.
    n_bins, max_points, top, n_markers : int
        Of the root, as in `survey`. All maps below it have together at most 4 times as many bins, single
        rows, members and markers, and rows in which neighbours are sought, in equal shares; none has more
        of them than the root.

    Returns
    -------
    list of (Survey or None)
        By the numbers of maps: as `survey` of the map, where each row counts as often as it weighs, times the
        probability that it lies there. Members are the rows of the largest probability to lie there and at
        the node. None of a map where no row lies; classes or property are None where none of its rows has
        such.

    Raises
    ------
    ValueError
        As `survey`.
    """
    asked = {"n_bins": n_bins, "max_points": max_points, "top": top, "n_markers": n_markers}
    read = _read(atlas, X, y, labels, ids, sample_weight)
    root, below = _told(atlas.tree_, atlas.maps_, read, **asked)
    return [root, *below]


class _Read(NamedTuple):
    """Rows and what goes with them, checked; what is lazy is not read yet."""

    rows: RowBlocks
    beside: dict[str, da.Array]
    names: Names | None  # of the rows
    order: Sequence[Any] | None  # of the labels
    values: Sequence[str] | None  # names of the columns of y


def _read(model: Any, X: Any, y: Any, labels: Any, ids: Any, sample_weight: Any) -> _Read:
    y = opened(y)
    rest, names = split_names(opened_with_ids(X, ids, names_of_fit(model)), ids)
    names = None if names is None else _apart(names)
    table = opened(rest, names_of_fit(model))
    rows = rows_of(model, table, sample_weight)
    beside: dict[str, da.Array] = {}
    if labels is not None:
        beside["labels"] = labels_beside(table, rows, labels)
    if y is not None:
        beside["y"] = values_beside(table, rows, y)
    if names:
        beside["ids"] = records_of(rows.X, names, rows.remedy)
    values = None if y is None else names_of_values(table, y)
    return _Read(rows, beside, names, category_order(labels), values)


def _told(
    tree: MapTree, models: Sequence[Any], read: _Read, n_bins: int, max_points: int, top: int, n_markers: int
) -> tuple[Survey, list[Survey | None]]:
    """Return what is told of the root, and of each map below it; see `surveys`."""
    for name, number in (("n_bins", n_bins), ("top", top), ("n_markers", n_markers)):
        check_whole(name, number, least=1)
    sample, without = _sample(models[0], read.rows)
    n_below, asked, most_markers = len(models) - 1, [], []
    for number, model in enumerate(models):
        share = 1.0 if number == 0 else min(1.0, BELOW / n_below)
        n_nodes = len(model.nodes_)
        n_entries = max(1, int(share * MOST_ENTRIES) // n_nodes)
        edges = map_bins.edges_of(n_nodes, max(1, round(math.sqrt(share) * n_bins)))
        drawn = sample if number == 0 else Draw(0 if without else int(share * N_SAMPLE), _seed_of(model))
        asked.append(Asked(edges, int(share * max_points), min(top, n_entries), drawn))
        most_markers.append(min(n_markers, n_entries))
    found = _surveyed(read, tree, asked)
    root, *below = zip(models, found, most_markers, strict=True)
    return _survey(*root, read, without), [_survey_below(*each, read, without) for each in below]


def _survey(model: Any, found: Surveyed, n_markers: int, read: _Read, without: str) -> Survey:
    fitted = fitted_map(model)
    density = density_of(fitted, found.weights)  # which refuses rows of which none counts
    quality, without = _quality(fitted, found, without)
    return Survey(
        found.plain,
        found.by_label,
        found.by_value,
        density,
        None if found.classes is None else classes_of(fitted, found.classes, "estimated", read.order),
        None if found.values is None else property_of(fitted, found.values, read.values),
        quality,
        without,
        member_columns(found.members, read.names),
        _markers(fitted, column_labels(model), found.weights, n_markers),
    )


def _survey_below(model: Any, found: Surveyed, n_markers: int, read: _Read, without: str) -> Survey | None:
    """Return the same without labels or values where no row has one, and None where no row lies."""
    if found.weights.sum() < LEAST_WEIGHT:
        return None
    if found.classes is not None and found.classes.sums.sum() < LEAST_WEIGHT:
        found = dataclasses.replace(found, classes=None)
    if found.values is not None and found.values.weight.sum() < LEAST_WEIGHT:
        found = dataclasses.replace(found, values=None)
    return _survey(model, found, n_markers, read, without)


def _apart(names: Names) -> Names:
    """Return the names of rows, those apart that columns of the table of members have."""
    apart = [f"{name} of X" if name in OWN_COLUMNS else name for name in names]
    check_distinct(apart, "The index of X")
    return dict(zip(apart, names.values(), strict=True))


def _sample(model: Any, rows: RowBlocks) -> tuple[NDArray[np.int64], str]:
    """Return the numbers of the rows in which neighbours are sought, or why there are none."""
    if rows.starts is None:
        return np.empty(0, np.int64), sizes_message(WHO, rows.remedy, "store X in Zarr first")
    return sample_of(rows.numbered(WHO), N_SAMPLE, map_estimator(model).random_state), ""


def _seed_of(model: Any) -> int:
    return seed_of(map_estimator(model).random_state)


def _surveyed(read: _Read, tree: MapTree, asked: Sequence[Asked]) -> tuple[Surveyed, ...]:
    """Return what all rows tell of each map, from one pass."""
    records = side_by_side(read.beside) if read.beside else None
    function = _of_block if read.beside else _of_block_alone
    rows = dataclasses.replace(read.rows, y=records, skip_empty=False)  # for all are counted
    shared = (read.rows.skip_empty, tree, best_kernel(), asked)
    found: Sums = reduce(prepare(rows).numbered(), function, *shared, label="igtm-survey")
    return found.each


def _of_block_alone(X: Any, sample_weight: Any, numbers: Any, *arguments: Any) -> Sums:
    return _of_block(X, sample_weight, None, numbers, *arguments)


def _of_block(
    X: Any, sample_weight: Any, records: Any, numbers: Any, skip_empty: bool, *arguments: Any
) -> Sums:
    """Return what a block tells, without its empty rows where these are to be skipped."""
    beside = Beside() if records is None else Beside(**{name: records[name] for name in records.dtype.names})
    kept = occupied(X) if skip_empty else None
    if kept is None:
        return Sums(tuple(surveys_of(X, sample_weight, beside, numbers, *arguments)))
    weight = None if sample_weight is None else sample_weight[kept]
    found = surveys_of(X[kept], weight, beside.at(kept), numbers[kept], *arguments)
    return Sums(tuple(each.among(kept) for each in found))


def _quality(fitted: FittedMap, found: Surveyed, without: str) -> tuple[Quality | None, str]:
    """Return the quality, or why there is none."""
    sample: Any = found.sample.X
    if not without and sample.shape[0] <= 2 * N_NEIGHBORS:
        without = (
            f"{WHO} has {sample.shape[0]} of them, and {N_NEIGHBORS} neighbours of each are sought among "
            f"more than {2 * N_NEIGHBORS}."
        )
    if without:
        return None, without
    return quality_of(fitted, found.weights, found.log_likelihood, sample, N_NEIGHBORS), ""


def _markers(fitted: FittedMap, labels: list[Any], weight: Array, n: int) -> Columns:
    """Return the columns of the table of markers, names as objects."""
    if len(weight) == 1:
        return {name: np.empty(0) for name in ("node", "rank", "column", "value", "rest", "difference")}
    table = marker_columns(fitted, labels, weight, n)
    named = np.dtype(object if isinstance(labels[0], str) else np.int64)
    return table | {"column": np.array(table["column"], named)}
