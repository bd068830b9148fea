"""A fitted map as what a file without pickle can hold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm._version import __version__
from dask_igtm.model import arrays as models
from dask_igtm.model import stored
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model
from dask_igtm.noise import families
from dask_igtm.solvers import stepwise
from dask_igtm.statistics.log_histogram import NOTHING, SHARES, Histogram


def _is_number(value: Any) -> bool:
    """Whether JSON has a finite number, or null for NaN."""
    return value is None or (type(value) in (int, float) and math.isfinite(value))


def _is_amount(value: Any) -> bool:
    return _is_number(value) and (value is None or value >= 0)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


NUMBERS = {  # what a fit has come to
    "n_iter_": _is_count,
    "n_passes_": _is_amount,
    "stopped_by_": _is_word,
    "log_likelihood_": _is_number,
    "n_features_in_": _is_count,
    "kernel_": _is_word,
    "n_samples_seen_": _is_amount,
    "regul_": _is_amount,
}
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
    """Return the estimator of that class of which `pack` made these.

    Raises
    ------
    ValueError
        If they are none of such an estimator.
    """
    igtm = kind(**parameters(kind, header["parameters"]))
    igtm.model_ = models.unpack(arrays, families.unpack(arrays))
    igtm.history_ = stored.floats(arrays, "history", None, finite=False)
    n_iter = len(igtm.history_)
    igtm.history_shares_ = (
        stored.positive(arrays, "history_shares", n_iter)
        if "history_shares" in arrays
        else np.ones(n_iter)  # older files lack it
    )
    for name, value in _fitted(header["fitted"], igtm, streamed="stream_g" in arrays).items():
        setattr(igtm, name, value)
    n_quantiles = len(SHARES)
    igtm.deviance_ = (
        stored.floats(arrays, "deviance", n_quantiles, finite=False)
        if "deviance" in arrays
        else None  # which older releases did not save
    )
    if "stream_g" in arrays:
        igtm.stream_ = _stream(arrays, igtm.model_, igtm.n_samples_seen_)
    if igtm.model_.names is not None:
        igtm.feature_names_in_ = np.array(igtm.model_.names, dtype=object)
    return igtm


def _fitted(saved: dict[str, Any], igtm: Any, *, streamed: bool) -> dict[str, Any]:
    """Return what a fit has come to; a file that sets anything else is refused."""
    known = {"regul_": igtm.regul, **saved}  # which older files lack
    former = known.pop(FORMER)
    if "stopped_by_" not in known:
        known["stopped_by_"] = _stopped_by(former, known["n_iter_"], igtm.niter, streamed=streamed)
    if known.keys() != NUMBERS.keys():
        raise ValueError(f"it tells {', '.join(map(repr, known))} of the fit, and not {', '.join(NUMBERS)}")
    wrong = [f"{name} {known[name]!r}" for name, is_one in NUMBERS.items() if not is_one(known[name])]
    n_columns = len(igtm.model_.affine.mean)
    if known["n_features_in_"] != n_columns:
        wrong.append(f"n_features_in_ {known['n_features_in_']!r} for {n_columns} columns")
    if wrong:
        raise ValueError(f"the fit cannot have {', '.join(wrong)}")
    return {name: math.nan if value is None else value for name, value in known.items()}


def _stream(arrays: dict[str, NDArray[Any]], model: Model, n_seen: float) -> stepwise.State:
    """Return the state of a stream whose averages are in arrays."""
    functions = functions_of(model.basis).values
    (n_nodes, n_functions), n_columns = functions.shape, model.weights.shape[1]
    if "stream_rx" in arrays:  # of 0.1
        functions_rx = functions.T @ stored.floats(arrays, "stream_rx", n_nodes, n_columns)
    else:
        functions_rx = stored.floats(arrays, "stream_functions_rx", n_functions, n_columns)
    by_column = model.noise.by_column
    square = stored.floats(arrays, "stream_square", *((n_columns,) if by_column else ()))
    of_rows = square if by_column else float(square)
    known = NOTHING  # to older files
    if "stream_deviance" in arrays:
        known = Histogram(*stored.floats(arrays, "stream_deviance", 3, None))
    exposures = stored.floats(arrays, f"stream_{EXPOSURES}", n_nodes) if model.noise.exposed else None
    g = stored.floats(arrays, "stream_g", n_nodes)
    return stepwise.State(model, n_seen, g, functions_rx, of_rows, known, exposures)


def class_name(estimator: Any) -> str:
    """Return the name of its class, or of the nearest of ours above a class of somebody else."""
    ours = (kind for kind in type(estimator).__mro__ if kind.__module__.startswith("dask_igtm."))
    return next(ours).__name__


def parameters(kind: Any, saved: dict[str, Any]) -> dict[str, Any]:
    """Return all parameters of a class, of a file that need not name those of its day that it lacks.

    Raises ValueError if it names others, or gives them what no parameter can be.
    """
    names = kind._get_param_names()
    unknown = sorted(set(saved) - set(names))
    if unknown:
        raise ValueError(f"{kind.__name__} has no parameters {', '.join(map(repr, unknown))}")
    nested = {name for name, value in saved.items() if isinstance(value, (dict, list))}
    if nested - set(getattr(kind, "_own", ())):
        raise ValueError(f"{', '.join(sorted(nested))} of the parameters are no scalars")
    missing = {name: PARAMETERS_OF_0_1[name] for name in names if name not in saved}
    return {**missing, **saved}


def _stopped_by(converged: bool, n_iter: int, niter: int, *, streamed: bool) -> str:
    """Say why a fit stopped of which 0.1 kept only whether it had converged."""
    if converged:
        return "tolerance"
    return "iterations" if n_iter >= niter or streamed else "unknown"
