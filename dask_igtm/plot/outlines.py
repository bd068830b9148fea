"""Outlines of some nodes of a map."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.plot.style import Canvas, records

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.intp]


def outlined(chart: Any, canvas: Canvas, mask: Mask, color: str, dash: list[int]) -> Any:
    """Draw a line over a chart around the nodes of a mask (K,)."""
    lines = borders(mask, canvas)
    base = canvas.chart(records(lines[:, :2], to1=lines[:, 2], to2=lines[:, 3]))
    rules = base.mark_rule(color=color, strokeWidth=2, strokeDash=dash, strokeCap="butt")
    return chart + rules.encode(x2=alt.X2("to1:Q"), y2=alt.Y2("to2:Q"))


def borders(regions: Mask | Numbers, canvas: Canvas) -> Array:
    """Return the sides between nodes of unlike regions (K,), (S, 4): x1 and x2 of both of their ends.

    Outside of the map it is as in region 0, or without a mask.
    """
    edges, inside = canvas.edges[:: canvas.per_node], np.pad(regions.reshape(canvas.k, canvas.k), 1)
    along_x2 = np.argwhere(inside[1:, 1:-1] != inside[:-1, 1:-1])  # between neighbours in x1
    along_x1 = np.argwhere(inside[1:-1, 1:] != inside[1:-1, :-1])
    begin = np.concatenate([along_x2, along_x1])
    along = np.repeat([[0, 1], [1, 0]], [len(along_x2), len(along_x1)], axis=0)
    return np.hstack([edges[begin], edges[begin + along]])
