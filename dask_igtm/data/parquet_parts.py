"""Folders of Parquet that are written a part at a time, each whole or not there, by one run at a time.

What a folder is stands in a file among the parts. Until all of them are there it is no Parquet, so that
whoever reads the folder is told, instead of taking some of the rows for all; then it is Parquet without rows,
which no reader notices.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import fsspec
import numpy as np

from dask_igtm.data.disks import OTHER_THING
from dask_igtm.data.json_text import dumps
from dask_igtm.data.stored_tables import as_text
from dask_igtm.data.whole_outputs import FILE, FOLDER, check_kind, create_whole, is_url, real, write_whole
from dask_igtm.data.zarr_labels import ATTRIBUTE, Label, check_label

LABEL = "projection.parquet"
MAGIC = b"PAR1"  # with which a file of Parquet begins
NATIVE = "iufbM"  # kinds of types of ids that Parquet has; others become text


@dataclass(frozen=True)
class ParquetParts:
    """A folder of Parquet.

    Attributes
    ----------
    path : str
    columns : dict of str to numpy.dtype
        Names and types of the columns, in order.
    """

    path: str
    columns: Mapping[str, Any]

    def label(self) -> Label | None:
        """Return what is said of the folder, None where nothing is.

        Raises
        ------
        FileExistsError
            If something else is there.
        """
        check_kind(self.path, FILE, FOLDER)
        files, name = fsspec.core.url_to_fs(self.path)
        files.invalidate_cache()
        if not files.exists(name) or (
            files.isdir(name) and all(key.endswith(".part") for key in files.ls(name, detail=False))
        ):
            return None
        try:
            return _label_in(files.cat_file(f"{name}/{LABEL}"))
        except (*OTHER_THING, KeyError, ValueError):
            raise FileExistsError(
                f"There is something at {self.path!r} that is no projection by dask_igtm; give another path, "
                "or remove it."
            ) from None

    def claim(self, label: Label) -> bool:
        """Make the folder with a label where nothing is; return False where another run was first."""
        if not is_url(self.path):
            os.makedirs(real(self.path), exist_ok=True)
        try:
            create_whole(f"{self.path}/{LABEL}", dumps(label).encode())
        except FileExistsError:
            return False
        return True

    def set_label(self, label: Label) -> None:
        """Put another label in the place of that of the folder."""
        content = self._without_rows(label) if label["complete"] else dumps(label).encode()
        write_whole(f"{self.path}/{LABEL}", content)

    def create(self, _height: int) -> None:
        """Make nothing: a part needs no more than the folder."""

    def missing(self, n_parts: int, _height: int) -> set[int]:
        """Return the numbers of the parts that are not there; empty files, of a power cut, are none."""
        files, root = fsspec.core.url_to_fs(self.path)
        files.invalidate_cache()  # others may have written meanwhile
        found = {entry["name"].rpartition("/")[2] for entry in files.ls(root, detail=True) if entry["size"]}
        return {part for part in range(n_parts) if _name(part) not in found}

    def write(self, first_row: int, arrays: tuple[Any, ...], height: int, run: str) -> None:
        """Write a part: the columns of some arrays, and of the records that may follow them.

        Raises
        ------
        FileNotFoundError
            If the folder is not there.
        FileExistsError
            If it has come to belong to another run.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

        self.check_run(run)
        buffer = _buffer()
        pq.write_table(table_of(self.columns, arrays), buffer)
        write_whole(f"{self.path}/{_name(first_row // height)}", buffer.getvalue().to_pybytes())

    def check_run(self, run: str) -> None:
        """Raise as `write` does."""
        label = self.label()
        if label is None:
            raise FileNotFoundError(
                f"There is no projection at {self.path!r} as {socket.gethostname()} sees it; give a path "
                "that every worker sees."
            )
        check_label(label, self.path, run)

    def _without_rows(self, label: Label) -> bytes:
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra

        buffer = _buffer()
        about = schema_of(self.columns).with_metadata({ATTRIBUTE: dumps(label)})
        pq.write_table(about.empty_table(), buffer)
        content: bytes = buffer.getvalue().to_pybytes()
        return content


def schema_of(columns: Mapping[str, Any]) -> Any:
    """Return the schema of Arrow for columns of these names and types; objects are text."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    types = {name: np.dtype(kind) for name, kind in columns.items()}
    return pa.schema(
        [
            (name, pa.from_numpy_dtype(kind) if kind.kind in NATIVE else pa.string())
            for name, kind in types.items()
        ]
    )


def table_of(columns: Mapping[str, Any], arrays: tuple[Any, ...]) -> Any:
    """Return a table of Arrow: the fields of the records among the arrays, then the columns of the others."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    ids = [array[name] for array in arrays if array.dtype.names for name in array.dtype.names]
    others = [array for array in arrays if not array.dtype.names]
    flat = [column for array in others for column in (array.T if array.ndim > 1 else [array])]
    schema = schema_of(columns)
    values = [
        _text(column) if pa.types.is_string(kind) else np.ascontiguousarray(column)
        for column, kind in zip([*ids, *flat], schema.types, strict=True)
    ]
    return pa.table([pa.array(part, kind) for part, kind in zip(values, schema.types, strict=True)], schema)


def _text(values: Any) -> list[str | None]:
    """Return ids as text, None for a gap."""
    return [text or None for text in as_text(values)]


def _buffer() -> Any:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    return pa.BufferOutputStream()


def _label_in(content: bytes) -> Label:
    import pyarrow as pa  # noqa: PLC0415 - an extra
    import pyarrow.parquet as pq  # noqa: PLC0415

    text: Any = content
    if content.startswith(MAGIC):
        text = (pq.read_schema(pa.BufferReader(content)).metadata or {})[ATTRIBUTE.encode()]
    label: Label = json.loads(text)
    return label


def _name(part: int) -> str:
    return f"part-{part:05d}.parquet"
