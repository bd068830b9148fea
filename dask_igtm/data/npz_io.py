"""Files of named arrays and a JSON header, without pickle.

A file is a NumPy `.npz` archive, on a disk or in an object store. Every array comes back with the same
bits. Models of format 1 will be read by every later release; a file of a newer format than this release
knows is refused by name.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Sequence
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.disks import OTHER_THING
from dask_igtm.data.json_text import dumps
from dask_igtm.data.whole_outputs import Path, write_whole

MODEL = "dask_igtm model"
CHECKPOINT = "dask_igtm checkpoint"
MANY = "dask_igtm checkpoint of many fits"
LANDSCAPE = "dask_igtm landscape"
FORMAT_VERSION = 1


def write(path: Path, kind: str, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file that is either whole or not there.

    Parameters
    ----------
    path : path or URL
        An existing file is replaced once the new one is complete.
    kind : {MODEL, CHECKPOINT, MANY, LANDSCAPE}
    header : dict
        Values that JSON can hold; NumPy scalars become Python's, and NaN becomes null.
    arrays : dict of ndarrays
    """
    text = dumps({"format": kind, "format_version": FORMAT_VERSION, **header})
    members: dict[str, Any] = {"header": np.array(text), **arrays}
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    write_whole(path, buffer.getvalue())


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a file that `write` made.

    Raises FileNotFoundError where there is none, another OSError where it cannot be read, ValueError where it
    is something else, damaged or newer.
    """
    name = os.fspath(path)
    content = _content(name)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
        header = dict(json.loads(str(arrays.pop("header"))))
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise _no_such_file(name) from error
    if header.get("format") != kind:
        raise ValueError(f"{name!r} is not a {kind}, as saved by dask_igtm, but {header.get('format')!r}.")
    if header["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{name!r} has format {header['format_version']}, and this release reads up to "
            f"{FORMAT_VERSION}; upgrade dask_igtm."
        )
    return header, arrays


def _content(name: str) -> bytes:
    try:
        with fsspec.open(name, "rb") as file:
            return bytes(file.read())
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file at {name!r}.") from None
    except OTHER_THING as error:
        raise _no_such_file(name) from error


def _no_such_file(name: str) -> ValueError:
    return ValueError(f"{name!r} is not a file saved by dask_igtm, or is damaged.")


def pack_labels(labels: Sequence[Any]) -> NDArray[Any]:
    """Return labels as an array without pickle, whose `tolist` gives them back.

    Raises
    ------
    TypeError
        If they are not all strings, all numbers or all bools.
    """
    packed = np.array(labels)
    if packed.dtype.kind not in "USbiuf" or packed.tolist() != list(labels):
        raise TypeError(f"The labels {list(labels)} cannot be saved; use strings or whole numbers.")
    return packed
