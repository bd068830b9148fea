"""The rows that are likeliest at each node of a map, or in a region of it, a few of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.tiles import Rows

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]

PARTS = 8  # of the rows of a tile, for each of the largest that are sought


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

    def among(self, kept: NDArray[np.bool_]) -> NodeMembers:
        """Return the same where these were the rows that `kept`, (n,), marks among others."""
        return replace(self, row=np.flatnonzero(kept)[self.row], n_rows=len(kept))

    @property
    def rank(self) -> Numbers:
        """Which row of its place each is, (S,), counted from 0."""
        return _rank(self.place)


def members_of(
    X: Rows,
    ids: NDArray[Any] | None,
    model: Model,
    kernel: str,
    region: Array | None,
    top: int,
    on_map: Array | None = None,
) -> NodeMembers:
    """Return the likeliest rows of a block at each node, or in a region.

    Parameters
    ----------
    X : array of shape (n, D)
    ids : ndarray of shape (n,) or None
        What the rows are called.
    model : Model
    kernel : str
        Name of the kernel.
    region : ndarray of shape (K,) or None
        1 for the nodes of the region, 0 for others; None asks for each node by itself.
    top : int
        The most rows of a place.
    on_map : ndarray of shape (n,), optional
        Probability that a row is of this map; 1 where there is no other.
    """
    numbers = np.arange(X.shape[0])
    found = (
        candidates(tile, numbers[tile.rows], region, top, tile.weight(on_map))
        for tile in posteriors(X, model, kernel)
    )
    return likeliest(found, ids, X.shape[0], top)


def candidates(tile: Posterior, numbers: Numbers, region: Array | None, top: int, seen: Any) -> Array:
    """Return places, numbers and probabilities, (3, S), of what of a few rows may be among the likeliest.

    Parameters
    ----------
    tile : Posterior
    numbers : ndarray of shape (n,)
        Of the rows in their block.
    region, top
        As in `members_of`.
    seen : ndarray of shape (n,) or None
        By what their probabilities are multiplied, such as 0 for those that lie nowhere; None for 1.
    """
    rows, probability = tile.by_node() if region is None else _within(tile, region)
    if seen is not None:
        inside = rows < len(seen)
        probability[:, inside] *= seen[rows[inside]].astype(np.float32)
    place, column = _candidates(probability, top)
    return np.array([place, numbers[rows[column]], probability[place, column]])


def likeliest(found: Iterable[Array], ids: NDArray[Any] | None, n_rows: int, top: int) -> NodeMembers:
    """Return the likeliest rows of a block of `n_rows`, of the candidates that its tiles have."""
    every = np.hstack([np.empty((3, 0)), *found])
    place, row = (values.astype(np.int64) for values in every[:2])
    kept = _largest(place, row, every[2].astype(np.float32), None, n_rows, top)
    chosen = None if ids is None else ids[kept.row]
    return NodeMembers(kept.place, kept.row, kept.probability, chosen, kept.n_rows, top)


def _within(tile: Posterior, region: Array) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return which row each column is, and the probabilities of a region, (1, n)."""
    inside, whole = tile.expectations(np.column_stack([region, np.ones(len(region))])).T
    probability = np.asarray(inside / whole, dtype=np.float32)  # those in float32 sum to 1 in float32
    return np.arange(len(probability)), probability[None]


def _candidates(probability: NDArray[np.float32], top: int) -> tuple[NDArray[np.intp], ...]:
    """Return places and rows of all that may be among the largest `top` of their place."""
    some = np.maximum(_least(probability, top), np.finfo(np.float32).smallest_subnormal)
    return np.divmod(np.flatnonzero(probability >= some), probability.shape[1])


def _least(probability: NDArray[np.float32], top: int) -> NDArray[np.float32]:
    """Return a number for each place, (G, 1), that its largest `top` reach, and few others.

    Of many rows it is the one of that rank among the largest of some parts, which are found far faster.
    """
    n_rows, n_parts = probability.shape[1], PARTS * top
    if n_rows > n_parts:
        whole = probability[:, : n_rows - n_rows % n_parts]
        probability = whole.reshape(len(whole), -1, n_parts).max(axis=1)
    elif n_rows <= top:
        return np.zeros((len(probability), 1), np.float32)
    rank = probability.shape[1] - top
    return np.partition(probability, rank)[:, [rank]]


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
