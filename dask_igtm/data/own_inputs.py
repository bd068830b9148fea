"""Outputs that would come to be where their own input is, and are refused."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import zarr
from zarr.storage import LocalStore

from dask_igtm.data.parquet_rows import ParquetRows
from dask_igtm.data.whole_outputs import Path, is_url, real


def refuse_own_input(output: Path | None, *inputs: Any) -> None:
    """Raise ValueError if an output is one of the inputs, lies in one, or has one in it.

    Parameters
    ----------
    output : path or URL, or None where nothing is written
    *inputs : path or URL, or X, model, ... as opened from one
        Links are followed. A path may be a pattern of several, which the output must not match either.
        Anything that has no path is passed over.
    """
    if output is None:
        return
    place = real(output)
    for path in (path for given in inputs for path in _paths_of(given)):
        if any(_overlap(place, there) for there in _places(path)) or _matches(place, path):
            raise ValueError(
                f"The output {os.fspath(output)!r} is the input {path!r}, lies in it, or has it in itself; "
                "give another path."
            )


def _paths_of(given: Any) -> Iterator[str]:
    if isinstance(given, str | os.PathLike):
        yield os.fspath(given)
    elif isinstance(given, zarr.Array | zarr.Group) and isinstance(given.store, LocalStore):
        yield os.path.join(given.store.root, given.path)
    elif isinstance(given, ParquetRows):
        yield from given.row_groups.paths


def _places(path: str) -> list[str]:
    """Return where a path leads to: all that a pattern finds on a disk."""
    found = glob.glob(real(path)) if glob.has_magic(path) and not is_url(path) else []
    return [real(path), *map(real, found)]


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _matches(place: str, path: str) -> bool:
    """Whether a pattern finds a place, or a folder around it."""
    return any(around.match(real(path)) for around in (PurePath(place), *PurePath(place).parents))
