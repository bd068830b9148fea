"""Tables of rows with ids: groups of Zarr with the rows as `X`, dense or CSR, and each id beside them.

The ids of a row are what it is called: numbers, or text, for which a gap is empty.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from dask_igtm._version import __version__
from dask_igtm.data.plain_text import escaped

ATTRIBUTE = "dask_igtm"
FORMAT, FORMAT_VERSION = "dask_igtm table", 1
ROWS = "X"  # name of the array or CSR group of the rows
TEXT = "string"  # the type of Zarr
NO_NAME = re.compile("[/\\\\\0\ud800-\udfff]")  # what has no place in the name of an id

Values = NDArray[Any]


def label(ids: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of a group with these ids."""
    about = {"format": FORMAT, "format_version": FORMAT_VERSION, "ids": list(ids), "version": __version__}
    return {ATTRIBUTE: about}


def ids_of(group: Any) -> list[str] | None:
    """Return the names of the ids of a table; None of what is no such.

    Raises
    ------
    ValueError
        If the table is of a later format.
    """
    about: Any = group.attrs.get(ATTRIBUTE) if isinstance(group, zarr.Group) else None
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        return None
    if about.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"{escaped(group.store_path)} is a table of format {about.get('format_version')}, and this "
            f"release reads format {FORMAT_VERSION}; take a later one."
        )
    return list(about["ids"])


def rows_in(X: Any) -> Any:
    """Return the array or CSR group of the rows of a table, anything else as it is."""
    return X if ids_of(X) is None else X[ROWS]


def check_id_names(ids: Sequence[str], others: Sequence[str] = (ROWS,)) -> None:
    """Raise ValueError unless ids can have these names in a group, beside `others`."""
    taken = [name for name in ids if name in others]
    if taken:
        raise ValueError(
            f"An id is called {taken[0]!r}, and so is what goes beside it; give it another name."
        )
    wrong = [name for name in ids if not name.strip() or name.startswith((".", "__")) or NO_NAME.search(name)]
    if wrong:
        raise ValueError(
            f"An id is called {wrong[0]!r}, which is no name in a Zarr group; give one of UTF-8 without "
            "slashes and NUL, that does not begin with a dot or two underscores."
        )


def id_type(dtype: Any) -> str:
    """Return the type of Zarr in which ids of a type of NumPy are stored: of numbers their own, or text."""
    kind = np.dtype(dtype)
    return str(kind) if kind.kind in "iufb" else TEXT


def as_text(values: Values) -> Values:
    """Return ids as objects that are strings, empty for a gap; dates as ISO 8601 has them."""
    if values.dtype.kind == "M":
        values = np.where(np.isnat(values), "", np.datetime_as_string(values))
    text = np.empty(len(values), object)
    text[:] = [_text(value) for value in values.tolist()]
    return text


def _text(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124 - as NaN alone
        return ""
    try:
        text = value.decode() if isinstance(value, bytes) else str(value)
        text.encode()
    except UnicodeError:
        raise ValueError(f"An id is {value!r}, which UTF-8 cannot hold; give ids that it can.") from None
    return text
