"""Models as named arrays, which files can hold, and a fingerprint of such."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import numpy as np

from dask_igtm.model import stored
from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import Basis, square_grid, values_at
from dask_igtm.model.gaps import FILLED, STRATEGIES, Gaps
from dask_igtm.model.model import Model, Noise
from dask_igtm.model.stored import Array, Arrays, check_equal

ORTHONORMAL = 1e-6  # by how much axes may fail to be so


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
    """Return the model whose arrays `pack` named, with the noise that these name too.

    Raises
    ------
    ValueError
        If an array is missing, or is none of such a model.
    """
    basis, affine = _basis(arrays), _affine(arrays)
    n_columns = len(affine.mean)
    names = stored.texts(arrays, "feature_names", n_columns) if "feature_names" in arrays else None
    shape = basis.phi.shape[1], n_columns if affine.axes is None else affine.axes.shape[1]
    weights, beta_inv = _sheet(arrays, "", shape, noise)
    return Model(basis, affine, weights, beta_inv, noise, _gaps(arrays, n_columns), names)


def nodes_of(arrays: Arrays) -> Array:
    """Return the nodes (K, 2) in arrays, which are a square grid."""
    nodes = stored.floats(arrays, "nodes", None, 2)
    check_equal("nodes", nodes, square_grid(math.isqrt(len(nodes))))
    return nodes


def _basis(arrays: Arrays) -> Basis:
    nodes, rbf_centers = nodes_of(arrays), stored.floats(arrays, "rbf_centers", None, 2)
    width = float(stored.positive(arrays, "rbf_width"))
    phi = stored.floats(arrays, "phi", len(nodes), len(rbf_centers) + 1)
    check_equal("rbf_centers", rbf_centers, square_grid(math.isqrt(len(rbf_centers))))
    check_equal("phi", phi, values_at(nodes, rbf_centers, width))
    return Basis(nodes, rbf_centers, width, phi)


def _affine(arrays: Arrays) -> Affine:
    mean = stored.floats(arrays, "mean", None)
    scale = stored.positive(arrays, "scale", len(mean))
    standardised = stored.flag(arrays, "standardised")
    if "axes" not in arrays:
        return Affine(mean, scale, None, standardised)
    axes = stored.floats(arrays, "axes", len(mean), None)
    if axes.shape[1] > len(mean) or np.abs(axes.T @ axes - np.eye(axes.shape[1])).max() > ORTHONORMAL:
        raise ValueError("axes are not orthonormal")
    return Affine(mean, scale, axes, standardised)


def _gaps(arrays: Arrays, n_columns: int) -> Gaps:
    strategy = stored.text(arrays, "missing")
    if strategy not in STRATEGIES:
        raise ValueError(f"missing is {strategy!r}, and none of {STRATEGIES}")
    if strategy not in FILLED:
        return Gaps(strategy)
    fill = stored.floats(arrays, "fill", None)
    if len(fill) not in (1, n_columns):
        raise ValueError(f"fill has {len(fill)} values for {n_columns} columns")
    return Gaps(strategy, fill)


def _sheet(arrays: Arrays, prefix: str, shape: tuple[int, ...], noise: Noise) -> tuple[Array, Any]:
    """Return weights of that shape, and the noise variance."""
    weights = stored.floats(arrays, f"{prefix}weights", *shape)
    beta_inv = stored.positive(arrays, f"{prefix}beta_inv", *(shape[1:] if noise.by_column else ()))
    return weights, beta_inv if noise.by_column else float(beta_inv)


def pack_sheet(name: str, model: Model) -> Arrays:
    """Name what an iteration changes of a model: its weights and its noise."""
    return {f"{name}_weights": model.weights, f"{name}_beta_inv": np.array(model.beta_inv)}


def unpack_sheet(name: str, arrays: Arrays, model: Model) -> Model:
    """Return `model` with the weights and the noise that `pack_sheet` named."""
    weights, beta_inv = _sheet(arrays, f"{name}_", model.weights.shape, model.noise)
    return dataclasses.replace(model, weights=weights, beta_inv=beta_inv)


def digest(arrays: Arrays) -> str:
    """Return a fingerprint of the names and bits of some arrays."""
    total = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        total.update(f"{name} {array.dtype} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]
