"""The ids that tables in files keep beside their rows: of Zarr groups, of Parquet, of CSV."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np

from dask_igtm.data.containers import opened
from dask_igtm.data.csv_files import CsvTable
from dask_igtm.data.parquet_rows import ParquetRows
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.data.stored_tables import ids_of
from dask_igtm.data.table_files import NamedTable, open_path
from dask_igtm.data.zarr_io import stored_rows

NATIVE = "iufbMO"  # kinds of types of ids that are as they are read; text of Zarr is none of NumPy 1


def table_ids(X: Any, ids: Any = None) -> tuple[Any, dict[str, da.Array] | None] | None:
    """Return a table in files and the ids of its rows, lazy in its blocks, or None; None of all else.

    Parameters
    ----------
    X : container
    ids : str, sequence of str, or None
        Names of some of its ids, or of columns of the Parquet or CSV at a path; None for all ids that it has.

    Raises
    ------
    ValueError
        If it has no ids or columns of these names.
    """
    wanted = (ids,) if isinstance(ids, str) else ids
    if wanted is not None and not (
        isinstance(wanted, list | tuple) and all(isinstance(i, str) for i in wanted)
    ):
        return None
    if isinstance(X, str | os.PathLike):
        X = open_path(os.fspath(X), index=wanted or ())
    known = list(X.ids) if isinstance(X, NamedTable) else ids_of(X)
    if not known:
        return (X, None) if isinstance(X, NamedTable) else None
    absent = [name for name in wanted or () if name not in known]
    if absent:
        raise ValueError(
            f"X has no id {', '.join(map(escaped, absent))}; its ids are {', '.join(map(escaped, known))}."
        )
    values = _of_csv if isinstance(X, CsvTable) else functools.partial(_of_store, row_blocks(X).X.chunks[0])
    rest = X if isinstance(X, NamedTable) else opened(X)
    return rest, {name: values(X, name) for name in wanted or known}


def opened_with_ids(X: Any, ids: Any, of_fit: Sequence[str]) -> Any:
    """Return what is at a path, with columns of a fit, and with ids if these are names; X if it is none."""
    if not isinstance(X, str | os.PathLike):
        return X
    named = isinstance(ids, list | tuple) and all(isinstance(name, str) for name in ids)
    return open_path(os.fspath(X), of_fit, [ids] if isinstance(ids, str) else ids if named else ())


def _of_csv(table: CsvTable, name: str) -> da.Array:
    return table.id_column(name).map_partitions(_objects, meta=np.empty(0, object))


def _of_store(sizes: tuple[int, ...], table: Any, name: str) -> da.Array:
    column = table.id_column(name) if isinstance(table, ParquetRows) else stored_rows(table[name])
    ids = da.from_array(column, chunks=(sizes,), meta=np.empty(0, column.dtype))
    return ids if column.dtype.kind in NATIVE else ids.map_blocks(_objects, dtype=object)


def _objects(values: Any) -> Any:
    return np.asarray(values, dtype=object)
