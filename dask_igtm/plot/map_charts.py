"""The charts of a map on a page, linked: a region or a node of one is marked on all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.column_names import series_name
from dask_igtm.data.frames import category_order
from dask_igtm.landscape import from_rows
from dask_igtm.landscape.survey import Survey
from dask_igtm.plot import node_charts, row_charts
from dask_igtm.plot.label_colors import colors_within, label_colors
from dask_igtm.plot.outlines import borders
from dask_igtm.plot.row_charts import Look
from dask_igtm.plot.style import Canvas, records

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

SIDE = 320  # pixels of a map, about: two of them fit beside what is told of a node
REGION = alt.selection_interval(name="region", encodings=["x", "y"])
CHOSEN = "chosen"  # the data that hold the place of the node that is chosen
LEAST_OUTLINE = 12  # pixels of its side, for nodes may be smaller
BORDERS, NUMBERS = "borders", "numbers"  # the data of regions that can be opened
NO_REGION = -1


class Beside(NamedTuple):
    """What goes with the rows, as it is drawn on all maps."""

    y: Any
    labels: Any
    names: Sequence[str]  # of the columns of y
    scale: str
    colors: Mapping[Any, str]  # of the labels that have one of their own on the root

    @classmethod
    def of(cls, root: Survey, y: Any, labels: Any, names: Sequence[str], scale: str) -> Self:
        """Return it with the colours that labels have on the root."""
        rows = _rows_by_label(root)
        colors = label_colors(rows, order=category_order(labels)).own if rows else {}
        return cls(y, labels, names, scale, colors)

    def colors_of(self, found: Survey) -> dict[Any, str]:
        """Return the colours of the labels of a map; none where it has none."""
        return colors_within(_rows_by_label(found), self.colors)


def map_charts(igtm: Any, found: Survey, beside: Beside, openable: Numbers) -> dict[str, Any]:
    """Return the specification of all charts of a map.

    Parameters
    ----------
    igtm : IGTM
        Fitted.
    found : Survey
    beside : Beside
    openable : ndarray of shape (K,)
        Number of the region of each node that has a map of its own, -1 of others.
    """
    spread = next(each for each in (found.plain, found.by_label, found.by_value) if each is not None)
    canvas = Canvas.of(igtm.nodes_, len(spread.counts), REGION, SIDE)  # in the bins of the rows
    drawn = [*_projections(canvas, found, beside), *_landscapes(canvas, found, beside)]
    drawn.append(node_charts.draw(from_rows.magnification(igtm), canvas))
    return _linked(drawn, canvas, openable)


def _rows_by_label(found: Survey) -> Mapping[Any, float]:
    spread = found.by_label
    return {} if spread is None or spread.labels is None or not spread.n_rows else spread.labels.totals


def _projections(canvas: Canvas, found: Survey, beside: Beside) -> Iterator[Any]:
    """Yield a chart of the rows for each thing that may colour them."""
    if found.plain is not None:
        yield row_charts.draw(found.plain, canvas)
    if found.by_label is not None and found.by_label.n_rows:
        look = Look(colors=beside.colors_of(found))
        yield row_charts.draw(found.by_label, canvas, series_name(beside.labels), look)
    if found.by_value is not None and found.by_value.n_rows:
        yield row_charts.draw(found.by_value, canvas, series_name(beside.y), Look(scale=beside.scale))


def _landscapes(canvas: Canvas, found: Survey, beside: Beside) -> Iterator[Any]:
    """Yield a chart of the nodes for each thing that rows say of them."""
    yield node_charts.draw(found.density, canvas)
    if found.classes is not None:
        colors = beside.colors_of(found)
        yield node_charts.draw(found.classes, canvas, name=series_name(beside.labels), colors=colors)
    if found.property is not None:
        for column, name in zip(found.property.columns_of("mean"), beside.names, strict=True):
            yield node_charts.draw(found.property, canvas, [column], title=name, scale=beside.scale)


def _linked(maps: Sequence[Any], canvas: Canvas, openable: Numbers) -> dict[str, Any]:
    """Return the specification of all maps, in which a region or a node of one is marked on all.

    They are put together as dictionaries: Altair would copy all of their data for each step of it.
    """
    regions = _regions(canvas, openable)
    above = [_unit(mark)[0] for mark in (*(_region_marks(canvas) if regions else ()), *_outline(canvas))]
    panels = []
    for number, drawn in enumerate(maps):
        layer, size = _unit(drawn)
        layers = [layer | {"name": f"rows{number}"}, *above]
        panels.append({"name": f"map{number}", "layer": layers} | size)
    region = REGION.param.to_dict() | {"views": [panel["layer"][0]["name"] for panel in panels]}
    return {
        "$schema": alt.SCHEMA_URL,
        "config": {"aria": False},  # thousands of marks say less than the page tells of a node
        "concat": panels,
        "columns": 2,
        "resolve": {"scale": dict.fromkeys(("color", "shape", "opacity", "size"), "independent")},
        "params": [region],
        "datasets": {CHOSEN: []} | regions,
    }


def _unit(chart: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the specification of a chart, and its width and height."""
    spec = chart.to_dict(validate=False)  # which takes longest of all, and never fails
    size = {side: spec.pop(side) for side in ("width", "height")}
    return {part: spec[part] for part in spec if part not in {"$schema", "config"}}, size


