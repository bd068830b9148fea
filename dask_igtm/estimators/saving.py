"""A fitted map as what a file without pickle can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm._version import __version__
from dask_igtm.model import arrays as models
from dask_igtm.model.functions import functions_of
from dask_igtm.noise import families
from dask_igtm.solvers import stepwise
from dask_igtm.statistics.log_histogram import NOTHING, Histogram

NUMBERS = (
    "n_iter_",
    "n_passes_",
    "stopped_by_",
    "log_likelihood_",
    "n_features_in_",
    "kernel_",
    "n_samples_seen_",
    "regul_",
)
FORMER = "converged_"  # which 0.1 reads instead of `stopped_by_`
STREAM, EXPOSURES = ("g", "functions_rx", "square"), "exposures"  # the averages of a stream
# What release 0.1 took where its files are silent; signatures may say otherwise by now.
PARAMETERS_OF_0_1 = {
    "k": 16,
    "m": 4,
    "s": 0.3,
    "regul": 0.1,
    "random_state": 1234,
    "niter": 200,
    "verbose": False,
    "model": "means",
    "n_blocks": 0,
    "prior": "estimated",
    "scale": None,
    "tol": 1e-4,
    "solver": "em",
    "noise": "isotropic",
    "exposure": None,
    "missing": "error",
    "keep_empty_rows": False,
    "n_components": None,
    "persist": "auto",
}


def pack(igtm: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a header for JSON and named arrays: class, parameters, model, and what that does not tell."""
    header = {
        "package_version": __version__,
        "class": class_name(igtm),
        "parameters": igtm.get_params(),
        "fitted": {name: getattr(igtm, name) for name in (*NUMBERS, FORMER)},
    }
    arrays = {"history": igtm.history_, "history_shares": igtm.history_shares_, **models.pack(igtm.model_)}
    if hasattr(igtm, "stream_"):
        averages = {name: getattr(igtm.stream_, name) for name in (*STREAM, EXPOSURES)}
        known = {name: value for name, value in averages.items() if value is not None}
        arrays |= {f"stream_{name}": np.asarray(value) for name, value in known.items()}
        deviance = igtm.stream_.deviance
        arrays["stream_deviance"] = np.stack([deviance.low, deviance.high, deviance.weight])
    if igtm.deviance_ is not None:
        arrays["deviance"] = igtm.deviance_
    return header, arrays


def unpack(kind: type, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """Return the estimator of that class of which `pack` made these."""
    igtm = kind(**parameters(kind, header["parameters"]))
    fitted = dict(header["fitted"])
    fitted.setdefault("regul_", igtm.regul)  # of files before it was an attribute
    fitted.setdefault("stopped_by_", _stopped_by(fitted.pop(FORMER), fitted["n_iter_"], igtm.niter, arrays))
    for name, value in fitted.items():
        setattr(igtm, name, math.nan if value is None else value)  # of an interrupted fit, by JSON's null
    igtm.history_ = arrays["history"]
    igtm.history_shares_ = arrays.get("history_shares", np.ones(len(igtm.history_)))  # older files lack it
    igtm.model_ = models.unpack(arrays, families.unpack(arrays))
    igtm.deviance_ = arrays.get("deviance")  # which older releases did not save
    if "stream_g" in arrays:
        if "stream_rx" in arrays:  # of 0.1
            arrays = {
                **arrays,
                "stream_functions_rx": functions_of(igtm.model_.basis).values.T @ arrays["stream_rx"],
            }
        g, functions_rx, square = (arrays[f"stream_{name}"] for name in STREAM)
        known = Histogram(*arrays["stream_deviance"]) if "stream_deviance" in arrays else NOTHING
        of_rows = square if square.ndim else float(square)
        averages = (g, functions_rx, of_rows, known, arrays.get(f"stream_{EXPOSURES}"))
        igtm.stream_ = stepwise.State(igtm.model_, igtm.n_samples_seen_, *averages)
    if igtm.model_.names is not None:
        igtm.feature_names_in_ = np.array(igtm.model_.names, dtype=object)
    return igtm


def class_name(estimator: Any) -> str:
    """Return the name of its class, or of the nearest of ours above a class of somebody else."""
    ours = (kind for kind in type(estimator).__mro__ if kind.__module__.startswith("dask_igtm."))
    return next(ours).__name__


def parameters(kind: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of a class, of a file that need not name those of its day that it lacks."""
    missing = {name: PARAMETERS_OF_0_1[name] for name in kind._get_param_names() if name not in saved}
    return {**missing, **saved}


def _stopped_by(converged: bool, n_iter: int, niter: int, arrays: dict[str, NDArray[Any]]) -> str:
    """Say why a fit stopped of which 0.1 kept only whether it had converged."""
    if converged:
        return "tolerance"
    return "iterations" if n_iter >= niter or "stream_g" in arrays else "unknown"
