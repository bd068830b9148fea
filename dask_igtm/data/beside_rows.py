"""What goes with the rows of a table at a path, by name: a column, an id, or an array of its own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.containers import Stored, array_in, as_dask
from dask_igtm.data.csv_files import CsvTable
from dask_igtm.data.frames import target_in
from dask_igtm.data.named_columns import NamedColumns
from dask_igtm.data.parquet_rows import ParquetIds, ParquetRows, names_in
from dask_igtm.data.places import NPY
from dask_igtm.data.plain_text import escaped, listed
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.data.stored_tables import ids_of
from dask_igtm.data.table_files import open_path
from dask_igtm.data.table_ids import table_ids
from dask_igtm.data.zarr_io import open_zarr
from dask_igtm.statistics.targets import missing, numbers_of

SHOWN = 12  # names in a message
WHOLE = 2**53  # below it float64 has every whole number


def labels_and_values(
    path: str, labels: str | None = None, y: Sequence[str] = (), of_fit: Sequence[str] = ()
) -> tuple[NamedColumns | None, NamedColumns | None]:
    """Return labels, and values, of the rows of a table at a path, lazily; None where they are not asked for.

    Parameters
    ----------
    path : path or URL
        Of the rows.
    labels : str, optional
        A column of Parquet or CSV, whether of numbers or not; an id of a Zarr group; or else the path or URL
        of a Zarr array, or the path of an NPY file, of a value a row. Whole numbers stay such where gaps have
        made fractions of them, and empty text is a gap.
    y : sequence of str
        The same, of numbers.
    of_fit : sequence of str
        Columns of a fit, which X has of a table that has others too.

    Raises
    ------
    ValueError
        If there is neither a column nor an array of a name, or an array has not one value a row; of values
        that are no numbers once they are read.
    """
    asked = [*([] if labels is None else [labels]), *y]
    table = open_path(path, of_fit)
    known = sorted(_names(table), key=lambda name: name in of_fit)  # those first that are rather meant
    wanted = list(dict.fromkeys(name for name in asked if name in known))
    if isinstance(table, ParquetRows) and wanted:
        table = open_path(path, of_fit, wanted)
    found = {name: _column(table, name) if name in known else _array(path, name, known) for name in asked}
    names = {name: name if name in known else _stem(name) for name in asked}
    values = [found[name].map_blocks(_numbers, name, dtype=np.float64, meta=np.empty(0)) for name in y]
    return (
        None if labels is None else NamedColumns(_as_labels(found[labels]), (names[labels],)),
        NamedColumns(_side_by_side(values), tuple(names[name] for name in y)) if values else None,
    )


def _names(table: Any) -> list[str]:
    """Return the names of what lies beside rows: of all columns of Parquet and CSV, of the ids of Zarr."""
    if isinstance(table, CsvTable):
        return list(table.frames[0].columns)
    return names_in(table) if isinstance(table, ParquetRows) else ids_of(table) or []


def _column(table: Any, name: str) -> da.Array:
    """Return what is in a table under a name; of Parquet whole numbers as floats, which have gaps."""
    if isinstance(table, CsvTable):
        if any(name not in frame.columns for frame in table.frames):
            raise ValueError(f"Some of the files have no column {escaped(name)}; choose what all files have.")
        return target_in(table.id_column(name))
    if isinstance(table, ParquetRows):
        column, kind = table.ids[name]
        dtype = np.dtype({"i": float, "u": float, "f": float, "b": object}.get(kind.kind, kind))  # with gaps
        stored = ParquetIds(table.row_groups, column, dtype)
        return da.from_array(stored, chunks=row_blocks(table).X.chunks[:1], meta=np.empty(0, dtype))
    _, ids = table_ids(table, [name]) or (table, None)
    return (ids or {})[name]


def _array(path: str, place: str, known: Sequence[str]) -> da.Array:
    """Return the array at a path of its own, (n,)."""
    try:
        opened = np.load(place, mmap_mode="r") if place.endswith(NPY) else open_zarr(place)
    except FileNotFoundError:
        columns = f"its columns are {listed(known, SHOWN)}" if known else "it has no columns to choose from"
        raise ValueError(
            f"{path!r} has no column {escaped(place)}, and there is no array at such a path; {columns}."
        ) from None
    held = array_in(opened, place, table=False)
    if held.ndim > 2 or held.shape[1:] not in ((), (1,)):
        raise ValueError(f"{place!r} has shape {held.shape}; give an array of one value a row.")
    array = as_dask(held, held.piece) if isinstance(held, Stored) else da.from_array(held)
    return array if array.ndim == 1 else array.map_blocks(np.ravel, drop_axis=1, dtype=array.dtype)


def _stem(place: str) -> str:
    """Return the name of what lies at a path, without its ending."""
    return os.path.splitext(os.path.basename(place.rstrip("/")))[0]


def _side_by_side(columns: Sequence[da.Array]) -> da.Array:
    if len(columns) == 1:
        return columns[0]
    return da.stack(columns, axis=1, allow_unknown_chunksizes=True).rechunk({1: -1})


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    try:
        return numbers_of(values)[:, 0]
    except ValueError as error:
        error.add_note(f"This is about column {escaped(name)}.")
        raise


def _as_labels(array: da.Array) -> da.Array:
    """Return labels, those that are numbers or text with their gaps as None."""
    if array.dtype.kind not in "fOTU":
        return array
    return array.map_blocks(_labels, dtype=object, meta=np.empty(0, object))


def _labels(values: Any) -> NDArray[Any]:
    labels = np.asarray(values).astype(object)
    labels[:] = [_label(value) for value in labels]
    labels[missing(labels)] = None
    return labels


def _label(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < WHOLE else value
    return None if isinstance(value, str) and not value else value
