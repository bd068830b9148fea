"""Pictures of landscapes: a square for each node, a panel for each column."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.landscape.landscape import Landscape
from dask_igtm.plot.label_colors import LabelColors, label_colors
from dask_igtm.plot.node_panels import SETS, Panel, heading_of, panels_of, rows_of
from dask_igtm.plot.outlines import outlined
from dask_igtm.plot.style import (
    Canvas,
    clarity,
    class_colors,
    heading,
    records,
    shade,
    shaded,
    tooltips,
    with_peaks,
)
from dask_igtm.plot.value_colors import value_colors

Array = NDArray[np.float64]

SMALL, IN_A_ROW = 150, 4  # pixels of the side of a component, about, and how many stand side by side
UNCOVERED, OUTSIDE = ("#222222", [1, 0]), ("#e8590c", [5, 3])  # colour and dashes of outlines
MOST_TICKS = 9
# Vega's words for a number as a share below 1: 1/4, 1/2, 1, 2, 4.
AS_SHARE = "datum.value < 1 ? '1/' + format(1 / datum.value, ',') : format(datum.value, ',')"


def draw(
    landscape: Landscape,
    canvas: Canvas,
    columns: Sequence[Any] | None = None,
    name: str | None = None,
    title: str | None = None,
    scale: str | None = None,
    *,
    colors: Any = None,
    domain: Sequence[float] | None = None,
    relative_to: Any = None,
    shared: bool | None = None,
    names_in_map: bool = False,
) -> Any:
    """Return the picture of a landscape; see `plot.landscape`."""
    if landscape.kind == "classes" and columns is None and relative_to is None:
        if not (scale is None and domain is None and shared is None):
            raise ValueError("scale, domain and shared are of values; of classes give columns=[...] too.")
        return _class_map(landscape, canvas, name or "class", title or "Classes", colors, names_in_map)
    if names_in_map:
        raise ValueError("names_in_map=True is for classes in one panel, which are drawn without columns=.")
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
            color=canvas.gradient("", value_colors("sequential", column, None, "linear"), format=".4~g"),
            tooltip=tooltips("x1", "x2", value=label),
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
    in_colors = np.append(all_values, panel.within)
    colors, scale = colors or panel.colors, scale or panel.scale
    color_scale = value_colors(colors, in_colors, domain, scale)
    legend = _of_ratios(color_scale) if (colors, scale) == ("diverging", "log") else {}
    hover = {each: words for each, (words, _) in panel.told.items()}
    chart = canvas.squares(table, canvas.node_pixels, panel.title, panel.subtitle).encode(
        color=canvas.gradient(panel.legend, color_scale, **legend),
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


def _class_map(
    landscape: Landscape, canvas: Canvas, name: str, title: str, colors: Any, names_in_map: bool
) -> Any:
    rows = np.ones(len(landscape.nodes)) if landscape.support is None else landscape.support
    of_class = dict(zip(landscape.columns, rows @ landscape.values, strict=True))
    labels = label_colors(of_class, colors, landscape.columns)
    probability = labels.merged(landscape.columns, landscape.values)
    best, certainty = probability.argmax(axis=1), probability.max(axis=1)
    columns = {"label": np.array(labels.names, dtype=object)[best], "share": certainty, "support": rows}
    opacity = shade(rows) * clarity(certainty, len(labels.names))
    below = [rows_of(landscape), "pale where they are few, or of several classes", _of_others(labels)]
    hover = {"label": f"most probable {name}", "share": "its probability", "support": "rows"}
    table = records(landscape.nodes, **columns, shade=opacity)
    words = (title, "\n".join(filter(None, below)))
    chart = canvas.squares(table, canvas.node_pixels, *words).encode(
        color=class_colors(labels, name), fillOpacity=shaded(), tooltip=tooltips("x1", "x2", **hover)
    )
    if not names_in_map:
        return chart
    return with_peaks(chart, canvas, landscape.nodes, probability * rows[:, None], labels.names_of_own)


def _of_others(labels: LabelColors) -> str:
    return f"{labels.n_others} other classes together" if labels.n_others else ""
