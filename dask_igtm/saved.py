"""A fitted estimator as what a file without pickle can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm import __version__, archive, stepwise

NUMBERS = (
    "n_iter_",
    "n_passes_",
    "converged_",
    "log_likelihood_",
    "n_features_in_",
    "kernel_",
    "n_samples_seen_",
)
STREAM = ("g", "rx", "square")  # the averages of a stream


def pack(estimator: Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return a header for JSON and named arrays: parameters, model, and what does not follow from it."""
    header = {
        "package_version": __version__,
        "parameters": estimator.get_params(),
        "fitted": {name: getattr(estimator, name) for name in NUMBERS},
    }
    arrays = {"history": estimator.history_, **archive.pack(estimator.model_)}
    if hasattr(estimator, "stream_"):
        arrays |= {f"stream_{name}": np.asarray(getattr(estimator.stream_, name)) for name in STREAM}
    if hasattr(estimator, "feature_names_in_"):
        arrays["feature_names"] = estimator.feature_names_in_.astype(str)
    return header, arrays


def unpack(kind: type, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    """Return the estimator of that class of which `pack` made these."""
    estimator = kind(**header["parameters"])
    for name, value in header["fitted"].items():
        setattr(estimator, name, value)
    estimator.history_ = arrays["history"]
    estimator.model_ = archive.unpack(arrays)
    if "stream_g" in arrays:
        g, rx, square = (arrays[f"stream_{name}"] for name in STREAM)
        estimator.stream_ = stepwise.State(estimator.model_, estimator.n_samples_seen_, g, rx, float(square))
    if "feature_names" in arrays:
        estimator.feature_names_in_ = arrays["feature_names"].astype(object)
    return estimator
