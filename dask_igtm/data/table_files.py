"""Tables in files of CSV and Parquet: their names and their rows, several files put together by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dask
import fsspec
import numpy as np
from dask.system import CPU_COUNT
from dask.utils import natural_sort_key
from numpy.typing import NDArray

from dask_igtm.data.column_names import check_distinct, column_names

Rows = NDArray[Any]
# Fields that pandas takes for gaps or bools, in lower case.
NO_NAMES = {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "true", "false"}

Table = tuple[list[str] | None, Iterator[Rows]]  # names of the columns, where they have some, and the rows


def parquet_rows(source: str, columns: Sequence[str]) -> Table:
    """Return the table in one Parquet file, or in all that a pattern names; see `convert`."""
    return _table(source, _dataframes().read_parquet, columns)


def csv_rows(source: str, columns: Sequence[str], *, header: bool | None) -> Table:
    """Return the table in one CSV file, or in all that a pattern names; see `convert`."""
    frames = _dataframes()
    if columns and header is False:
        raise ValueError(f"{source!r} has no names to choose columns by; convert it without --columns.")

    def read(path: str) -> Any:
        first, *rows = _beginning(path)
        if header is not False:
            _check_header(path, first, certain=header is True, chosen=bool(columns))
        compressed = {"blocksize": None} if path.endswith(".gz") else {}
        named = {"header": None} if header is False else {}
        # A column may hold whole numbers at first, and gaps or fractions further down.
        frame = frames.read_csv(path, assume_missing=True, **named, **compressed)
        return frame if rows or header is False else frame.astype(float)  # which no row gives a type

    return _table(source, read, columns)


def _table(source: str, read: Callable[[str], Any], columns: Sequence[str]) -> Table:
    frames = {path: read(path) for path in _files(source)}
    first = next(iter(frames.values()))
    check_distinct(columns, "The choice")
    absent = [name for name in columns if name not in first.columns]
    if absent:
        there = ", ".join(map(str, first.columns))
        raise ValueError(f"{source!r} has no column {', '.join(absent)}; it has {there}.")
    names = list(columns) or list(first.columns)
    for path, frame in frames.items():
        _check_columns(path, frame, names, all_of_them=not columns)
    parts = [part for frame in frames.values() for part in frame[names].to_delayed()]
    single = all(dtype == np.float32 for frame in frames.values() for dtype in frame[names].dtypes)
    stored = names if column_names(first) else None
    return stored, _computed(parts, np.float32 if single else np.float64)


def _files(source: str) -> list[str]:
    """Return the paths or URLs of the files that a pattern names, in the order of their numbers."""
    files, _, paths = fsspec.core.get_fs_token_paths(source)
    if not paths:
        raise FileNotFoundError(f"There is no file {source!r}.")
    return [files.unstrip_protocol(path) for path in sorted(paths, key=natural_sort_key)]


def _check_columns(path: str, frame: Any, names: Sequence[str], *, all_of_them: bool) -> None:
    """Raise ValueError unless a file has these columns (and no others, if it is to have all), of numbers."""
    absent = [str(name) for name in names if name not in frame.columns]
    more = [str(name) for name in frame.columns if name not in names] if all_of_them else []
    if absent or more:
        lacks = f"lacks {', '.join(absent)}" if absent else ""
        has = f"has {', '.join(more)} besides" if more else ""
        raise ValueError(
            f"{path!r} has other columns than the first file: it {' and '.join(filter(None, (lacks, has)))}; "
            "choose what all files have, with --columns A,B,..."
        )
    numbers = [str(name) for name, dtype in frame.dtypes.items() if dtype.kind in "fiub"]
    words = [str(name) for name in names if str(name) not in numbers]
    if words:
        raise ValueError(
            f"{path!r} has columns that are no numbers: {', '.join(words)}; choose others, with --columns "
            f"{','.join(numbers)}"
        )


def _beginning(path: str) -> list[list[str]]:
    """Return the fields of the first two lines of a CSV file, which may have one.

    pandas would take the first of more fields than names for an index, which is no column.
    """
    import pandas as pd  # noqa: PLC0415 - an extra

    try:
        lines = pd.read_csv(path, header=None, nrows=2, dtype=str, keep_default_na=False)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path!r} is empty; give a file with rows.") from None
    except pd.errors.ParserError:
        raise ValueError(
            f"The second line of {path!r} has more fields than the first; name each column, or leave out "
            "what has none."
        ) from None
    fields: list[list[str]] = lines.to_numpy().tolist()
    return fields


def _check_header(path: str, names: list[str], *, certain: bool, chosen: bool) -> None:
    """Raise ValueError unless the first line of a CSV file names the columns, each by another name.

    It is `certain` that they are names, or not; where columns are `chosen`, others need none.
    """
    if not certain and all(map(_is_value, names)):
        raise ValueError(
            f"The first line of {path!r} holds numbers alone: {', '.join(names[:5])}. Give --no-header "
            "(header=False) if it is a row, --header (header=True) if these are names."
        )
    blank = [i for i, name in enumerate(names) if not name.strip()]
    if blank and not chosen:
        raise ValueError(
            f"Column {blank[0]} of {path!r} has no name, as the index of a data frame has none; name it, or "
            "choose others, with --columns A,B,..."
        )
    check_distinct([name for name in names if name.strip()], repr(path))


def _is_value(text: str) -> bool:
    """Whether a field is a number, a bool or a gap, as pandas spells them."""
    if text.strip().lower() in NO_NAMES:
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True


def _dataframes() -> Any:
    try:
        import dask.dataframe  # noqa: PLC0415 - optional packages, which are slow to import
    except ImportError as error:
        raise ImportError(
            "CSV and Parquet are read by pandas and pyarrow; install them with: pip install "
            "'dask_igtm[tables]'"
        ) from error
    return dask.dataframe


def _computed(parts: Sequence[Any], dtype: type[np.generic]) -> Iterator[Rows]:
    """Yield the rows of a data frame, as many parts at a time as there are processors."""
    for start in range(0, len(parts), CPU_COUNT):
        for part in dask.compute(*parts[start : start + CPU_COUNT], scheduler="threads"):
            yield part.to_numpy(dtype=dtype, na_value=np.nan)
