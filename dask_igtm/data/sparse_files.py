"""Tables in files of sparse matrices: NPZ of SciPy, Matrix Market, and the X of AnnData's H5AD."""

from __future__ import annotations

import gzip
import itertools
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
import numpy as np
import scipy.io
import scipy.sparse
from scipy.sparse import csr_array

from dask_igtm.data.containers import array_in, check_table
from dask_igtm.data.csr_rows import CsrRows, csr_rows
from dask_igtm.data.encodings import BY_COLUMNS, encoding_of
from dask_igtm.data.rechunk import Columns
from dask_igtm.data.table_columns import check_distinct
from dask_igtm.data.user_warnings import warn
from dask_igtm.data.whole_outputs import is_url
from dask_igtm.posterior.tiles import check_sparse, is_sparse

# Names of the columns, where they have some, and the rows with their ids.
Table = tuple[list[str] | None, Iterator[Columns]]

OBS_NAMES = "obs_names"  # as AnnData calls the index of its rows
READ_BYTES = 16 * 2**20  # of rows at a time
# What readers raise of files that are empty, cut or of another kind.
DAMAGED = (ValueError, EOFError, KeyError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error)


def npz_rows(source: str) -> Iterator[Any]:
    """Return the rows of a matrix that `scipy.sparse.save_npz` wrote, in one part."""
    with fsspec.open(source, "rb") as file:
        try:
            X = scipy.sparse.load_npz(file)
        except DAMAGED as error:
            raise ValueError(
                f"{source!r} holds no sparse matrix of scipy.sparse.save_npz ({error}); an array of "
                "numpy.savez is converted from .npy, see numpy.save."
            ) from None
    return _whole(X, source)


def mtx_rows(source: str) -> Iterator[Any]:
    """Return the rows of a file of Matrix Market as they stand there, in one part."""
    with fsspec.open(source, "rb", compression="infer") as file:
        try:
            X = scipy.io.mmread(file)
        except DAMAGED as error:
            raise ValueError(
                f"{source!r} holds no table of Matrix Market ({error}); write it anew."
            ) from None
    return _whole(X, source)


def h5ad_rows(source: str, index: Sequence[str] = ()) -> Table:
    """Return names of the variables, and the rows of the X in a file of AnnData, some at a time.

    The only `index` that they may have beside them is "obs_names", or what the file calls it.
    """
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError("H5AD is read by h5py; install it with: pip install 'dask_igtm[cells]'") from error
    if is_url(source):
        raise ValueError(f"{source!r} is a URL, and H5AD is read from a disk; copy the file there first.")
    with h5py.File(source, "r") as file:
        if "X" not in file:
            raise ValueError(f"{source!r} has no X; give a file that has one.")
        X = file["X"]
        if encoding_of(X) == BY_COLUMNS:
            rows_of_transpose = csr_rows(X, source, transposed=True)
            (transpose,) = rows_of_transpose.walk((0, rows_of_transpose.shape[0]))
            rows: Any = _whole(transpose.T, source)
        else:
            held = array_in(X, source)
            check_table(held)
            rows = _parts(held)
        return _names(file, source), _with_ids(rows, [_obs_names(file, source, name) for name in index])


def _obs_names(file: Any, source: str, name: str) -> Any:
    """Return what AnnData calls the rows."""
    index = file["obs"].attrs.get("_index", "_index") if "obs" in file else None
    if index not in file.get("obs", ()) or name not in (OBS_NAMES, index):
        raise ValueError(
            f"{source!r} has no ids of rows called {name!r}; give {OBS_NAMES!r}, if it has names of the rows."
        )
    return file["obs"][index].asstr()[:]


def _with_ids(rows: Iterator[Any], ids: Sequence[Any]) -> Iterator[Columns]:
    start = 0
    for part in rows:
        stop = start + part.shape[0]
        yield part, *(values[start:stop] for values in ids)
        start = stop


def _names(file: Any, source: str) -> list[str] | None:
    """Return what AnnData calls the variables; None where two have the same name."""
    index = file["var"].attrs.get("_index", "_index") if "var" in file else None
    if index is None or index not in file["var"]:
        return None
    names: list[str] = file["var"][index].asstr()[:].tolist()
    try:
        check_distinct(names, repr(source))
    except ValueError as error:
        warn(f"{error} They are left out.")
        return None
    return names


def _parts(rows: Any) -> Iterator[Any]:
    n_rows, n_columns = rows.shape
    entries = rows.nnz / n_rows if isinstance(rows, CsrRows) else n_columns
    height = max(1, int(READ_BYTES / (max(entries, 1) * rows.dtype.itemsize)))
    edges = [*range(0, n_rows, height), n_rows]
    if isinstance(rows, CsrRows):
        yield from map(_canonical, rows.walk(edges))
        return
    for start, stop in itertools.pairwise(edges):
        yield rows[(slice(start, stop), slice(0, n_columns))]


def _whole(X: Any, source: str) -> Iterator[Any]:
    check_table(X)
    if not is_sparse(X):
        yield np.asarray(X)
        return
    try:
        check_sparse(X)
    except ValueError as error:
        error.add_note(f"This happened in {source!r}.")
        raise
    yield _canonical(csr_array(X))


def _canonical(X: csr_array) -> csr_array:
    """Return rows that passes need not sort."""
    X.sum_duplicates()
    return X
