"""Tables of what a fitted map says of each row, written to Parquet, CSV or Zarr with the ids of the rows."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.parquet_parts import ParquetParts
from dask_igtm.data.places import PARQUET
from dask_igtm.data.row_blocks import RowBlocks, with_sizes
from dask_igtm.data.row_names import NUMBER, Names, split_names
from dask_igtm.data.stored_tables import check_id_names
from dask_igtm.data.table_ids import opened_with_ids
from dask_igtm.data.whole_outputs import Path, absolute, check_folder, check_new_file
from dask_igtm.data.whole_stores import remove_whole
from dask_igtm.passes.row_records import records_of
from dask_igtm.projection.parts import write_parts
from dask_igtm.projection.to_csv import project_to_csv
from dask_igtm.projection.to_zarr import ZarrParts
from dask_igtm.projection.validate import fitted_maps, names_of_fit, rows_of

CSV_FILE, ZARR = (".csv",), (".zarr",)  # of what is written, and not compressed


def check_ending(path: Path) -> str:
    """Return a path in full, or raise ValueError unless its ending says what is to be written."""
    target = absolute(path)
    if not target.endswith(PARQUET + CSV_FILE + ZARR):
        known = ", ".join(PARQUET + CSV_FILE + ZARR)
        raise ValueError(f"{str(path)!r} does not end as a table does; give one of {known}.")
    return target


def write_table(
    estimator: Any,
    X: Any,
    path: Path,
    outputs: Sequence[str],
    *,
    top: int = 5,
    ids: Any = None,
    resume: bool = True,
    overwrite: bool = False,
) -> None:
    """Write what `table` says of the rows, by the ending of the path; see `IGTM.write_table`."""
    fitted, target = fitted_maps(estimator), check_ending(path)
    refuse_own_input(target, X)
    chosen = fitted.outputs(outputs, top)
    if target.endswith(CSV_FILE):
        check_new_file(target, overwrite=overwrite)
    rest, names = split_names(opened_with_ids(X, ids, names_of_fit(estimator)), ids)
    to_zarr = target.endswith(ZARR)
    taken = [output.name for output in chosen] if to_zarr else [c for o in chosen for c in o.columns]
    check_id_names(tuple(names or ()), taken)
    rows = _with_names(rows_of(estimator, rest), names, numbered=not to_zarr)
    kinds = {} if rows.y is None else {name: rows.y.dtype[name] for name in rows.y.dtype.names}
    columns = kinds | {column: np.dtype(output.dtype) for output in chosen for column in output.columns}
    if target.endswith(CSV_FILE):
        project_to_csv(fitted, rows, target, chosen, columns, overwrite=overwrite)
        return
    place: Any = (
        ZarrParts(target, rows.X.shape[0], chosen, kinds) if to_zarr else ParquetParts(target, columns)
    )
    if overwrite and place.label() is not None:
        for folder in (target, os.path.dirname(target)):
            check_folder(folder)  # which is moved, and where it lies
        remove_whole(target)
    write_parts(fitted, rows, chosen, place, resume=resume)


def _with_names(rows: RowBlocks, names: Names | None, *, numbered: bool) -> RowBlocks:
    """Return rows in blocks of one size, with their names, or numbers, as records."""
    known = rows.counted()
    if known is not rows and names:
        names = {name: with_sizes(ids, known.X.chunks[0]) for name, ids in names.items()}
    known = known.regular()
    if names is None:
        names = {NUMBER: known.numbered("A table").y} if numbered else {}
    records = records_of(known.X, names, known.remedy) if names else None
    return dataclasses.replace(known, y=records)
