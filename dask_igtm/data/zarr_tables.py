"""Tables of a Zarr group, written in chunks of whole rows that are whole or not there."""

from __future__ import annotations

import contextlib
import math
import socket
from collections.abc import Mapping
from typing import Any, NamedTuple

import fsspec
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import ContainsArrayError

from dask_igtm.data.codecs import CODEC, compressors
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.stored_tables import TEXT
from dask_igtm.data.zarr_labels import check_run

Rows = NDArray[Any]


class Table(NamedTuple):
    """An array of a group."""

    shape: tuple[int, ...]
    dtype: str
    fill: float | str  # which says that nothing was written
    chunk_rows: int

    @property
    def chunks(self) -> tuple[int, ...]:
        """Shape of a chunk, which holds whole rows."""
        return (min(self.chunk_rows, self.shape[0]), *self.shape[1:])

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk of numbers."""
        return math.prod(self.chunks) * np.dtype(self.dtype).itemsize


def create(path: str, tables: Mapping[str, Table]) -> None:
    """Make the tables that a group lacks, with nothing written."""
    group = zarr.open_group(path, mode="r+")
    for name, table in tables.items():
        if name in group:
            continue
        stored: Any = "auto" if table.dtype == TEXT else compressors(CODEC, table.chunk_bytes)
        with contextlib.suppress(ContainsArrayError):  # another run of the same label has just made it
            group.create_array(
                name,
                shape=table.shape,
                chunks=table.chunks,
                dtype=table.dtype,
                fill_value=table.fill,
                compressors=stored if group.metadata.zarr_format == 3 else "auto",  # 2 has others
            )


def missing_chunks(path: str, tables: Mapping[str, Table]) -> set[int]:
    """Return the numbers of the chunks along the rows that some table lacks, by the names in the store.

    What has its name is whole: Zarr renames files that it has written, and objects appear at once. Empty
    files, which a power cut may leave, count as missing.

    Raises
    ------
    ValueError
        If something else has the name of a table.
    """
    group = zarr.open_group(path, mode="r")
    files, root = fsspec.core.url_to_fs(path)
    files.invalidate_cache()  # others may have written meanwhile
    root = f"{root.rstrip('/')}/"
    found = {key.removeprefix(root) for key, facts in files.find(root, detail=True).items() if facts["size"]}
    missing: set[int] = set()
    for name, table in tables.items():
        array = _open(group, name, table)
        across = (0,) * (len(table.shape) - 1)
        for chunk in range(-(-table.shape[0] // table.chunks[0])):
            key = array and f"{name}/{array.metadata.encode_chunk_key((chunk, *across))}"
            if key not in found:
                missing.add(chunk)
    return missing


def _open(group: zarr.Group, name: str, table: Table) -> Any:
    """Return the array of a table, None where there is none; raise ValueError if it is another."""
    with contextlib.suppress(ValueError, TypeError):  # which zarr raises of damaged metadata
        found: Any = group.get(name)
        if found is None or _is(found, table):
            return found
    raise ValueError(
        f"{escaped(group.store_path)}/{name} is no array of shape {table.shape} and {table.dtype} in chunks "
        f"of {table.chunks}, as was made there; remove it, and call again to write it anew."
    )


def _is(found: zarr.Array[Any] | zarr.Group, table: Table) -> bool:
    return (
        isinstance(found, zarr.Array)
        and (found.shape, found.chunks) == (table.shape, table.chunks)
        and (found.dtype.kind in "TO" if table.dtype == TEXT else found.dtype == np.dtype(table.dtype))
        and str(found.fill_value) == str(np.asarray(table.fill, found.dtype))  # NaN is like itself then
    )


def write_rows(
    first_row: int, columns: tuple[Rows, ...], path: str, names: tuple[str, ...], run: str
) -> None:
    """Write consecutive rows of all tables; what begins and ends with a chunk is whole or not there.

    Raises
    ------
    FileNotFoundError
        If no group is at the path.
    FileExistsError
        If the group has come to belong to another run.
    """
    try:
        group = zarr.open_group(path, mode="r+")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no Zarr group at {path!r} as {socket.gethostname()} sees it; give a path that every "
            "worker sees."
        ) from None
    check_run(group, path, run)
    for name, rows in zip(names, columns, strict=True):
        _stores_all(group[name])[first_row : first_row + len(rows)] = rows


def _stores_all(array: Any) -> Any:
    """Return an array that stores also chunks that are all fill value, which would else pass for missing."""
    config: Any = {"write_empty_chunks": True}
    return zarr.Array(zarr.AsyncArray(array.metadata, array.store_path, config))
