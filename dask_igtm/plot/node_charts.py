"""Pictures of landscapes: a square for each node, a panel for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.landscape.landscape import Landscape
from dask_igtm.plot.label_colors import label_colors
from dask_igtm.plot.shown_text import shown_apart
from dask_igtm.plot.style import (
    Canvas,
    amount,
    check_scale,
    class_colors,
    heading,
    pureness,
    records,
    shade,
    shades,
    tooltips,
    with_peaks,
)

Array = NDArray[np.float64]

TITLES = {
    "density": "Density",
    "property": "Property",
    "classes": "Classes",
    "coverage": "Coverage",
    "compare": "Densities",
    "magnification": "Magnification",
}
SMALL, IN_A_ROW = 150, 4  # pixels of the side of a component, about, and how many stand side by side
SHARES = ("density", "coverage", "compare")  # kinds whose values are shares of the rows


def draw(
    landscape: Landscape,
    canvas: Canvas,
    columns: Sequence[Any] | None,
    name: str | None,
    title: str | None,
    scale: str | None,
) -> Any:
    """Return the picture of a landscape; see `plot.landscape`."""
    if landscape.kind == "classes" and columns is None:
        return _class_map(landscape, canvas, name or "class", title or TITLES["classes"], None, False)
    chosen = _chosen(landscape, columns)
    values = landscape.values[:, chosen]
    scale = check_scale(scale or _default_scale(landscape.kind, values), values)
    word = f"{name or 'class'} " if landscape.kind == "classes" else ""
    labels = [f"{word}{landscape.columns[column]}" for column in chosen]
    if len(chosen) == 1:
        word = title or (labels[0] if word else TITLES[landscape.kind])
        return _panel(landscape, canvas, chosen[0], name, word, scale, None)
    domain = _common_domain(landscape, chosen)
    parts = [
        _panel(landscape, canvas, column, name, label, scale, domain)
        for column, label in zip(chosen, labels, strict=True)
    ]
    together = alt.concat(*parts, columns=3, title=heading(title or TITLES[landscape.kind]))
    return together.resolve_scale(color="shared" if domain else "independent", size="independent")


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


def _chosen(landscape: Landscape, columns: Sequence[Any] | None) -> list[int]:
    """Return the numbers of the columns to draw."""
    if columns is None:  # the first part of everything, which is what the others are beside
        return list(range(0, len(landscape.columns), len(landscape.parts)))
    unknown = [column for column in columns if column not in landscape.columns]
    if unknown or len(columns) == 0:
        raise ValueError(f"columns={list(columns)}; give some of {list(landscape.columns)}.")
    return [landscape.columns.index(column) for column in columns]


def _default_scale(kind: str, values: Array) -> str:
    if kind == "magnification" and (values > 0).all():
        return "log"
    return "sqrt" if kind in SHARES else "linear"


def _common_domain(landscape: Landscape, chosen: list[int]) -> list[float] | None:
    """Return the limits that panels of one quantity share."""
    if landscape.kind == "classes":
        return [0.0, 1.0]
    if landscape.kind not in {"coverage", "compare"}:
        return None
    return [0.0, float(landscape.values[:, chosen].max())]


def _panel(
    landscape: Landscape,
    canvas: Canvas,
    column: int,
    name: str | None,
    title: str,
    scale: str,
    domain: list[float] | None,
) -> Any:
    """Draw one column of a landscape."""
    kind, label = landscape.kind, str(landscape.columns[column])
    name = _legend(kind, label, name)
    known = np.isfinite(landscape.values[:, column])
    columns, subtitle = {"value": landscape.values[known, column]}, _subtitle(landscape, label)
    if kind == "property":
        columns["support"] = support = landscape.part("support")[known, column // len(landscape.parts)]
        largest = support.max(initial=0.0)
        subtitle = f"{amount(support.sum())} rows; size by rows at a node, at most {largest:,.1f}"
    elif landscape.support is not None:
        columns["support"] = landscape.support[known]
    table = records(landscape.nodes[known], **columns)
    hover = {"value": name} | ({"support": "rows"} if "support" in columns else {})
    chart = canvas.squares(table, canvas.node_pixels, title, subtitle).encode(
        color=canvas.gradient(name, scale, domain), tooltip=tooltips("x1", "x2", **hover)
    )
    return chart.encode(size=canvas.sizes()) if kind == "property" else chart


def _legend(kind: str, label: str, name: str | None) -> str:
    """Say what the colours of a column are."""
    if kind == "property":
        return f"{label} {name}" if name else label
    if kind == "classes":
        return "probability"
    if kind in SHARES:
        return "rows" if label == "support" else name or "share of rows"
    return name or "data / map area"


def _subtitle(landscape: Landscape, label: str) -> str:
    summary = landscape.summary
    if landscape.kind == "magnification":
        return "Area in data space, in squared units of X, per area of the map"
    if landscape.kind == "coverage" and label in summary:
        return f"{summary[label]:.1%} of the rows where the reference has rows"
    rows = summary.get(label if landscape.kind == "compare" else "n_rows")
    return "" if rows is None else f"{amount(rows)} rows"


def _class_map(
    landscape: Landscape, canvas: Canvas, name: str, title: str, colors: Any, names_in_map: bool
) -> Any:
    rows = np.ones(len(landscape.nodes)) if landscape.support is None else landscape.support
    of_class = dict(zip(landscape.columns, rows @ landscape.values, strict=True))
    labels = label_colors(of_class, colors, landscape.columns)
    probability = labels.merged(landscape.columns, landscape.values)
    best, certainty = probability.argmax(axis=1), probability.max(axis=1)
    columns = {"label": np.array(labels.names, dtype=object)[best], "share": certainty, "support": rows}
    opacity = shade(rows) * pureness(certainty, len(labels.names))
    below = [_subtitle(landscape, ""), "the paler, the fewer rows or the less probable", labels.note]
    hover = {"label": f"most probable {name}", "share": "its probability", "support": "rows"}
    table = records(landscape.nodes, **columns, shade=opacity)
    words = (title, "\n".join(filter(None, below)))
    chart = canvas.squares(table, canvas.node_pixels, *words).encode(
        color=class_colors(labels, name), fillOpacity=shades(), tooltip=tooltips("x1", "x2", **hover)
    )
    if not names_in_map:
        return chart
    return with_peaks(chart, canvas, landscape.nodes, probability * rows[:, None], labels.names)
