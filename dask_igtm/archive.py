"""Files of named arrays and a JSON header, without pickle.

A file is a NumPy `.npz` archive. Every array comes back with the same bits. Format 1 will be read by
every later release; a file of a newer format than this release knows is refused by name.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.affine import Affine
from dask_igtm.basis import Basis
from dask_igtm.model import Model

FORMAT = "dask_igtm model"
FORMAT_VERSION = 1


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write a file that is either whole or not there.

    Parameters
    ----------
    path : path
        An existing file is replaced once the new one is complete.
    header : dict
        Values that JSON can hold; NumPy scalars become Python's.
    arrays : dict of ndarrays
    """
    target = os.path.abspath(os.fspath(path))
    text = json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION, **header}, default=_plain)
    members: dict[str, Any] = {"header": np.array(text), **arrays}
    temporary = f"{target}.{uuid.uuid4().hex}.part"
    try:
        with open(temporary, "xb") as file:
            np.savez(file, **members)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
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
        with open(name, "rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
        header = dict(json.loads(str(arrays.pop("header"))))
    except FileNotFoundError:
        raise
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{name!r} is not a file saved by dask_igtm, or is damaged: {error}") from error
    if header.get("format") != FORMAT:
        raise ValueError(f"{name!r} was not saved by dask_igtm.")
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
    }
    return arrays if model.affine.axes is None else arrays | {"axes": model.affine.axes}


def unpack(arrays: dict[str, NDArray[Any]]) -> Model:
    """Return the model whose arrays `pack` named."""
    basis = Basis(arrays["nodes"], arrays["rbf_centers"], float(arrays["rbf_width"]), arrays["phi"])
    affine = Affine(arrays["mean"], arrays["scale"], arrays.get("axes"), bool(arrays["standardised"]))
    return Model(basis, affine, arrays["weights"], float(arrays["beta_inv"]))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} cannot be saved; use a number, a string or None.")
