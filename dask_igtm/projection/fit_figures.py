"""What a fitted map has come to, in words and figures for people: in notebooks and on pages."""

from __future__ import annotations

import math
import textwrap
from typing import Any

import numpy as np

from dask_igtm.data.plain_text import escaped

NAMES_LENGTH = 200  # characters of the names of columns


def fit_figures(igtm: Any) -> dict[str, Any]:
    """Return what a fitted map was fitted to and how, each figure by its name."""
    k, noise = math.isqrt(len(igtm.nodes_)), igtm.model_.noise
    figures = {
        "Rows": igtm.n_samples_seen_,
        "Columns": _columns(igtm),
        "Nodes": f"{k} x {k}",
        "Mean of ln p(x) a row": igtm.log_likelihood_,
        "Iterations": igtm.n_iter_,
        "Converged": igtm.converged_,
        "Stopped by": igtm.stopped_by_,
        "Passes over the data": round(float(igtm.n_passes_), 1),
        "Noise": noise.name,
    }
    if noise.natural:  # which has none of its own
        return figures
    mean = "Mean noise variance of a column" if noise.by_column else "Noise variance"
    return figures | {f"{mean}, in the units of the model": float(np.mean(igtm.beta_inv_))}


def _columns(igtm: Any) -> str:
    """Say how many columns there are, and what they are called, as far as a line holds that."""
    names = list(getattr(igtm, "feature_names_in_", ()))
    listed = textwrap.shorten(", ".join(map(escaped, names)), NAMES_LENGTH, placeholder=" ...")
    return f"{igtm.n_features_in_:,}: {listed}" if names else f"{igtm.n_features_in_:,}"
