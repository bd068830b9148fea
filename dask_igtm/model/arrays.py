"""Models as named arrays, which files can hold, and a fingerprint of such."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import Basis
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model, Noise

Arrays = dict[str, NDArray[Any]]


def pack(model: Model) -> Arrays:
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
    names = None if model.names is None else np.array(model.names, dtype=str)
    optional = {"axes": model.affine.axes, "fill": model.gaps.fill, "feature_names": names}
    found = {name: array for name, array in optional.items() if array is not None}
    return arrays | found | model.noise.pack()


def unpack(arrays: Arrays, noise: Noise) -> Model:
    """Return the model whose arrays `pack` named, with the noise that these name too."""
    basis = Basis(arrays["nodes"], arrays["rbf_centers"], float(arrays["rbf_width"]), arrays["phi"])
    affine = Affine(arrays["mean"], arrays["scale"], arrays.get("axes"), bool(arrays["standardised"]))
    gaps = Gaps(str(arrays["missing"]), arrays.get("fill"))
    names = tuple(arrays["feature_names"].tolist()) if "feature_names" in arrays else None
    return Model(basis, affine, arrays["weights"], _noise_variance(arrays["beta_inv"]), noise, gaps, names)


def pack_sheet(name: str, model: Model) -> Arrays:
    """Name what an iteration changes of a model: its weights and its noise."""
    return {f"{name}_weights": model.weights, f"{name}_beta_inv": np.array(model.beta_inv)}


def unpack_sheet(name: str, arrays: Arrays, model: Model) -> Model:
    """Return `model` with the weights and the noise that `pack_sheet` named."""
    weights, beta_inv = arrays[f"{name}_weights"], _noise_variance(arrays[f"{name}_beta_inv"])
    return dataclasses.replace(model, weights=weights, beta_inv=beta_inv)


def _noise_variance(array: NDArray[Any]) -> Any:
    return array if array.ndim else float(array)


def digest(arrays: Arrays) -> str:
    """Return a fingerprint of the names and bits of some arrays."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
