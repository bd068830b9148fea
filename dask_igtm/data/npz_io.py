"""Files of named arrays and a JSON header, without pickle.

A file is a NumPy `.npz` archive, on a disk or in an object store. Every array comes back with the same
bits, or the file is refused: the header lists them all, with their digests. Models of format 1 will be read
by every later release; a file of a newer format than this release knows is refused by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from textwrap import shorten
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.json_text import dumps, loads
from dask_igtm.data.whole_outputs import Path, write_whole
from dask_igtm.model.stored import Arrays

MODEL = "dask_igtm model"
CHECKPOINT = "dask_igtm checkpoint"
MANY = "dask_igtm checkpoint of many fits"
LANDSCAPE = "dask_igtm landscape"
FORMAT_VERSION = 1

HEADER, MEMBERS = "header", "members"  # the member that is JSON, and what it calls the others
KINDS = "biufSU"  # of NumPy's types, which hold no objects
END = b"PK\5\6"  # of the record that ends an archive, in so many bytes:
END_SIZE = 22
REASON_LENGTH = 300  # characters, of which a file may hold many

Header = dict[str, Any]


def write(path: Path, kind: str, header: Header, arrays: Arrays) -> None:
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
    members = {name: _described(array) for name, array in arrays.items()}
    text = dumps({"format": kind, "format_version": FORMAT_VERSION, **header, MEMBERS: members})
    named: dict[str, Any] = {HEADER: np.array(text), **arrays}
    buffer = io.BytesIO()
    np.savez(buffer, **named)
    write_whole(path, buffer.getvalue())


def read(path: Path, kind: str) -> tuple[Header, Arrays]:
    """Return the header and the arrays of a file that `write` made.

    Nothing larger than the file is allocated, whatever it claims.

    Raises
    ------
    OSError
        If there is none, or it cannot be read.
    ValueError
        If it is something else, damaged or newer.
    """
    name = os.fspath(path)
    content = _content(name)
    with understood(name):
        arrays = _members(content)
        header = loads(str(arrays.pop(HEADER)))
    _check_kind(header, name, kind)
    if MEMBERS in header:  # which older files lack
        with understood(name):
            _check_listed(header.pop(MEMBERS), arrays)
    return header, arrays


def read_header(path: Path, kind: str) -> Header:
    """Return the header as it is now, without reading the arrays; raises as `read` does."""
    name = os.fspath(path)
    with _opened(name) as file, understood(name), zipfile.ZipFile(file) as archive:
        entry = archive.getinfo(f"{HEADER}.npy")
        _check_stored([entry], file.seek(0, os.SEEK_END))
        header = loads(str(_array(archive.read(entry))))
    _check_kind(header, name, kind)
    return header


def _check_kind(header: Header, name: str, kind: str) -> None:
    if header.get("format") != kind:
        raise ValueError(f"{name!r} is not a {kind}, as saved by dask_igtm, but {header.get('format')!r}.")
    check_version(header, repr(name))


def check_version(header: Header, name: str) -> None:
    """Raise ValueError if what is at `name` is of a newer format than this release knows."""
    version = header.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"{name} has format {version!r}, which is no number of a format.")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{name} has format {version}, and this release reads up to {FORMAT_VERSION}; upgrade dask_igtm."
        )


@contextlib.contextmanager
def understood(place: Path) -> Iterator[None]:
    """Raise ValueError with place and reason where what is held there is not what it has to be.

    Whatever foreign bytes bring about, up to MemoryError, is damage to their reader.
    """
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise ValueError(
            f"{os.fspath(place)!r} is not a file saved by dask_igtm, or is damaged: "
            f"{shorten(reason.strip().rstrip('.'), REASON_LENGTH)}."
        ) from error


def _content(name: str) -> bytes:
    with _opened(name) as file:
        return bytes(file.read())


@contextlib.contextmanager
def _opened(name: str) -> Iterator[Any]:
    """Open a file as it is now, which others may have written meanwhile."""
    try:
        files, key = fsspec.core.url_to_fs(name)
        files.invalidate_cache()
        with files.open(key, "rb") as file:
            yield file
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file at {name!r}.") from None
    except (OSError, ValueError):
        raise
    except Exception as error:  # clients of object stores raise what they like
        raise OSError(f"{name!r} cannot be read: {error}") from error


def _members(content: bytes) -> Arrays:
    """Return the arrays of an archive that NumPy wrote, each of which is there, whole and as it was."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        _check_stored(entries, len(content))
        names = [entry.filename.removesuffix(".npy") for entry in entries]
        if content[-END_SIZE:][: len(END)] != END or _n_entries(content) != len(set(names)):
            raise ValueError("its list of members is not whole")
        return {name: _array(archive.read(entry)) for name, entry in zip(names, entries, strict=True)}


def _check_stored(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Raise ValueError if members of a file of that size could be larger than it is."""
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ValueError("its members are compressed")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its members claim to be larger than the file")


def _n_entries(content: bytes) -> int:
    """Return how many members the end of an archive counts."""
    return int.from_bytes(content[-END_SIZE:][10:12], "little")


def _array(member: bytes) -> NDArray[Any]:
    """Return the array of an NPY file that is exactly as long as its header says."""
    file = io.BytesIO(member)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array is of another version of NPY")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
    if dtype.kind not in KINDS or dtype.itemsize == 0:
        raise ValueError(f"an array has dtype {dtype}")
    held = member[file.tell() :]
    if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(held):
        raise ValueError(f"an array has {len(held):,} bytes, and is said to be of shape {shape} and {dtype}")
    order: Any = "F" if in_columns else "C"
    return np.frombuffer(held, dtype).reshape(shape, order=order).copy(order="K")


def _described(array: NDArray[Any]) -> list[Any]:
    """Return dtype, shape and digest of an array, as the header lists them."""
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
    return [array.dtype.str, list(array.shape), digest]


def _check_listed(listed: Any, arrays: Arrays) -> None:
    found = {name: _described(array) for name, array in arrays.items()}
    other = sorted(name for name in {*listed, *found} if listed.get(name) != found.get(name))
    if other:
        raise ValueError(f"the header lists other arrays than there are: {', '.join(map(repr, other[:5]))}")


def pack_labels(labels: Sequence[Any]) -> NDArray[Any]:
    """Return labels as an array without pickle, whose `tolist` gives them back.

    Raises
    ------
    TypeError
        If they are not all strings, all numbers or all bools.
    """
    packed = np.array(labels)
    if packed.dtype.kind not in KINDS or packed.tolist() != list(labels):
        raise TypeError(
            f"The labels {list(labels)} cannot be saved; use strings without a NUL at their end, or whole "
            "numbers."
        )
    return packed
