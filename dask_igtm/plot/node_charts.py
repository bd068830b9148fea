"""Pictures of landscapes: a square for each node, a panel for each column."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.landscape.landscape import Landscape
from dask_igtm.plot.node_panels import SETS, Panel, heading_of, panels_of, rows_of
from dask_igtm.plot.outlines import outlined
from dask_igtm.plot.shown_text import shown_apart
from dask_igtm.plot.style import (
    COLORS,
    Canvas,
    check_scale,
    clarity,
    class_colors,
    gradient_of,
    heading,
    records,
    shade,
    shaded,
    tooltips,
    value_colors,
    with_peaks,
)

Array = NDArray[np.float64]

SMALL, IN_A_ROW = 150, 4  # pixels of the side of a component, about, and how many stand side by side
UNCOVERED, OUTSIDE = ("#222222", [1, 0]), ("#e8590c", [5, 3])  # colour and dashes of outlines
MOST_TICKS = 9
# Vega's words for a number as a share below 1: 1/4, 1/2, 1, 2, 4.
AS_SHARE = "datum.value < 1 ? '1/' + format(1 / datum.value, ',') : format(datum.value, ',')"


def draw(
    landscape: Landscape,
    canvas: Canvas,
    columns: Sequence[Any] | None,
    name: str | None,
    title: str | None,
    scale: str | None,
    *,
    colors: str | None = None,
    domain: Sequence[float] | None = None,
    relative_to: Any = None,
    shared: bool | None = None,
) -> Any:
    """Return the picture of a landscape; see `plot.landscape`."""
    if landscape.kind == "classes" and columns is None and relative_to is None:
        return _class_map(landscape, canvas, name or "class", title or "Classes")
    panels = panels_of(landscape, columns, name, relative_to, titled=title is not None)
    if len(panels) == 1:
        (panel,) = panels
        panel = dataclasses.replace(panel, title=title or panel.title)
        return _drawn(panel, landscape.nodes, canvas, panel.values, scale, colors, domain)
    if shared is None:
        shared = landscape.kind in {*SETS, "classes"}
    all_values = np.concatenate([panel.values for panel in panels])
    parts = [
        _drawn(panel, landscape.nodes, canvas, all_values if shared else panel.values, scale, colors, domain)
        for panel in panels
    ]
    words = heading(title or heading_of(landscape, name, relative_to))
    together = alt.concat(*parts, columns=3, title=words)
    return together.resolve_scale(color="shared" if shared else "independent")


def components(nodes: Array, values: Array, labels: Sequence[str], title: str, selection: Any) -> Any:
    """Return a small map for each column of values (K, C); see `plot.components`."""
    canvas = Canvas.of(nodes, 1, selection, SMALL)
    parts = [
        canvas.squares(records(nodes, value=column), canvas.node_pixels, label).encode(
            color=canvas.gradient("", "linear", format=".4~g"), tooltip=tooltips("x1", "x2", value=label)
        )
        for column, label in zip(values.T, labels, strict=True)
    ]
    together = alt.concat(*parts, columns=IN_A_ROW, title=heading(title))
    return together.resolve_scale(color="independent")


def _drawn(
    panel: Panel,
    nodes: Array,
    canvas: Canvas,
    all_values: Array,
    scale: str | None,
    colors: str | None,
    domain: Sequence[float] | None,
) -> Any:
    """Draw a panel in the colours of all values that share them."""
    known = np.isfinite(panel.values)
    fields = {"value": panel.values} | {each: values for each, (_, values) in panel.told.items()}
    if panel.shade is not None:
        fields["shade"] = panel.shade
    table = records(nodes[known], **{each: values[known] for each, values in fields.items()})
    scale = check_scale(scale or panel.scale, panel.values)
    in_colors = np.append(all_values, panel.within)
    colors = colors or panel.colors
    color_scale = value_colors(colors, in_colors, domain, scale)
    legend = _of_ratios(color_scale) if (colors, scale) == ("diverging", "log") else {}
    hover = {each: words for each, (words, _) in panel.told.items()}
    chart = canvas.squares(table, canvas.node_pixels, panel.title, panel.subtitle).encode(
        color=gradient_of(canvas, panel.legend, color_scale, **legend),
        tooltip=tooltips("x1", "x2", value=panel.legend, **hover),
    )
    chart = chart if panel.shade is None else chart.encode(fillOpacity=shaded())
    if panel.uncovered is not None and panel.outside is not None:
        chart = outlined(chart, canvas, panel.uncovered, *UNCOVERED)
        chart = outlined(chart, canvas, panel.outside, *OUTSIDE)
    return chart


def _of_ratios(scale: Any) -> dict[str, Any]:
    """Return the legend of ratios on a log scale: powers of 2, below 1 as shares."""
    low, high = np.log2(scale["domain"])
    powers = np.arange(np.ceil(low), np.floor(high) + 1)
    step = 1 + len(powers) // MOST_TICKS
    values = {"values": (2.0 ** powers[powers % step == 0]).tolist()} if len(powers) > 1 else {}
    return values | {"labelExpr": AS_SHARE}


def _class_map(landscape: Landscape, canvas: Canvas, name: str, title: str) -> Any:
    names = shown_apart(landscape.columns)
    if len(names) > len(COLORS):
        raise ValueError(
            f"There are {len(names)} classes, and {len(COLORS)} colours that can be told apart; give "
            "columns=[...] for a panel each, or merge the rare classes."
        )
    best = landscape.values.argmax(axis=1)
    columns = {"label": np.array(names)[best], "certainty": landscape.values.max(axis=1)}
    support = np.ones(len(best)) if landscape.support is None else landscape.support
    columns["shade"] = shade(support) * clarity(columns["certainty"], len(names))
    table = records(landscape.nodes, **columns, support=support)
    subtitle = f"{rows_of(landscape)}; pale where they are few, or of several classes"
    hover = {"label": f"most probable {name}", "certainty": "its probability", "support": "rows"}
    chart = canvas.squares(table, canvas.node_pixels, title, subtitle).encode(
        color=class_colors(names, name), fillOpacity=shaded(), tooltip=tooltips("x1", "x2", **hover)
    )
    return with_peaks(chart, canvas, landscape.nodes, landscape.values * support[:, None], names)
