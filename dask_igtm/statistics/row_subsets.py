"""Some of the rows, chosen by their numbers, so that how they lie in blocks changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.tiles import Rows, csr_of, dense, is_sparse, stack
from dask_igtm.statistics.targets import distinct, labels_of

Array = NDArray[np.float64]
Parts = tuple[int, ...]


@dataclass(frozen=True)
class Sums:
    """Additive statistics side by side, each of which adds to its like."""

    each: tuple[Any, ...]

    def __add__(self, other: Sums) -> Sums:
        return Sums(tuple(one + another for one, another in zip(self.each, other.each, strict=True)))


def draw(numbers: NDArray[np.int64], seed: int, edges: Sequence[float]) -> NDArray[np.uint16]:
    """Return the part into which each row falls, whatever blocks the rows are divided into.

    Parameters
    ----------
    numbers : ndarray of shape (n,)
        Of the rows in the whole of X.
    seed : int
    edges : sequence of float
        Where in (0, 1] one part ends and the next begins; rows are spread evenly over [0, 1).
    """
    return np.searchsorted(edges, uniform(numbers, seed), side="right").astype(np.uint16)


def draw_groups(groups: NDArray[Any], seed: int, edges: Sequence[float]) -> NDArray[np.uint16]:
    """Return the part into which each row falls with all others of its group; see `draw`.

    A group is drawn by a digest of its label, which depends neither on blocks nor on the process.

    Raises
    ------
    ValueError
        If a label is missing, or none.
    """
    try:
        present, known = labels_of(groups)
        labels, which = distinct(known)
    except ValueError as error:
        error.add_note("This is about groups, whose labels are whole numbers, bools, strings or bytes.")
        raise
    if not present.all():
        raise ValueError(f"groups has {(~present).sum()} missing labels; give each row a group.")
    numbers = np.array([_number(label) for label in labels.tolist()], dtype=np.uint64)
    return draw(numbers.view(np.int64), seed, edges)[which]


def _number(label: float | str | bytes) -> int:
    """Return a number below 2^64: of whole numbers their own, whatever their type."""
    if isinstance(label, (str, bytes)):
        text = label.encode() if isinstance(label, str) else label
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
    return int(label) % 2**64


def uniform(numbers: NDArray[np.int64], seed: int) -> Array:
    """SplitMix64 (Steele, Lea & Flood 2014) at the place in its stream that each number says, in [0, 1)."""
    z = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def sums(
    X: Rows,
    sample_weight: Array | None,
    part: Any,
    function: Callable[..., Any],
    wanted: Sequence[tuple[Parts, tuple[Any, ...]]],
) -> Sums:
    """Return `function(X, sample_weight, *arguments)` of the rows of some parts of a block, several times.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    part : ndarray of shape (n,), or sparse array of shape (n, P)
        To which part each row belongs, or its weight in each part.
    function : callable
    wanted : sequence of (parts, arguments)
    """
    X, part = csr_of(X) if is_sparse(X) else X, by_parts(part)
    found: dict[int, Any] = {}
    for parts in dict.fromkeys(parts for parts, _ in wanted):  # so that rows are copied once for each union
        rows, weight = _belonging(part, parts, sample_weight)
        chosen = X[rows]
        for index, (its_parts, arguments) in enumerate(wanted):
            if its_parts == parts:
                found[index] = function(chosen, weight, *arguments)
    return Sums(tuple(found[index] for index in range(len(wanted))))


def by_parts(part: Any) -> Any:
    """Return to which part each row belongs, or the weights in each part, in the order they are read."""
    return part.tocsc() if is_sparse(part) else part


def weights_in(part: Any, parts: Parts, sample_weight: Array | None) -> Array:
    """Return the weight of each row of a block, (n,), in some parts; `part` as of `by_parts`."""
    weight = np.zeros(part.shape[0])
    rows, found = _belonging(part, parts, sample_weight)
    weight[rows] = 1.0 if found is None else found
    return weight


def _belonging(part: Any, parts: Parts, sample_weight: Array | None) -> tuple[NDArray[Any], Array | None]:
    """Return which rows of a block belong to some parts, and their weights there."""
    if part.ndim == 1:
        rows = np.isin(part, parts)
        return rows, None if sample_weight is None else sample_weight[rows]
    (column,) = parts  # of weights in parts one is looked at at a time
    entries = slice(*part.indptr[column : column + 2])
    return part.indices[entries], part.data[entries]


@dataclass(frozen=True)
class WeightedDraw:
    """Rows drawn by their weights, of which those of the smallest keys stay.

    Attributes
    ----------
    numbers : ndarray of shape (n,)
        Of the rows in the whole of X.
    keys : ndarray of shape (n,)
        Logarithms of times that are exponential, with the weights as rates (Efraimidis & Spirakis 2006). A
        row of weight w has the first of w rows of weight 1, so that the draw is one of repeated rows in which
        a row stands once.
    size : int
        How many rows to keep at most.
    rows : array of shape (n, D) or None
        The rows themselves, in float64 or as CSR, where these are wanted too.
    """

    numbers: NDArray[np.int64]
    keys: Array
    size: int
    rows: Rows | None = None

    def __add__(self, other: WeightedDraw) -> WeightedDraw:
        numbers = np.concatenate([self.numbers, other.numbers])
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys, kind="stable")[: self.size]
        both = self.rows is not None and other.rows is not None
        rows = stack([self.rows, other.rows])[order] if both else None
        return WeightedDraw(numbers[order], keys[order], self.size, rows)

    @property
    def X(self) -> Rows | None:  # noqa: N802 - as of PickedRows
        """The rows in the order in which X has them."""
        return None if self.rows is None else self.rows[np.argsort(self.numbers)]


def weighted_draw(
    weight: Rows, sample_weight: None, numbers: NDArray[np.int64], size: int, seed: int
) -> WeightedDraw:
    """Return the draw of a block whose rows have these weights (n, 1); rows without weight are left out."""
    del sample_weight
    rates = np.asarray(weight)[:, 0]
    check_weights(rates)
    numbers, rates = numbers[rates > 0], rates[rates > 0]
    times = -np.log1p(-np.maximum(uniform(numbers, seed), 2.0**-54))  # never 0
    keys = np.log(times) - np.log(rates)
    order = np.argsort(keys, kind="stable")[:size]
    return WeightedDraw(numbers[order], keys[order], size)


def drawn_rows(
    X: Rows, sample_weight: Array, numbers: NDArray[np.int64], size: int, seed: int
) -> WeightedDraw:
    """Return the draw of a block by the weights of its rows (n,), and the rows that are drawn."""
    found = weighted_draw(sample_weight[:, None], None, numbers, size, seed)
    return replace(found, rows=_as_they_are(X, np.searchsorted(numbers, found.numbers)))


@dataclass(frozen=True)
class PickedRows:
    """Rows (n, D), in float64 or as CSR; those of neighbouring blocks are added in their order."""

    X: Rows

    def __add__(self, other: PickedRows) -> PickedRows:
        return PickedRows(stack([self.X, other.X]))


def pick(X: Rows, numbers: NDArray[np.int64], chosen: NDArray[np.int64]) -> PickedRows:
    """Return the rows of neighbouring blocks whose numbers are among those `chosen`, which are sorted."""
    return PickedRows(_as_they_are(X, np.flatnonzero(np.isin(numbers, chosen))))


def _as_they_are(X: Rows, within: NDArray[np.intp]) -> Rows:
    return csr_of(X)[within] if is_sparse(X) else dense(X[within]).astype(np.float64)
