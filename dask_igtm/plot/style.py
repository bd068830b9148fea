"""What the pictures of a map have in common: their frame, their squares, their colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.plot.colors import CATEGORIES
from dask_igtm.plot.label_colors import LabelColors
from dask_igtm.plot.label_places import places_of, text_box
from dask_igtm.plot.shown_text import apart, shown, shown_field, shown_title
from dask_igtm.statistics.map_bins import edges_of

Array = NDArray[np.float64]

SIDE = 360  # of a map in pixels, about
FADED = 0.07
MOST_ABOVE_MEAN = 25  # a point that weighs more than the mean is at most so much larger
NAME_PIXELS = 11  # height of the names in a map
CELLS = 20  # along a side, by which it is told where rows are dense
FORMATS = {  # in tooltips; other fields are numbers
    "label": ("N", alt.Undefined),
    "rows": ("Q", ","),
    "weight": ("Q", ",.4~g"),
    "row": ("Q", ","),
    "share": ("Q", ".1%"),
}
PLAIN = CATEGORIES[0]  # of what has no colour of its own
SHAPES = [
    *("circle", "triangle-up", "square", "diamond", "cross"),
    *("triangle-down", "triangle-right", "triangle-left", "M-1,-.3H1V.3H-1Z", "M-.3,-1V1H.3V-1Z"),
]


@dataclass(frozen=True)
class Canvas:
    """The square that shows a map of k x k nodes, each of `per_node` x `per_node` bins.

    A node and a bin are whole pixels, lest seams show between them, and the squares of the outermost nodes
    reach beyond [-1, 1].
    """

    k: int
    per_node: int
    selection: Any = None
    about: int = SIDE  # pixels of a side

    @classmethod
    def of(cls, nodes: Array, n_bins: int = 100, selection: Any = None, about: int = SIDE) -> Canvas:
        """Return the canvas of a map, with about `n_bins` bins along its sides."""
        k = math.isqrt(len(nodes))
        return cls(k, max(1, round(n_bins / k)), selection, about)

    @property
    def bin_pixels(self) -> int:
        """Side of a bin."""
        return max(1, round(self.about / self.k / self.per_node))

    @property
    def node_pixels(self) -> int:
        """Side of a node."""
        return self.bin_pixels * self.per_node

    @property
    def edges(self) -> Array:
        """Where bins begin and end along one side."""
        return edges_of(self.k**2, self.k * self.per_node)

    def chart(self, records: list[dict[str, Any]], title: str = "", subtitle: str = "") -> Any:
        """Return a chart without a mark of records that have `x1` and `x2`."""
        low, high = self.edges[[0, -1]].tolist()
        side = self.k * self.node_pixels
        scale = alt.Scale(domain=[low, high], nice=False)
        axis = alt.Axis(labels=False, ticks=False, grid=False)  # whose numbers mean nothing
        words = heading(title, subtitle)
        return alt.Chart(alt.Data(values=records), title=words, width=side, height=side).encode(
            x=alt.X("x1:Q", title="x1", scale=scale, axis=axis),
            y=alt.Y("x2:Q", title="x2", scale=scale, axis=axis),
        )

    def points(self, records: list[dict[str, Any]], *words: str) -> Any:
        """Return a chart with a point for each record, the smaller the more there are."""
        size = self._point_pixels(len(records))
        mark = self.chart(records, *words).mark_point(filled=True, size=size, strokeWidth=0)
        return mark.encode(opacity=self._faded(0.8))

    def point_sizes(self, weights: Array) -> Any:
        """Return the size of a point by the field `weight`, with which its area goes; 1 in their mean."""
        largest = min(weights.max() / weights.mean(), MOST_ABOVE_MEAN) * self._point_pixels(len(weights))
        scale = alt.Scale(domain=[0, float(weights.max())], range=[0, largest])
        return alt.Size("weight:Q", scale=scale, legend=None)

    @staticmethod
    def _point_pixels(n_points: int) -> float:
        return min(60.0, max(9.0, 40_000 / n_points))

    def squares(self, records: list[dict[str, Any]], side: int, *words: str) -> Any:
        """Return a chart with a square of `side` pixels for each record."""
        mark = self.chart(records, *words).mark_square(size=side**2, strokeWidth=0)
        return mark.encode(opacity=self._faded(1))

    def _faded(self, opacity: float) -> Any:
        """Return `opacity`, and almost none for what lies outside of the selection."""
        shown = alt.value(opacity)
        return shown if self.selection is None else alt.condition(self.selection, shown, alt.value(FADED))

    def gradient(self, name: str, scale: Any, **legend: Any) -> Any:
        """Return the colours of the field `value` by a scale such as `value_colors` returns."""
        length = round(0.8 * self.k * self.node_pixels)
        drawn = alt.Legend(gradientLength=length, titleLimit=220, **legend)
        return alt.Color("value:Q", title=shown(name), scale=scale, legend=drawn)


def records(places: Array, **columns: Iterable[Any]) -> list[dict[str, Any]]:
    """Return a record for each place (n, 2), with x1, x2 and the columns; numbers to six digits.

    Their texts are such as `shown_apart` returns.
    """
    table = {"x1": places[:, 0], "x2": places[:, 1]} | columns
    return [
        {name: _plain(value) for name, value in zip(table, row, strict=True)}
        for row in zip(*table.values(), strict=True)
    ]


def heading(title: str, subtitle: str | None = None) -> Any:
    """Return the title of a chart, and what stands below it."""
    below = alt.Undefined if subtitle is None else shown_title(subtitle)
    return alt.Title(shown_title(title), subtitle=below, anchor="start", subtitleColor="#555")


def class_colors(labels: LabelColors, title: str) -> Any:
    """Return the colours of the field `label`, with a legend of all names."""
    scale = alt.Scale(domain=labels.names, range=labels.colors)
    return alt.Color("label:N", title=shown(title), scale=scale, legend=_class_legend())


def class_shapes(labels: LabelColors, title: str) -> Any:
    """Return the shapes of the field `label`, by which neighbours of a legend differ in grey too.

    They go with the colours, so that a label of one colour on several maps has one shape there.
    """
    numbers = [
        CATEGORIES.index(color) if color in CATEGORIES else number
        for number, color in enumerate(labels.colors)
    ]
    shapes = [SHAPES[number % len(SHAPES)] for number in numbers]
    scale = alt.Scale(domain=labels.names, range=shapes)
    return alt.Shape("label:N", title=shown(title), scale=scale, legend=_class_legend())


def _class_legend() -> Any:
    return alt.Legend(symbolOpacity=1, symbolSize=90, labelLimit=0, titleLimit=0, symbolLimit=0)


def shade(support: Array) -> Array:
    """Return how opaque nodes (K,) are by their rows: not at all without any, fully from a typical number on.

    It grows with the logarithm of 1 + rows. Typical is the mean over the rows of how many share their node.
    """
    total = support.sum()
    if not total > 0:
        return np.zeros(len(support))
    typical = (support * (support / total)).sum()
    return np.asarray(np.minimum(np.log1p(support) / np.log1p(typical), 1.0))


def clarity(probability: Array, n_classes: int) -> Array:
    """Return how opaque the likeliest of some classes is by its probability, a tenth where all are alike."""
    least = 1 / n_classes if n_classes > 1 else 0.0
    return np.asarray(0.1 + 0.9 * np.clip((probability - least) / (1 - least), 0.0, 1.0))


def shaded() -> Any:
    """Return the opacity of the field `shade`, which is such already."""
    return alt.FillOpacity("shade:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None)


def tooltips(*fields: str, **named: str) -> list[Any]:
    """Return what is told of a record: fields by their own names, then those that are `named`.

    Fields that begin with "told" are texts. Two of one title would be one.
    """
    titles = {field: field for field in fields} | named
    return [
        alt.Tooltip(f"{field}:{kind}", title=title, format=text)
        for field, title in zip(titles, apart(map(shown_field, titles.values())), strict=True)
        for kind, text in [_format(field)]
    ]


def _format(field: str) -> tuple[str, Any]:
    return ("N", alt.Undefined) if field.startswith("told") else FORMATS.get(field, ("Q", ".4~g"))


def with_names(
    chart: Any, canvas: Canvas, anchors: Array, names: Sequence[str], places: Array, weights: NDArray[Any]
) -> Any:
    """Write names over a chart beside their anchors (C, 2), where little of the weights (n,) at places lies.

    A thin line leads from a name to its anchor where it stands apart from that. A name for which there is no
    room is left to the legend.
    """
    side = canvas.k * canvas.node_pixels
    low, high = canvas.edges[[0, -1]]
    cells = np.linspace(low, high, CELLS + 1)
    mass = np.histogram2d(places[:, 1], places[:, 0], bins=[cells, cells], weights=weights)[0]
    boxes = np.array([text_box(name, NAME_PIXELS) for name in names])
    found = places_of((anchors - low) / (high - low) * side, boxes, mass, side)
    kept = [number for number, place in enumerate(found) if place is not None]
    if not kept:
        return chart
    centres = low + np.array([found[number] for number in kept]) / side * (high - low)
    ends = anchors[kept]
    table = records(centres, label=[names[number] for number in kept], to1=ends[:, 0], to2=ends[:, 1])
    base = canvas.chart(table)
    line = base.mark_rule(color="#333", strokeWidth=0.8).encode(x2="to1:Q", y2="to2:Q")
    text = {"fontSize": NAME_PIXELS, "fontWeight": "bold", "font": "sans-serif"}
    rim = base.mark_text(**text, stroke="white", strokeWidth=4, strokeJoin="round").encode(text="label:N")
    return chart + line + rim + base.mark_text(**text, color="#222").encode(text="label:N")


def with_peaks(chart: Any, canvas: Canvas, places: Array, weights: Array, names: Sequence[str]) -> Any:
    """Write names where their weights, the first of (n, C), are largest and those of others smaller."""
    own = np.where(weights == weights.max(axis=1, keepdims=True), weights, -1.0)
    leading = np.flatnonzero(own.max(axis=0)[: len(names)] > 0)
    anchors = places[own.argmax(axis=0)[leading]]
    return with_names(
        chart, canvas, anchors, [names[n] for n in leading.tolist()], places, weights.sum(axis=1)
    )


def amount(n_rows: float) -> str:
    """Return a number of rows as text, in full where it is a whole one or large."""
    whole = n_rows >= 1000 or abs(n_rows - round(n_rows)) < 1e-6 <= n_rows
    return f"{n_rows:,.0f}" if whole or n_rows == 0 else f"{n_rows:.4g}"


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.6g}") if isinstance(value, float) else value
