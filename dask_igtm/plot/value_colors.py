"""From values to colours, in one way for all pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from altair.utils.schemapi import SchemaValidationError
from numpy.typing import NDArray

from dask_igtm.plot.colors import AMOUNTS, CYCLIC, DIVERGING

Array = NDArray[np.float64]

RANGES = {"amounts": AMOUNTS, "diverging": DIVERGING, "cyclic": CYCLIC}
SCALES = ("linear", "sqrt", "log", "symlog")


def value_colors(colors: str, values: Array, domain: Sequence[float] | None, scale: str) -> Any:
    """Return the scale from values to colours, the same in all pictures.

    Parameters
    ----------
    colors : {"sequential", "amounts", "diverging", "cyclic"} or the name of a scheme of Vega
        "amounts" begins with white at 0; "diverging" has it in the middle, at 0, or at 1 on a log scale.
    values : ndarray
        All that are drawn; NaN does not count.
    domain : (float, float) or None
        Where colours begin and end. What lies beyond has the colour of the end.
    scale : str
        One of `SCALES`, from values to colours.

    Raises
    ------
    ValueError
        If there are no such colours, or the scale does not fit the values, or the domain the scale.
    """
    _check_scale(scale, values)
    known = values[np.isfinite(values)]
    if domain is not None:
        limits: Any = _limits(domain, scale)
    else:
        limits = _limits_of(colors, known, scale) if len(known) else alt.Undefined
    if str(colors) in RANGES:  # by Lab, since the hue of white is any
        return alt.Scale(range=RANGES[colors], interpolate="lab", type=scale, domain=limits, clamp=True)
    try:
        scheme = "viridis" if colors == "sequential" else str(colors)
        return alt.Scale(scheme=scheme, type=scale, domain=limits, clamp=True)
    except SchemaValidationError:
        raise ValueError(
            f"colors={colors!r}; give one of {('sequential', *RANGES)}, or a scheme of Vega such as 'magma'."
        ) from None


def _limits(domain: Sequence[float], scale: str) -> list[float]:
    try:
        low, high = map(float, domain)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"domain={domain!r}; give (low, high), two finite numbers of which low is smaller.")
    if scale == "log" and low <= 0:
        raise ValueError(f"domain={domain!r} on a log scale; give limits above 0, or scale='symlog'.")
    return [low, high]


def _limits_of(colors: str, known: Array, scale: str) -> list[float]:
    """Return the limits that values (n,) have in these colours."""
    low, high = float(known.min()), float(known.max())
    if colors == "diverging" and scale == "log":
        fold = max(high, 1 / low)
        return [1 / fold, fold]
    if colors == "diverging":
        return [-max(high, -low), max(high, -low)]
    if colors == "amounts" and scale != "log":
        if low < 0:
            raise ValueError(f"colors='amounts' begin at 0, and values at {low:.4g}; give 'diverging'.")
        return [0.0, high or 1.0]
    return [low, high]


def _check_scale(scale: str, values: Array) -> None:
    if scale not in SCALES:
        raise ValueError(f"scale={scale!r}; give one of {SCALES}.")
    if scale == "log" and (values <= 0).any():
        raise ValueError("scale='log' needs values above 0; give 'symlog'.")
