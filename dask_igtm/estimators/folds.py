"""Folds of rows: drawn by their numbers or groups, lazily; or scikit-learn's splits of rows in memory."""

from __future__ import annotations

import hashlib
import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing

from dask_igtm.data.containers import is_lazy, is_xarray
from dask_igtm.data.cubes import is_dataset
from dask_igtm.data.frames import in_pandas
from dask_igtm.data.row_arrays import values_of
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.row_index import with_rows_of
from dask_igtm.fitting.row_parts import Chosen, in_given_parts, in_parts
from dask_igtm.model.checks import check_whole
from dask_igtm.statistics.row_subsets import Parts

WHO = "IGTMSearch"


@dataclass(frozen=True)
class Fold:
    """The parts of the rows to fit to, those to judge by, and the share of all rows to fit to."""

    train: Parts
    held_out: Parts
    share: float


@dataclass(frozen=True)
class Folds:
    """Rows in parts, and the folds that are made of these.

    Attributes
    ----------
    rows : RowBlocks
        With the part to which each belongs as `y`.
    each : tuple of Fold
    n_parts : int
    drawn : str
        What decides the part of a row, for checkpoints.
    """

    rows: RowBlocks
    each: tuple[Fold, ...]
    n_parts: int
    drawn: str


def folds_of(rows: RowBlocks, cv: Any, seed: int, X: Any, y: Any = None, groups: Any = None) -> Folds:
    """Divide rows into folds.

    Parameters
    ----------
    rows : RowBlocks
    cv : int, splitter of scikit-learn, or iterable of (train, test)
    seed : int
        Draws the folds where `cv` is their number.
    X, y, groups
        What the splitter is told; `groups` are kept together where `cv` is a number.

    Raises
    ------
    ValueError
        If `cv` is of another kind, needs rows in memory that are lazy, or its folds cannot be used.
    """
    if not isinstance(cv, numbers.Integral):
        return _split(rows, cv, X, y, groups)
    check_whole("cv", cv, least=2)
    n_folds = int(cv)
    edges = [fold / n_folds for fold in range(1, n_folds)]
    if groups is not None:
        groups = values_of(rows.X, with_rows_of(X, groups, "groups"), rows.in_memory, rows.remedy)
        if groups.ndim != 1:
            raise ValueError(f"groups has shape {groups.shape}; give (n,), one label a row.")
    parted = in_parts(rows, edges, seed, WHO, groups)
    each = tuple(
        Fold((*range(fold), *range(fold + 1, n_folds)), (fold,), 1 - 1 / n_folds) for fold in range(n_folds)
    )
    by = "rows" if groups is None else "groups"
    return Folds(parted, each, n_folds, f"{n_folds} folds of {by} drawn by {seed}")


def _split(rows: RowBlocks, cv: Any, X: Any, y: Any, groups: Any) -> Folds:
    if cv is None or isinstance(cv, (str, float)):
        raise ValueError(f"cv={cv!r}; give a number of folds, a splitter, or a list of (train, test).")
    if not rows.in_memory:
        raise ValueError(
            f"cv={cv!r} gives lists of rows, and X is lazy; give the number of folds, with groups= where "
            "rows belong together, or X in memory."
        )
    n_rows = int(rows.X.shape[0])
    splits = list(check_cv(cv).split(X, y, groups))
    if not splits:
        raise ValueError(f"cv={cv!r} gives no (train, test).")
    sides = [_belongs(side, n_rows) for split in splits for side in split]
    patterns, part = np.unique(np.packbits(sides, axis=0).T, axis=0, return_inverse=True)
    belongs = np.unpackbits(patterns, axis=1, count=len(sides)).astype(bool)  # (parts, 2 splits)
    part = part.reshape(-1)  # which is a column in NumPy 2.0
    each = tuple(
        Fold(_those(belongs[:, i]), _those(belongs[:, i + 1]), float(np.mean(sides[i])))
        for i in range(0, len(sides), 2)
    )
    digest = hashlib.sha256(np.ascontiguousarray(part, dtype=np.int64).data).hexdigest()[:16]
    parted = in_given_parts(rows, part, WHO)
    return Folds(parted, each, len(patterns), f"{len(splits)} splits {digest}")


def _belongs(side: Any, n_rows: int) -> NDArray[np.bool_]:
    """Return which rows a list or a mask of rows names, (n,)."""
    chosen = np.asarray(side)
    belongs = np.zeros(n_rows, bool)
    belongs[chosen.astype(np.intp) if chosen.size == 0 else chosen] = True
    if chosen.dtype != bool and belongs.sum() < len(chosen):
        raise ValueError(
            "cv names a row twice in one fold; give each once, and say by sample_weight how often it counts."
        )
    return belongs


def _those(belongs: NDArray[np.bool_]) -> Parts:
    return tuple(np.flatnonzero(belongs).tolist())


class HeldRows:
    """The rows of X in some parts as a user gives them, what is to be predicted of them, and weights."""

    def __init__(self, X: Any, y: Any, folds: Folds) -> None:
        rows = folds.rows
        self._lazy = is_nameless(X)
        self._X = rows.X if self._lazy else X
        self._weight, self._chosen = rows.sample_weight, Chosen(rows, folds.n_parts)
        self._y = None
        if y is not None:
            self._y = values_of(rows.X, with_rows_of(X, y, "y"), rows.in_memory, rows.remedy)

    def of(self, parts: Parts) -> tuple[Any, Any, Any]:
        """Return those rows, lazy where X is."""
        X = self._chosen.rows(self._X, parts) if self._lazy else _taken(self._X, self._chosen.places(parts))
        return X, self._chosen.rows(self._y, parts), self._chosen.rows(self._weight, parts)


def _taken(X: Any, places: Any) -> Any:
    """Return some rows of X in memory."""
    if is_xarray(X):
        return X[places]
    return _safe_indexing(X.tocsr() if hasattr(X, "tocsr") else in_pandas(X), places)


def is_nameless(X: Any) -> bool:
    """Whether some rows of X are taken as a dask array, without the names of its columns."""
    return is_lazy(X) or is_dataset(X)
