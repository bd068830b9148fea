"""The rows that are likeliest at each node of a map, or in a region of it, a few of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.tiles import Rows

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class NodeMembers:
    """The rows of the largest probabilities at each place, a node or the only region, in the order of places.

    Attributes
    ----------
    place : ndarray of shape (S,)
        Number of the node, 0 of a region.
    row : ndarray of shape (S,)
        Number of the row, counted from the first that was looked at.
    probability : ndarray of shape (S,)
        That the row lies there; float32, in which rounding by another size of blocks changes next to nothing.
        At a place it falls, and of equal ones the first rows come first.
    ids : ndarray of shape (S,) or None
        Id of the row, where rows come with ids.
    n_rows : int
        How many were looked at.
    top : int
        The most rows that are kept of a place.
    """

    place: Numbers
    row: Numbers
    probability: NDArray[np.float32]
    ids: NDArray[Any] | None
    n_rows: int
    top: int

    def __add__(self, other: NodeMembers) -> NodeMembers:
        """Keep the largest of both, where the rows of `other` come after these."""
        ids = None if self.ids is None or other.ids is None else np.concatenate([self.ids, other.ids])
        return _largest(
            np.concatenate([self.place, other.place]),
            np.concatenate([self.row, self.n_rows + other.row]),
            np.concatenate([self.probability, other.probability]),
            ids,
            self.n_rows + other.n_rows,
            self.top,
        )

    @property
    def rank(self) -> Numbers:
        """Which row of its place each is, (S,), counted from 0."""
        return _rank(self.place)


def of_rows(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str, region: Array | None, top: int
) -> NodeMembers:
    """Return the likeliest rows of a block at each node, or in a region.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ignored
    model : Model
    kernel : str
        Name of the kernel.
    region : ndarray of shape (K,) or None
        1 for the nodes of the region, 0 for others; None asks for each node by itself.
    top : int
        The most rows of a place.
    """
    return of_rows_with_ids(X, sample_weight, None, model, kernel, region, top)


def of_rows_with_ids(
    X: Rows,
    sample_weight: Array | None,
    ids: NDArray[Any] | None,
    model: Model,
    kernel: str,
    region: Array | None,
    top: int,
) -> NodeMembers:
    """Return the same with the ids of these rows, of (n,)."""
    del sample_weight
    numbers = np.arange(X.shape[0])
    found = [np.empty((3, 0))]
    for tile in posteriors(X, model, kernel):
        probability = _probabilities(tile, region)
        place, within = _candidates(probability, top)
        found.append(np.array([place, numbers[tile.rows][within], probability[place, within]]))
    place, row = (values.astype(np.int64) for values in np.hstack(found)[:2])
    probability = np.hstack(found)[2].astype(np.float32)
    kept = _largest(place, row, probability, None, X.shape[0], top)
    chosen = None if ids is None else ids[kept.row]
    return NodeMembers(kept.place, kept.row, kept.probability, chosen, kept.n_rows, top)


def _probabilities(tile: Posterior, region: Array | None) -> NDArray[np.float32]:
    """Return the probabilities of places (G, n); 0 of rows with nothing observed, which lie nowhere."""
    if region is None:
        probability = tile.responsibilities.T
    else:
        inside, whole = tile.expectations(np.column_stack([region, np.ones(len(region))])).T
        probability = (inside / whole)[None]  # those in float32 sum to 1 in float32
    seen = tile.weight(None)
    return np.ascontiguousarray(probability if seen is None else probability * seen, dtype=np.float32)


def _candidates(probability: NDArray[np.float32], top: int) -> tuple[NDArray[np.intp], ...]:
    """Return places and rows of all that may be among the largest `top` of their place."""
    n_rows = probability.shape[1]
    least = np.partition(probability, n_rows - top)[:, [n_rows - top]] if n_rows > top else 0
    return np.nonzero((probability >= least) & (probability > 0))


def _largest(
    place: Numbers,
    row: Numbers,
    probability: NDArray[np.float32],
    ids: NDArray[Any] | None,
    n_rows: int,
    top: int,
) -> NodeMembers:
    order = np.lexsort((row, -probability, place))
    order = order[_rank(place[order]) < top]
    chosen = None if ids is None else ids[order]
    return NodeMembers(place[order], row[order], probability[order], chosen, n_rows, top)


def _rank(place: Numbers) -> Numbers:
    """Return how many entries before each one have its place, of sorted places."""
    return np.arange(len(place)) - np.searchsorted(place, place)
