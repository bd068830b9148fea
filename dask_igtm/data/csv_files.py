"""Tables in files of CSV: lazy frames, of several files put together by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import fsspec
import numpy as np
from dask.system import CPU_COUNT
from dask.utils import natural_sort_key
from numpy.typing import NDArray

from dask_igtm.data.plain_text import escaped
from dask_igtm.data.table_columns import ALL, Choice, check_distinct, check_same_columns, chosen_columns

Rows = NDArray[Any]
# Fields that pandas takes for gaps or bools, in lower case.
NO_NAMES = {"", "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "null", "none", "true", "false"}


@dataclass(frozen=True)
class CsvTable:
    """A lazy table in CSV files.

    Attributes
    ----------
    frames : tuple of dask.dataframe.DataFrame
        One of each file.
    columns : list of str
        Those of X, which hold numbers; numbered from 0 where the files have no names.
    ids : list of str
        The ids of the rows, text as it stands in the files.
    """

    frames: tuple[Any, ...]
    columns: list[Any]
    ids: list[str]

    @property
    def numbers(self) -> Any:
        """The columns of X, float64; a gap is NaN."""
        return _joined([frame[self.columns].astype(np.float64) for frame in self.frames])

    def id_column(self, name: str) -> Any:
        """Return the ids of a name, a lazy series."""
        return _joined([frame[name] for frame in self.frames])

    def choose(self, columns: Sequence[str]) -> CsvTable:
        """Return the table with these columns in this order, if it has them all; the same table if not."""
        if not columns or not set(columns) <= set(self.columns):
            return self
        return dataclasses.replace(self, columns=list(columns))


def open_csv(source: str, choice: Choice = ALL, *, header: bool | None = None) -> CsvTable:
    """Open one CSV file, or all that a pattern names; reads the beginning of each.

    Parameters
    ----------
    source : path or URL
    choice : Choice
    header : bool, optional
        Whether the first line names the columns; by default it does, unless it is numbers alone, which is
        refused.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If names are missing or double, files differ in their columns, or the choice does not fit.
    """
    if choice and header is False:
        raise ValueError(f"{source!r} has no names to choose columns by; leave the choice of columns out.")
    _dataframes()  # or say what to install
    frames = {path: _read(path, choice, header) for path in _files(source)}
    first = next(iter(frames.values()))
    names = chosen_columns(_numeric(first), choice, source)
    everything = not choice.columns and names != list(choice.of_fit)
    for path, frame in frames.items():
        taken = (*names, *choice.index)
        check_same_columns(path, taken, _numeric(first), _numeric(frame), everything=everything)
    return CsvTable(tuple(frames.values()), names, list(choice.index))


def _joined(frames: list[Any]) -> Any:
    return frames[0] if len(frames) == 1 else _dataframes().concat(frames)


def _read(path: str, choice: Choice, header: bool | None) -> Any:
    frames = _dataframes()
    first, *rows = _beginning(path)
    if header is not False:
        _check_header(path, first, certain=header is True, chosen=bool(choice.columns))
    compressed = {"blocksize": None} if path.endswith(".gz") else {}
    # Ids are text: numbers would lose zeros before them, and digits.
    named = {"header": None} if header is False else {"converters": dict.fromkeys(choice.index, str)}
    # A column may hold whole numbers at first, and gaps or fractions further down.
    frame = frames.read_csv(path, assume_missing=True, **named, **compressed)
    if rows or header is False:
        return frame
    return frame.astype(float)  # which no row gives a type


def _numeric(frame: Any) -> dict[Any, bool]:
    return {name: dtype.kind in "fiub" for name, dtype in frame.dtypes.items()}


def _files(source: str) -> list[str]:
    """Return the paths or URLs of the files that a pattern names, in the order of their numbers."""
    files, _, paths = fsspec.core.get_fs_token_paths(source)
    if not paths or not files.exists(paths[0]):
        raise FileNotFoundError(f"There is no file {source!r}.")
    return [files.unstrip_protocol(path) for path in sorted(paths, key=natural_sort_key)]


def _beginning(path: str) -> list[list[str]]:
    """Return the fields of the first two lines of a CSV file, which may have one.

    pandas would take the first of more fields than names for an index, which is no column.
    """
    import pandas as pd  # noqa: PLC0415 - an extra

    try:
        with fsspec.open(path, "rb", compression="infer") as file:  # as Dask does, with its words of errors
            lines = pd.read_csv(file, header=None, nrows=2, dtype=str, keep_default_na=False)
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
            f"The first line of {path!r} holds numbers alone: {', '.join(map(escaped, names[:5]))}. Give "
            "--no-header (header=False) if it is a row, --header (header=True) if these are names."
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


def csv_rows(table: CsvTable) -> Iterator[tuple[Any, ...]]:
    """Yield rows and their ids, as many parts at a time as there are processors."""
    parts = [part for frame in table.frames for part in frame[[*table.columns, *table.ids]].to_delayed()]
    for start in range(0, len(parts), CPU_COUNT):
        for part in dask.compute(*parts[start : start + CPU_COUNT], scheduler="threads"):
            numbers = part[table.columns].to_numpy(np.float64, na_value=np.nan)
            yield numbers, *(part[name].to_numpy(object) for name in table.ids)