def _named(canvas: Canvas, data: str) -> Any:
    return canvas.chart([]).properties(data=alt.NamedData(name=data))


def _outline(canvas: Canvas) -> tuple[Any, Any]:
    """Return a light rim and a dark line around the chosen node, which are seen on every colour."""
    side = max(canvas.node_pixels + 2, LEAST_OUTLINE)
    look = {"shape": "square", "size": side**2, "filled": False, "opacity": 1, "tooltip": None}
    rim = _named(canvas, CHOSEN).mark_point(stroke="white", strokeWidth=5, **look)
    return rim, _named(canvas, CHOSEN).mark_point(stroke="black", strokeWidth=2, **look)


def _regions(canvas: Canvas, openable: Numbers) -> dict[str, list[dict[str, Any]]]:
    """Return data of where regions end and where their numbers stand; none where none can be opened."""
    if not (openable != NO_REGION).any():
        return {}
    lines = borders(openable + 1, canvas)
    nodes = np.argwhere(np.ones((canvas.k, canvas.k)))
    middles = (canvas.edges[:: canvas.per_node][1:] + canvas.edges[:: canvas.per_node][:-1]) / 2
    numbers = [number for number in np.unique(openable) if number != NO_REGION]
    places = np.array([middles[_innermost(nodes[openable == number])] for number in numbers])
    return {
        BORDERS: records(lines[:, :2], to1=lines[:, 2], to2=lines[:, 3]),
        NUMBERS: records(places, region=map(str, numbers)),
    }


def _innermost(nodes: Numbers) -> Numbers:
    """Return the node of a region, (2,) of (S, 2), that is nearest to its middle."""
    return np.asarray(nodes[((nodes - nodes.mean(axis=0)) ** 2).sum(axis=1).argmin()])


def _region_marks(canvas: Canvas) -> Iterator[Any]:
    """Yield what is drawn of regions that can be opened: light below dark, to be seen on every colour."""
    lines = _named(canvas, BORDERS).encode(x2=alt.X2("to1:Q"), y2=alt.Y2("to2:Q"))
    words = _named(canvas, NUMBERS).encode(text="region:N")
    text = {"fontSize": 15, "fontWeight": "bold", "tooltip": None}
    yield lines.mark_rule(stroke="white", strokeWidth=4, strokeCap="round", opacity=0.8, tooltip=None)
    yield lines.mark_rule(stroke="black", strokeWidth=1.5, strokeCap="round", tooltip=None)
    yield words.mark_text(fill="white", stroke="white", strokeWidth=4, opacity=0.8, **text)
    yield words.mark_text(fill="black", **text)
