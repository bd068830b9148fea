"""All that a page tells of the rows of a block on a map, or on each map of a tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.map_tree import MapTree
from dask_igtm.model.model import Model
from dask_igtm.posterior.posterior import weighted_sum
from dask_igtm.posterior.tiles import Rows, csr_of, is_sparse
from dask_igtm.posterior.tree_posterior import on_map, paths_of
from dask_igtm.statistics import map_bins
from dask_igtm.statistics.map_bins import Places, Spread
from dask_igtm.statistics.node_members import NodeMembers, candidates, likeliest
from dask_igtm.statistics.node_sums import (
    ClassTotals,
    NodeTotals,
    classes_in,
    no_totals,
    sums_by_class,
    totals_of,
    weighted_tiles,
)
from dask_igtm.statistics.row_subsets import PickedRows, WeightedDraw, drawn_rows, pick
from dask_igtm.statistics.targets import numbers_of

Array = NDArray[np.float64]


class Draw(NamedTuple):
    """How many rows are drawn, and the seed of that."""

    size: int
    seed: int


class Asked(NamedTuple):
    """What is to be told of rows.

    Attributes
    ----------
    edges : ndarray of shape (B + 1,)
        Where bins begin and end along a side of the map.
    limit : int
        The most rows that are kept as points.
    top : int
        The most members of a node.
    sample : ndarray of shape (S,), or Draw
        Sorted numbers of the rows that are kept as they are, or how these are drawn by their weights.
    """

    edges: Array
    limit: int
    top: int
    sample: NDArray[np.int64] | Draw


class Beside(NamedTuple):
    """What goes with the rows of a block, each of it None where there is no such."""

    labels: NDArray[Any] | None = None  # (n,) or (n, 1)
    y: NDArray[Any] | None = None  # (n,) or (n, T)
    ids: NDArray[Any] | None = None  # (n,)
    on_map: Array | None = None  # (n,), probability that a row is of this map

    def at(self, kept: NDArray[np.bool_]) -> Beside:
        """Return the same of some of the rows."""
        return Beside(*(None if each is None else each[kept] for each in self))


@dataclass(frozen=True)
class Surveyed:
    """What is told of rows; None where it was not asked for.

    Attributes
    ----------
    plain, by_label, by_value : Spread or None
        Where the rows lie: all alike where they have neither labels nor a single value each, by these if not.
    weights : ndarray of shape (K,)
        Sums of the responsibilities.
    log_likelihood : float
        Sum of ln p(x) over the rows that have an entry.
    classes : ClassTotals or None
    values : NodeTotals or None
    members : NodeMembers
        Of each node; rows without weight are none.
    sample : PickedRows or WeightedDraw
    """

    plain: Spread | None
    by_label: Spread | None
    by_value: Spread | None
    weights: Array
    log_likelihood: float
    classes: ClassTotals | None
    values: NodeTotals | None
    members: NodeMembers
    sample: PickedRows | WeightedDraw

    def among(self, kept: NDArray[np.bool_]) -> Surveyed:
        """Return the same where these were the rows that `kept`, (n,), marks among others."""
        return replace(
            self,
            plain=self.plain and map_bins.among(self.plain, kept),
            by_label=self.by_label and map_bins.among(self.by_label, kept),
            by_value=self.by_value and map_bins.among(self.by_value, kept),
            members=self.members.among(kept),
        )

    def __add__(self, other: Surveyed) -> Surveyed:
        sums: dict[str, Any] = {}
        for name, part in vars(self).items():
            sums[name] = None if part is None else part + getattr(other, name)
        return Surveyed(**sums)


def survey_of(
    X: Rows,
    sample_weight: Array | None,
    beside: Beside,
    numbers: NDArray[np.int64],
    model: Model,
    kernel: str,
    asked: Asked,
) -> Surveyed:
    """Return what one block of rows tells, as do the functions of each part, which have an E-step each.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    beside : Beside
    numbers : ndarray of shape (n,)
        Of the rows in the whole of X.
    model : Model
    kernel : str
        Name of the kernel.
    asked : Asked

    Raises
    ------
    ValueError
        If labels are no labels, values no numbers, or X or the weights cannot be used.
    """
    n_rows, nodes, within = X.shape[0], model.basis.nodes, np.arange(X.shape[0])
    labels, codes = (None, within) if beside.labels is None else classes_in(beside.labels)
    values = None if beside.y is None else numbers_of(beside.y)
    places = Places(np.empty((n_rows, 2)), np.empty(n_rows))
    weights, log_likelihood, found = np.zeros(len(nodes)), 0.0, []
    by_class = None if labels is None else np.zeros((len(labels), len(nodes)))
    totals = None if values is None else no_totals(len(nodes), values.shape[1])
    for tile, weight in weighted_tiles(X, sample_weight, model, kernel):
        weights += tile.totals(weight[:, None])[:, 0]
        log_likelihood += weighted_sum(tile.log_likelihood, weight)
        places.means[tile.rows] = tile.expectations(nodes)
        places.log_likelihood[tile.rows] = tile.log_likelihood
        seen = None if weight.all() else weight > 0
        if beside.on_map is not None:
            seen = np.where(weight > 0, beside.on_map[tile.rows], 0.0)
        found.append(candidates(tile, within[tile.rows], None, asked.top, seen))
        if by_class is not None:
            by_class += sums_by_class(tile, weight, codes[tile.rows], len(by_class))
        if totals is not None and values is not None:
            totals += totals_of(tile.totals, weight, values[tile.rows])
    return Surveyed(
        **_spreads(places, sample_weight, beside.labels, values, beside.ids, asked),
        weights=weights,
        log_likelihood=log_likelihood,
        classes=None if labels is None or by_class is None else ClassTotals(labels, by_class.T),
        values=totals,
        members=likeliest(found, beside.ids, n_rows, asked.top),
        sample=_sample_of(X, sample_weight, numbers, asked.sample),
    )


def _sample_of(
    X: Rows, sample_weight: Array | None, numbers: NDArray[np.int64], sample: NDArray[np.int64] | Draw
) -> PickedRows | WeightedDraw:
    if not isinstance(sample, Draw):
        return pick(X, numbers, sample)
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    return drawn_rows(X, weight, numbers, *sample)


def surveys_of(
    X: Rows,
    sample_weight: Array | None,
    beside: Beside,
    numbers: NDArray[np.int64],
    tree: MapTree,
    kernel: str,
    asked: Sequence[Asked],
) -> Iterator[Surveyed]:
    """Yield what one block of rows tells of each map of a tree.

    A row counts on a map as often as it weighs, times the probability that it lies there, without which it
    is not looked at. The arguments are those of `survey_of`, with what is asked of each map.
    """
    root, *below = tree.maps
    yield survey_of(X, sample_weight, beside, numbers, root.model, kernel, asked[0])
    if not below:
        return
    X = csr_of(X) if is_sparse(X) else X
    paths = paths_of(X, tree, kernel)
    for number, (own, wanted) in enumerate(zip(below, asked[1:], strict=True), 1):
        rows, probability = on_map(paths, number)
        kept = np.zeros(X.shape[0], bool)
        kept[rows] = True
        weight = probability if sample_weight is None else probability * sample_weight[kept]
        its_own = beside.at(kept)._replace(on_map=probability)
        yield survey_of(X[kept], weight, its_own, numbers[kept], own.model, kernel, wanted).among(kept)


def _spreads(
    places: Places, sample_weight: Array | None, labels: Any, values: Array | None, ids: Any, asked: Asked
) -> dict[str, Spread | None]:
    """Return the spread of all rows alike, by their labels, and by their values; points tell their ids."""
    rows, bins = (places, sample_weight), (asked.edges, asked.limit)
    single = values is not None and values.shape[1] == 1
    spreads = {
        "plain": None if single or labels is not None else map_bins.spread(*rows, *bins),
        "by_label": None if labels is None else map_bins.spread_by_label(*rows, labels, *bins),
        "by_value": map_bins.spread_by_value(*rows, values, *bins) if single else None,
    }
    return {name: spread and map_bins.telling(spread, ids) for name, spread in spreads.items()}
