"""Files of named arrays and a JSON header, without pickle.

A file is a NumPy `.npz` archive, on a disk or in an object store. Every array comes back with the same
bits. Models of format 1 will be read by every later release; a file of a newer format than this release
knows is refused by name.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import uuid
import zipfile
from collections.abc import Sequence
from typing import Any

import fsspec
import numpy as np
from numpy.typing import NDArray

from dask_igtm.affine import Affine
from dask_igtm.basis import Basis
from dask_igtm.gaps import Gaps
from dask_igtm.model import Model

MODEL = "dask_igtm model"
CHECKPOINT = "dask_igtm checkpoint"
LANDSCAPE = "dask_igtm landscape"
FORMAT_VERSION = 1

Path = str | os.PathLike[str]


def write(path: Path, kind: str, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file that is either whole or not there.

    Parameters
    ----------
    path : path or URL
        An existing file is replaced once the new one is complete.
    kind : {MODEL, CHECKPOINT, LANDSCAPE}
    header : dict
        Values that JSON can hold; NumPy scalars become Python's.
    arrays : dict of ndarrays
    """
    text = json.dumps({"format": kind, "format_version": FORMAT_VERSION, **header}, default=_plain)
    members: dict[str, Any] = {"header": np.array(text), **arrays}
    buffer = io.BytesIO()
    np.savez(buffer, **members)
    write_whole(path, buffer.getvalue())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there; one that exists is replaced."""
    if is_url(path):
        files, name = fsspec.core.url_to_fs(os.fspath(path))
        files.pipe_file(name, content)  # one request: an object appears whole
    else:
        _replace(os.path.abspath(os.fspath(path)), content)


def is_url(path: Path) -> bool:
    """Whether `path` is a URL such as `s3://bucket/name`."""
    return "://" in os.fspath(path)


def _replace(target: str, content: bytes) -> None:
    temporary = f"{target}.{uuid.uuid4().hex}.part"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def check_writable(path: Path) -> None:
    """Raise OSError if a file could not be written to a local `path`; URLs show that when written."""
    folder = "." if is_url(path) else os.path.dirname(os.path.abspath(os.fspath(path)))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder!r}; make it, or give another path.")
    if not is_url(path) and not os.access(folder, os.W_OK):
        raise PermissionError(f"Folder {folder!r} cannot be written to; give another path.")


def read(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a file that `write` made.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is something else, damaged, or of a newer format.
    """
    name = os.fspath(path)
    try:
        with fsspec.open(name, "rb") as file:
            content = io.BytesIO(file.read())
        with np.load(content, allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
        header = dict(json.loads(str(arrays.pop("header"))))
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no file at {name!r}.") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name!r} is not a file saved by dask_igtm, or is damaged.") from error
    if header.get("format") != kind:
        raise ValueError(f"{name!r} is not a {kind}, as saved by dask_igtm, but {header.get('format')!r}.")
    if header["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{name!r} has format {header['format_version']}, and this release reads up to "
            f"{FORMAT_VERSION}; upgrade dask_igtm."
        )
    return header, arrays


def pack(model: Model) -> dict[str, NDArray[Any]]:
    """Name the arrays of a model."""
    arrays = {
        "nodes": model.basis.nodes,
        "rbf_centers": model.basis.rbf_centers,
        "rbf_width": np.array(model.basis.width),
        "phi": model.basis.phi,
        "mean": model.affine.mean,
        "scale": model.affine.scale,
        "standardised": np.array(model.affine.standardised),
        "weights": model.weights,
        "beta_inv": np.array(model.beta_inv),
        "missing": np.array(model.gaps.strategy),
    }
    optional = {"axes": model.affine.axes, "fill": model.gaps.fill}
    return arrays | {name: array for name, array in optional.items() if array is not None}


def unpack(arrays: dict[str, NDArray[Any]]) -> Model:
    """Return the model whose arrays `pack` named."""
    basis = Basis(arrays["nodes"], arrays["rbf_centers"], float(arrays["rbf_width"]), arrays["phi"])
    affine = Affine(arrays["mean"], arrays["scale"], arrays.get("axes"), bool(arrays["standardised"]))
    gaps = Gaps(str(arrays["missing"]), arrays.get("fill"))
    return Model(basis, affine, arrays["weights"], float(arrays["beta_inv"]), gaps)


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


def digest(arrays: dict[str, NDArray[Any]]) -> str:
    """Return a fingerprint of the names and bits of some arrays."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be saved; use a number, a string or None.")
