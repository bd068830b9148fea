"""Tables at a path or URL, opened by its ending: Parquet, CSV, or else Zarr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask_igtm.data.csv_files import CsvTable, open_csv
from dask_igtm.data.parquet_rows import ParquetRows, is_parquet_folder, open_parquet
from dask_igtm.data.places import CSV, PARQUET
from dask_igtm.data.table_columns import Choice
from dask_igtm.data.zarr_io import open_zarr

NamedTable = ParquetRows | CsvTable  # of files whose columns have names, some of which can be ids


def open_table(
    path: str,
    *,
    columns: Sequence[str] = (),
    drop: Sequence[str] = (),
    index: Sequence[str] | str = (),
) -> NamedTable:
    """Open a table in Parquet or CSV, to be given as X where not all of its columns are to be taken.

    Of Parquet the footers are read, and of CSV the first lines. CSV is parsed in every pass, so that what is
    fitted for long is better converted.

    Parameters
    ----------
    path : path or URL
        Of a Parquet file, of a folder of such, or of `.csv` or `.csv.gz`; also a pattern of several, such as
        `part-*.parquet`. Columns of several files are put together by their names.
    columns : sequence of str, optional
        Those to take. By default all that hold numbers; a warning names the others.
    drop : sequence of str, optional
        Columns to leave out, instead of those to take.
    index : str or sequence of str, optional
        Columns that are the ids of the rows, and none of X. By default the index that pandas has written to
        Parquet. Those of CSV are text as it stands there.

    Returns
    -------
    ParquetRows or CsvTable
        Lazy; `fit` and all else take it as X.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If `path` is of another kind, files differ in their columns, or the choice does not fit them.
    """
    ids = (index,) if isinstance(index, str) else tuple(index)
    table = _opened(path, Choice(columns, drop, ids))
    if table is None:
        raise ValueError(
            f"{path!r} is neither Parquet nor CSV, whose columns have names to choose by; give its path as X."
        )
    return table


def open_path(path: str, of_fit: Sequence[str] = (), index: Sequence[str] = ()) -> Any:
    """Return what is at a path as X: an array or group of Zarr, or a table of Parquet or CSV.

    `of_fit` are columns of a fit: a table that has them all may have others too. Those of `index` are ids.
    Raises as `open_table` and `open_zarr` do.
    """
    table = _opened(path, Choice(of_fit=of_fit, index=index))
    return open_zarr(path) if table is None else table


def _opened(path: str, choice: Choice) -> NamedTable | None:
    """Return a table of Parquet or CSV, None where neither is said to be there."""
    name = path.rstrip("/").lower()
    if name.endswith(CSV):
        return open_csv(path, choice)
    return open_parquet(path, choice) if name.endswith(PARQUET) or is_parquet_folder(path) else None
