"""Values or labels of rows in an array, with names for its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NamedColumns:
    """What goes with rows, under the names that it has where it comes from; taken wherever such is an array.

    Attributes
    ----------
    array : array or dask array of shape (n,) or (n, T)
    columns : tuple of str
        One name, or T.
    """

    array: Any
    columns: tuple[str, ...]
