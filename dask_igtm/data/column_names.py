"""What the columns of a table are called, wherever it says so: read in one place, compared in one place.

Frames, tables of Arrow, and arrays and datasets of xarray name their columns themselves; Zarr arrays and CSR
groups in an attribute, which `convert` writes. Readers of other containers belong into `_labels`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import dask.array as da
import numpy as np
import zarr

from dask_igtm.data.containers import is_xarray
from dask_igtm.data.cubes import is_dataset
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.stored_tables import rows_in
from dask_igtm.data.table_columns import check_distinct
from dask_igtm.data.user_warnings import warn

ATTRIBUTE = "columns"  # of a Zarr array: a list of strings, or of numbers
SHOWN = 5  # names of a kind in a message

Names = tuple[str, ...]


def column_names(table: Any) -> Names | None:
    """Return the names of the columns of a table; None where it has none.

    Numbers are names too (of wavelengths, say), unless they are those of the places: 0, 1, 2...
    Raises ValueError where several columns have the same name, or where one ends in NUL, which files of maps
    do not keep.
    """
    labels = _labels(rows_in(table))
    if labels is None:
        return None
    labels = list(labels)
    positions = all(isinstance(label, (int, np.integer)) for label in labels)
    if positions and labels == list(range(len(labels))):
        return None
    names = tuple(_as_text(label) for label in labels)
    check_distinct(names, "The table")
    cut = [name for name in names if name.endswith("\0")]
    if cut:
        raise ValueError(f"A column is called {cut[0]!r}, and NumPy keeps no NUL at the end; rename it.")
    return names


def _as_text(label: Any) -> str:
    return label.decode(errors="backslashreplace") if isinstance(label, bytes) else str(label)


def _labels(table: Any) -> Iterable[Any] | None:
    if isinstance(table, (zarr.Array, zarr.Group)):
        return _stored(table)
    if is_dataset(table):
        return list(table.data_vars)
    if is_xarray(table):
        coordinate = table.coords.get(table.dims[1]) if table.ndim == 2 else None
        return None if coordinate is None else list(map(_of_levels, coordinate.values))
    labels: Iterable[Any] | None = getattr(table, "column_names", getattr(table, "columns", None))
    return labels


def _of_levels(label: Any) -> Any:
    """Return one name for the levels of a stacked coordinate, such as t_850 of ("t", 850.0, nan)."""
    if not isinstance(label, tuple):
        return label
    known = [level for level in label if level is not None and level == level]  # noqa: PLR0124 - NaN
    whole = (int(level) if isinstance(level, float) and level.is_integer() else level for level in known)
    return "_".join(map(str, whole))


def _stored(table: zarr.Array[Any] | zarr.Group) -> list[str | float] | None:
    """Return the names or numbers in the attribute of a Zarr array or CSR group, if that is what it holds."""
    names: Any = table.attrs.get(ATTRIBUTE)
    if not isinstance(names, list):
        return None  # what others have written under this name
    kinds = {type(name) for name in names}
    shape: Any = table.shape if isinstance(table, zarr.Array) else table.attrs.get("shape", ())
    if len(shape) != 2 or len(names) != shape[1] or not kinds <= {str, int, float}:
        warn(
            f"{escaped(table.store_path)} has shape {shape} and {len(names)} entries in its attribute "
            f"{ATTRIBUTE!r}, which are not used; write as many names, or numbers, as there are columns."
        )
        return None
    return names


def check_same_names(expected: Sequence[str] | None, given: Names | None, who: str) -> None:
    """Raise ValueError unless columns have the names of a fit, in its order; warn where one has none.

    Parameters
    ----------
    expected, given : sequence of str or None
        Names in the fit, and now. A map without names takes columns that are numbered 0, 1, 2... by number.
    who : str
        Class of the estimator.
    """
    if expected is None and given is not None:
        positions = [str(i) for i in range(len(given))]
        expected = positions if sorted(given) == sorted(positions) else None
    if expected is None or given is None:
        # The words of scikit-learn, which users filter.
        if given is not None:
            warn(f"X has feature names, but {who} was fitted without feature names")
        elif expected is not None:
            warn(f"X does not have valid feature names, but {who} was fitted with feature names")
        return
    if list(expected) != list(given):
        raise ValueError(different_names(expected, given))


def different_names(expected: Sequence[str], given: Sequence[str]) -> str:
    """Say how the names of columns differ from those of a fit, and what to do.

    Its beginning, and the headings of its lists, are those that scikit-learn's checks of estimators ask for.
    """
    lists = {
        "Feature names unseen at fit time:": sorted(set(given) - set(expected)),
        "Feature names seen at fit time, yet now missing:": sorted(set(expected) - set(given)),
    }
    parts = ["The feature names should match those that were passed during fit."]
    for heading, names in lists.items():
        if names:
            parts += [heading, *(f"- {escaped(name)}" for name in names[:SHOWN])]
            parts += ["- ..."] if len(names) > SHOWN else []
    if len(parts) == 1:
        parts.append("Feature names must be in the same order as they were in fit.")
    pairs = zip(given, expected, strict=False)
    moved = [f"column {i} is {now!r} and was {then!r}" for i, (now, then) in enumerate(pairs) if now != then]
    if moved:
        more = f", and so on in {len(moved)} columns" if len(moved) > SHOWN else ""
        parts.append(f"Here {'; '.join(moved[:SHOWN])}{more}. Give the columns of the fit, in its order.")
    return "\n".join(parts)


def series_name(values: Any) -> str | None:
    """Return the name of a series, or of the only column of a table.

    Those of dask and Zarr arrays say where they are, not what.
    """
    names = column_names(values) or ()
    if len(names) == 1:
        return names[0]
    name = None if isinstance(values, (da.Array, zarr.Array)) else getattr(values, "name", None)
    return name if isinstance(name, str) else None
