"""What the pictures of a map have in common: their frame, their squares, their colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from altair.utils.schemapi import SchemaValidationError
from numpy.typing import NDArray

from dask_igtm.plot.shown_text import shown, shown_field, shown_title

Array = NDArray[np.float64]

SIDE = 360  # of a map in pixels, about
FADED = 0.07
MOST_ABOVE_MEAN = 25  # a point that weighs more than the mean is at most so much larger
FORMATS = {  # in tooltips; other fields are numbers
    "label": ("N", alt.Undefined),
    "rows": ("Q", ","),
    "weight": ("Q", ",.4~g"),
    "row": ("Q", ","),
    "certainty": ("Q", ".1%"),
}
SCALES = ("linear", "sqrt", "log", "symlog")
# Paul Tol's "muted" scheme, which colour-blind people can tell apart, and a grey; in an order in which
# neighbours differ in lightness too.
COLORS = [
    "#332288",
    "#DDCC77",
    "#CC6677",
    "#117733",
    "#88CCEE",
    "#882255",
    "#44AA99",
    "#999933",
    "#AA4499",
    "#777777",
]
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
        half = self.k / (self.k - 1) if self.k > 1 else 1.0
        return np.linspace(-half, half, self.k * self.per_node + 1)

    def chart(self, records: list[dict[str, Any]], title: str = "", subtitle: str = "") -> Any:
        """Return a chart without a mark of records that have `x1` and `x2`."""
        low, high = self.edges[[0, -1]].tolist()
        side = self.k * self.node_pixels
        scale = alt.Scale(domain=[low, high], nice=False)
        axis = alt.Axis(values=[-1, -0.5, 0, 0.5, 1], grid=False)
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

    def gradient(self, name: str, scale: str, domain: Sequence[float] | None = None, **legend: Any) -> Any:
        """Return the colours of the field `value`, dark for small ones."""
        length = round(0.8 * self.k * self.node_pixels)
        return alt.Color(
            "value:Q",
            title=shown(name),
            scale=alt.Scale(scheme="viridis", type=scale, domain=alt.Undefined if domain is None else domain),
            legend=alt.Legend(gradientLength=length, titleLimit=220, **legend),
        )

    def sizes(self) -> Any:
        """Return the size of a node's square by the field `support`: its area goes with the square root."""
        return alt.Size(
            "support:Q", scale=alt.Scale(type="sqrt", range=[0, self.node_pixels**2]), legend=None
        )


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


def class_colors(names: Sequence[str], title: str) -> Any:
    """Return the colours of the field `label`, in the order of `names`, such as `shown_apart` returns."""
    scale = alt.Scale(domain=list(names), range=list(COLORS[: len(names)]))
    legend = alt.Legend(symbolOpacity=1, symbolSize=90, labelLimit=100)
    return alt.Color("label:N", title=shown(title), scale=scale, legend=legend)


def class_shapes(names: Sequence[str], title: str) -> Any:
    """Return the shapes of the field `label`, which tell classes apart in grey."""
    return alt.Shape(
        "label:N", title=shown(title), scale=alt.Scale(domain=list(names), range=list(SHAPES[: len(names)]))
    )


def certainty(n_classes: int) -> Any:
    """Return the opacity of the field `certainty`, least where all classes are alike."""
    scale = alt.Scale(domain=[1 / n_classes if n_classes > 1 else 0, 1], range=[0.1, 1], clamp=True)
    return alt.FillOpacity("certainty:Q", scale=scale, legend=None)


def tooltips(*fields: str, **named: str) -> list[Any]:
    """Return what is told of a record: fields by their own names, then those that are `named`."""
    titles = {field: field for field in fields} | named
    return [
        alt.Tooltip(f"{field}:{kind}", title=shown_field(title), format=text)
        for field, title in titles.items()
        for kind, text in [FORMATS.get(field, ("Q", ".4~g"))]
    ]


def with_names(chart: Any, canvas: Canvas, places: Array, names: Sequence[str]) -> Any:
    """Write names over a chart at their places (n, 2), on a white rim."""
    base = canvas.chart(records(places, label=names))
    text = {"fontSize": 12, "fontWeight": "bold", "limit": 120}
    rim = base.mark_text(**text, stroke="white", strokeWidth=4, strokeJoin="round").encode(text="label:N")
    return chart + rim + base.mark_text(**text, color="black").encode(text="label:N")


def with_peaks(chart: Any, canvas: Canvas, places: Array, weights: Any, names: list[str]) -> Any:
    """Write each name where its weight, of (n, C), is largest among the places where no other's is larger."""
    own = np.where(weights == weights.max(axis=1, keepdims=True), weights, -1.0)
    shown = np.flatnonzero(own.max(axis=0) > 0)
    return with_names(chart, canvas, places[own.argmax(axis=0)[shown]], [names[column] for column in shown])


def amount(n_rows: float) -> str:
    """Return a number of rows as text, in full where it is a whole one or large."""
    whole = n_rows >= 1000 or abs(n_rows - round(n_rows)) < 1e-6 <= n_rows
    return f"{n_rows:,.0f}" if whole or n_rows == 0 else f"{n_rows:.4g}"


def check_scale(scale: str, values: Array) -> str:
    """Return `scale`; raise ValueError if there is no such one, or it does not fit the values."""
    if scale not in SCALES:
        raise ValueError(f"scale={scale!r}; give one of {SCALES}.")
    if scale == "log" and (values <= 0).any():
        raise ValueError("scale='log' needs values above 0; give 'symlog'.")
    return scale


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return float(f"{value:.6g}") if isinstance(value, float) else value


# To be those of plot/colors.py.
AMOUNTS = ["#ffffff", "#e2f0c4", "#a6d8a8", "#5bb5a2", "#2b86a0", "#295590", "#2b2a6b"]
DIVERGING = [
    *("#173f79", "#3c72b4", "#7ba8db", "#c9daf0", "#ffffff"),
    *("#f8dcb9", "#eba965", "#c9691c", "#8c3d04"),
]
CYCLIC = ["#7f3b6e", "#c26a5c", "#d9b76c", "#7fb58a", "#4c86ab", "#5b4f96", "#7f3b6e"]
RANGES = {"amounts": AMOUNTS, "diverging": DIVERGING, "cyclic": CYCLIC}


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
        As `check_scale` returns it.

    Raises
    ------
    ValueError
        If there are no such colours, or the domain is none of the scale.
    """
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


def gradient_of(canvas: Canvas, name: str, scale: Any, **legend: Any) -> Any:
    """Return the colours of the field `value` by a scale, and their legend."""
    length = round(0.8 * canvas.k * canvas.node_pixels)
    drawn = alt.Legend(gradientLength=length, titleLimit=220, **legend)
    return alt.Color("value:Q", title=shown(name), scale=scale, legend=drawn)
