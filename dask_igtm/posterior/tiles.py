"""Rows of a block a tile at a time: dense, and in the memory of this process; sparse ones as CSR."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

Rows = Any  # an ndarray of shape (n, D), or a scipy.sparse or CuPy array that can be cut into tiles of one


TILE_ROWS, TILE_NUMBERS = 4096, 2**22  # at most, where nothing else decides
WHOLE_IN_SINGLE = 2**24  # below it float32 has every whole number


def row_tiles(X: Rows, height: int = 0) -> Iterator[tuple[slice, NDArray[np.generic]]]:
    """Yield where a tile of at most `height` rows lies in `X`, and its rows as an ndarray.

    Sparse rows are made dense, and those of a GPU fetched, a tile at a time.
    """
    X = csr_of(X) if is_sparse(X) else X  # of the sparse formats, the one that cuts rows fast
    for rows in spans(X.shape, height):
        yield rows, dense(X[rows])


def spans(shape: tuple[int, int], height: int = 0) -> Iterator[slice]:
    """Yield where tiles of at most `height` rows lie."""
    n_rows, n_columns = shape
    height = height or max(1, min(TILE_ROWS, TILE_NUMBERS // n_columns))
    for start in range(0, n_rows, height):
        yield slice(start, min(start + height, n_rows))


def stack(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several blocks, or their weights, as those of one."""
    if len(parts) == 1:
        return parts[0]
    return vstack(parts, format="csr") if is_sparse(parts[0]) else np.concatenate(parts)


def is_sparse(X: Any) -> bool:
    """Whether rows are a matrix or an array of scipy.sparse."""
    return hasattr(X, "tocsr")


def csr_of(X: Rows) -> csr_array:
    """Return sparse rows as CSR that may be walked unseen, each entry once and in the order of the columns.

    Its numbers are float32 where that has all of them, or else float64. Raises as `check_sparse` does.
    """
    check_sparse(X)
    X = X.tocsr()
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()  # as numbers of their own type, like SciPy
    data = X.data if X.dtype in (np.float32, np.float64) else X.data.astype(_holding(X.data))
    csr = csr_array((data, X.indices, X.indptr), shape=X.shape)
    csr.has_canonical_format = True
    return csr


def check_sparse(X: Any) -> None:
    """Raise ValueError unless the arrays of sparse rows fit each other: SciPy would read past their ends."""
    if X.format == "csr":
        _check_parts(X.data, X.indices, X.indptr, X.shape)
        return
    try:
        if X.format in ("csc", "bsr"):
            # A new matrix of the same arrays, for the check may change what it looks at.
            type(X)((X.data, X.indices, X.indptr), shape=X.shape).check_format(full_check=True)
        elif X.format == "coo":
            type(X)((X.data, (X.row, X.col)), shape=X.shape)
    except ValueError as error:
        raise ValueError(f"X has sparse rows that are broken: {error}; make the matrix anew.") from None


def _check_parts(data: Any, indices: Any, indptr: Any, shape: tuple[int, int]) -> None:
    n_rows, n_columns = shape
    if len(indptr) != n_rows + 1 or indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise ValueError(
            f"X has sparse rows whose indptr does not rise from 0 over {n_rows} rows; make the matrix anew."
        )
    if not indptr[-1] <= min(len(data), len(indices)):
        raise ValueError(
            f"X has sparse rows whose indptr ends at {indptr[-1]}, and there are {len(data)} entries in "
            f"data and {len(indices)} in indices; make the matrix anew."
        )
    used = indices[: indptr[-1]]
    if len(used) and not (used.min() >= 0 and used.max() < n_columns):
        wrong = used.max() if used.max() >= n_columns else used.min()
        raise ValueError(
            f"X has sparse rows with an entry in column {wrong}, and {n_columns} columns; make the matrix "
            "anew, with the number of its columns as its shape."
        )


def _holding(numbers: NDArray[Any]) -> type[np.floating[Any]]:
    """Return float32 where it has all of some numbers, or else float64."""
    if numbers.dtype.kind == "f":
        return np.float32 if numbers.dtype == np.float16 else np.float64
    small = numbers.dtype.kind == "b" or numbers.dtype.itemsize <= 2 or numbers.size == 0
    if small or (numbers.max() < WHOLE_IN_SINGLE and numbers.min() > -WHOLE_IN_SINGLE):
        return np.float32
    return np.float64


def dense(rows: Any) -> NDArray[np.generic]:
    """Return a tile as an ndarray."""
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    return np.asarray(rows.get() if hasattr(rows, "get") else rows)
