"""Rows of Parquet files, read by row groups; to open them reads the footers alone."""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np
from dask.utils import natural_sort_key
from fsspec.implementations.local import LocalFileSystem
from numpy.typing import NDArray

from dask_igtm.data.places import PARQUET
from dask_igtm.data.table_columns import ALL, Choice, check_distinct, check_same_columns, chosen_columns

Rows = NDArray[Any]

BATCH_BYTES = 4 * 2**20  # decoded at a time, so that a row group is not held twice
HIDDEN = ("_", ".")  # how names begin of files that others write beside the rows, such as _SUCCESS
READERS = 8  # of footers at a time


@dataclass(frozen=True)
class RowGroups:
    """Row groups of some files, one after the other.

    Attributes
    ----------
    paths : tuple of str
        Paths or URLs of the files.
    groups : tuple of (int, int)
        Number of its file, and in that, of each row group that has rows.
    edges : tuple of int
        First row of each row group, and the row after the last.
    """

    paths: tuple[str, ...]
    groups: tuple[tuple[int, int], ...]
    edges: tuple[int, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each row group."""
        return tuple(stop - start for start, stop in itertools.pairwise(self.edges))

    def batches(self, start: int, stop: int, columns: Sequence[str], batch_rows: int) -> Iterator[Any]:
        """Yield record batches of Arrow with the rows from `start` on, of these columns alone.

        Raises
        ------
        FileNotFoundError
            If a file is not there.
        ValueError
            If a row group has other rows than when the files were opened.
        """
        first = bisect.bisect_right(self.edges, start) - 1
        last = bisect.bisect_left(self.edges, stop)
        numbered = range(first, last)
        for path, group in itertools.groupby(numbered, lambda number: self.paths[self.groups[number][0]]):
            with _opened(path) as file:
                for number in group:
                    self._check(file, path, number)
                    skip, left = max(0, start - self.edges[number]), min(stop, self.edges[number + 1])
                    left -= max(start, self.edges[number])
                    asked = {"row_groups": [self.groups[number][1]], "columns": list(columns)}
                    for batch in file.iter_batches(batch_rows, **asked):
                        part = batch.slice(skip, left)
                        skip, left = max(0, skip - batch.num_rows), left - part.num_rows
                        if part.num_rows:
                            yield part

    def _check(self, file: Any, path: str, number: int) -> None:
        group, n_rows = self.groups[number][1], self.edges[number + 1] - self.edges[number]
        found = file.metadata.num_row_groups
        if group >= found or file.metadata.row_group(group).num_rows != n_rows:
            raise ValueError(
                f"{path!r} has changed since it was opened: its row group {group} had {n_rows} rows; open it "
                "again."
            )


@dataclass(frozen=True)
class ParquetRows:
    """A table in Parquet files for `dask.array.from_array`, of which the columns of X alone are read.

    Attributes
    ----------
    row_groups : RowGroups
    columns : tuple of str
        Of X, by name.
    dtype : numpy.dtype
        float32 where all columns are, or else float64; gaps are NaN.
    ids : dict of str to (str, numpy.dtype)
        Names of the ids of the rows, the column of each in the files, and its type.
    """

    row_groups: RowGroups
    columns: tuple[str, ...]
    dtype: np.dtype[Any]
    ids: Mapping[str, tuple[str, np.dtype[Any]]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.row_groups.edges[-1], len(self.columns)

    @property
    def ndim(self) -> int:
        """Of a table: 2."""
        return 2

    @property
    def piece(self) -> tuple[int, int]:
        """Shape of the least that can be read at once: of the largest row group."""
        return max(self.row_groups.sizes), self.shape[1]

    def __getitem__(self, index: tuple[slice, ...]) -> Rows:
        """Return some rows; raises as `RowGroups.batches` does."""
        rows, columns = (part.indices(n) for part, n in zip(index, self.shape, strict=True))
        (found,) = self.walk(rows[:2])
        return found[:: rows[2], slice(*columns)]

    def walk(self, edges: Sequence[int]) -> Iterator[Rows]:
        """Yield the rows between neighbouring edges, which rise, and read each row group once for all."""
        height = max(1, BATCH_BYTES // (self.shape[1] * self.dtype.itemsize))
        batches = self.row_groups.batches(edges[0], edges[-1], self.columns, height)
        held = np.empty((0, self.shape[1]), self.dtype)
        for start, stop in itertools.pairwise(edges):
            block, filled = np.empty((stop - start, self.shape[1]), self.dtype), 0
            while filled < stop - start:
                if not len(held):
                    held = self._numbers(next(batches))
                part, held = held[: stop - start - filled], held[stop - start - filled :]
                block[filled : filled + len(part)] = part
                filled += len(part)
            yield block

    def _numbers(self, batch: Any) -> Rows:
        import pyarrow as pa  # noqa: PLC0415 - an extra

        kind = pa.from_numpy_dtype(self.dtype)
        rows = np.empty((batch.num_rows, self.shape[1]), self.dtype)
        for place, name in enumerate(self.columns):
            column = batch.column(batch.schema.get_field_index(name))
            rows[:, place] = column.cast(kind, safe=False).to_numpy(zero_copy_only=False)
        return rows

    def choose(self, columns: Sequence[str]) -> ParquetRows:
        """Return the rows with these columns in this order, if it has them all; the same rows if not."""
        if not columns or not set(columns) <= set(self.columns):
            return self
        return dataclasses.replace(self, columns=tuple(columns))

    def id_column(self, name: str) -> ParquetIds:
        """Return the ids of a name, not yet read."""
        return ParquetIds(self.row_groups, *self.ids[name])


@dataclass(frozen=True)
class ParquetIds:
    """A column of Parquet files for `dask.array.from_array`: what is neither number nor date as objects."""

    row_groups: RowGroups
    column: str
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int]:
        """Number of rows."""
        return (self.row_groups.edges[-1],)

    @property
    def ndim(self) -> int:
        """Of a column: 1."""
        return 1

    def __getitem__(self, index: tuple[slice]) -> Rows:
        """Return the ids of some rows; raises as `RowGroups.batches` does, and ValueError for a gap."""
        start, stop, step = index[0].indices(self.shape[0])
        parts = [np.empty(0, self.dtype)]
        for batch in self.row_groups.batches(start, stop, (self.column,), BATCH_BYTES // 8):
            column = batch.column(0)
            if column.null_count and self.dtype.kind in "iub":
                raise ValueError(
                    f"Some of the rows {start}:{stop} have no id in column {self.column!r}; give ids without "
                    "gaps."
                )
            parts.append(_values(column, self.dtype))
        return np.concatenate(parts)[::step]


def _values(column: Any, dtype: np.dtype[Any]) -> Rows:
    if dtype.kind != "O":
        return np.asarray(column.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)
    values = np.empty(len(column), object)
    values[:] = column.to_pylist()
    return values


def open_parquet(source: str, choice: Choice = ALL) -> ParquetRows:
    """Open a Parquet file, the files in a folder, or those that a pattern names; reads their footers alone.

    Parameters
    ----------
    source : path or URL
    choice : Choice
        Where no `index` is chosen, the index that pandas has written is the ids of the rows.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the files have no rows or differ in their columns, a folder has folders of partitions in it, or
        the choice does not fit.
    """
    paths = parquet_files(source)
    footers = _footers(paths)
    schema = footers[0][0]
    check_distinct(schema.names, repr(source))
    stored = _stored_index(schema)
    index = {name: name for name in choice.index} or stored
    index = {name: stored.get(name, column) for name, column in index.items()}
    own = set(stored.values())
    there = {name: numbers for name, numbers in _numeric(schema).items() if name not in own}
    asked = dataclasses.replace(choice, index=[column for column in index.values() if column not in own])
    columns = chosen_columns(there, asked, source)
    single = True
    everything = not choice.columns and columns != list(choice.of_fit)
    for path, (other, _) in zip(paths, footers, strict=True):
        taken = (*columns, *index.values())
        check_same_columns(path, taken, _numeric(schema), _numeric(other), everything=everything)
        single = single and all(str(other.field(name).type) == "float" for name in columns)
    groups = [
        (file, number, n_rows)
        for file, (_, sizes) in enumerate(footers)
        for number, n_rows in enumerate(sizes)
        if n_rows
    ]
    if not groups:
        raise ValueError(f"{source!r} has no rows; give a file that has some.")
    edges = itertools.accumulate((n_rows for *_, n_rows in groups), initial=0)
    row_groups = RowGroups(tuple(paths), tuple((file, number) for file, number, _ in groups), tuple(edges))
    ids = {name: (column, _id_type(schema.field(column).type)) for name, column in index.items()}
    return ParquetRows(row_groups, tuple(columns), np.dtype(np.float32 if single else np.float64), ids)


def names_in(rows: ParquetRows) -> list[str]:
    """Return the names of all columns of the first of the files; of an index of pandas those that it has."""
    with _opened(rows.row_groups.paths[0]) as file:
        schema = file.schema_arrow
    own = {column: name for name, column in _stored_index(schema).items()}
    return [own.get(name, name) for name in schema.names]


def parquet_files(source: str) -> list[str]:
    """Return the paths or URLs of one file, of those in a folder, or of a pattern, by their numbers."""
    files, _, paths = fsspec.core.get_fs_token_paths(source)
    if len(paths) == 1 and files.isdir(paths[0]):
        paths = _in_folder(files, paths[0], source)
    if not paths or not files.exists(paths[0]):
        raise FileNotFoundError(f"There is no file {source!r}.")
    local = isinstance(files, LocalFileSystem)
    named = sorted(paths, key=natural_sort_key)
    return [os.path.abspath(path) if local else files.unstrip_protocol(path) for path in named]


def is_parquet_folder(path: str) -> bool:
    """Whether a folder has files of Parquet in it, whatever it is called; a group of Zarr has none."""
    files, name = fsspec.core.url_to_fs(path)
    if not files.isdir(name) or files.exists(f"{name.rstrip('/')}/zarr.json"):
        return False
    return any(_name(entry).endswith(PARQUET) for entry in files.ls(name, detail=True))


def _in_folder(files: Any, folder: str, source: str) -> list[str]:
    files.invalidate_cache()
    found = [entry for entry in files.ls(folder, detail=True) if not _name(entry).startswith(HIDDEN)]
    inside = [_name(entry) for entry in found if entry["type"] == "directory"]
    if inside:
        raise ValueError(
            f"{source!r} has folders in it, such as {inside[0]!r}, as tables in partitions have; their names "
            f"are no columns here. Give a pattern of files, such as {source.rstrip('/')}/*/*.parquet."
        )
    return [entry["name"] for entry in found if _name(entry).endswith(PARQUET)]


def _name(entry: Any) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _footers(paths: Sequence[str]) -> list[tuple[Any, list[int]]]:
    """Return the schema of each file, and how many rows its row groups have."""

    def footer(path: str) -> tuple[Any, list[int]]:
        with _opened(path) as file:
            facts = file.metadata
            return file.schema_arrow, [facts.row_group(i).num_rows for i in range(facts.num_row_groups)]

    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(footer, paths))


def _opened(path: str) -> Any:
    """Open a file of Parquet, to be closed by `with`."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise ImportError(
            "Parquet is read by pyarrow; install it with: pip install 'dask_igtm[tables]'"
        ) from error
    files, name = fsspec.core.url_to_fs(path)
    try:
        # Ahead from where each request costs time; from a disk that would hold a row group twice.
        return pq.ParquetFile(name, filesystem=files, pre_buffer=not isinstance(files, LocalFileSystem))
    except FileNotFoundError:
        raise FileNotFoundError(
            f"There is no file {path!r} as {socket.gethostname()} sees it; give a path that every worker "
            "sees."
        ) from None
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path!r} cannot be read as Parquet ({error}); write it anew.") from None


def _stored_index(schema: Any) -> dict[str, str]:
    """Return the names of the index that pandas has written, and the column of each; none of row numbers."""
    about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
    columns = [name for name in about.get("index_columns", ()) if isinstance(name, str)]
    unnamed = [name for name in columns if name.startswith("__index_level_")]
    names = {name: f"level_{name[14:-2]}" if len(columns) > 1 else "index" for name in unnamed}
    return {names.get(name, name): name for name in columns if name in schema.names}


def _numeric(schema: Any) -> dict[str, bool]:
    return {name: _is_number(schema.field(name).type) for name in schema.names}


def _is_number(kind: Any) -> bool:
    from pyarrow import types  # noqa: PLC0415 - an extra

    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    return any(test(kind) for test in tests)


def _id_type(kind: Any) -> np.dtype[Any]:
    """Return the type of NumPy for ids; that of objects for words and whatever else."""
    from pyarrow import types  # noqa: PLC0415 - an extra

    if types.is_timestamp(kind) or types.is_date(kind):
        unit = "D" if types.is_date32(kind) else getattr(kind, "unit", "ms")
        return np.dtype(f"datetime64[{unit}]")
    known = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    return np.dtype(kind.to_pandas_dtype()) if known else np.dtype(object)
