"""Pictures of rows on the map: points while they are few, bins of any number of them."""

from __future__ import annotations

from typing import Any, cast

import altair as alt
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dask_igtm import binning, blocks
from dask_igtm.binning import Points, Spread
from dask_igtm.canvas import (
    COLORS,
    Canvas,
    certainty,
    check_scale,
    class_colors,
    class_shapes,
    records,
    tooltips,
    with_names,
)
from dask_igtm.softmax import best_kernel
from dask_igtm.source import prepare
from dask_igtm.validation import rows_of

Array = NDArray[np.float64]

MAX_BINS = 300  # along a side; these and so many points make a picture of a few megabytes
MAX_POINTS = 20_000


def spread_of(model: Any, X: Any, y: Any, labels: Any, n_bins: int, max_points: int) -> Spread:
    """Return the figures of a picture, from one pass over X; see `plot.projection`."""
    check_is_fitted(model, "model_")
    if y is not None and labels is not None:
        raise ValueError("y and labels are both given; give one of them, and draw a picture of each.")
    if not 1 <= n_bins <= MAX_BINS:
        raise ValueError(f"n_bins={n_bins!r}; give a whole number from 1 to {MAX_BINS}.")
    if not 0 <= max_points <= MAX_POINTS:
        raise ValueError(f"max_points={max_points!r}; give a whole number from 0 to {MAX_POINTS}.")
    companion, function = None, binning.of_rows
    if y is not None:
        companion, function = y, binning.of_values
    if labels is not None:
        companion, function = labels, binning.of_labels
    rows = rows_of(model, X, None, companion)
    if rows.y is not None and rows.y.ndim > 1:
        raise ValueError(f"A picture shows one value a row; give one of the {rows.y.shape[1]} columns.")
    shared = (model.model_, best_kernel(), Canvas.of(model.nodes_, n_bins).edges, max_points)
    spread: Spread = blocks.reduce(prepare(rows), function, *shared, label="igtm-bins")
    if spread.n_rows == 0:
        raise ValueError("There is nothing to draw: every value or label is missing.")
    return spread


def draw(spread: Spread, canvas: Canvas, name: str | None, title: str | None, scale: str) -> Any:
    """Return the picture of a spread; `canvas` has its bins."""
    what, how = "value" if spread.labels is None else "label", "" if spread.points else ", in bins"
    without = f"; {spread.n_without:,} without a {what}" if spread.n_without else ""
    words = (title or "Projection", f"{spread.n_rows:,} rows at their posterior means{how}{without}")
    if spread.labels is not None:
        names = [str(label) for label in sorted(spread.labels)]
        draw_labels = _labelled_bins if spread.points is None else _labelled_points
        return draw_labels(spread, canvas, names, name or what, words)
    return (_bins if spread.points is None else _points)(spread, canvas, name or what, words, scale)


def _points(spread: Spread, canvas: Canvas, name: str, words: tuple[str, str], scale: str) -> Any:
    points = cast(Points, spread.points)
    if points.values is None:
        chart = canvas.points(records(points.means, row=range(spread.n_rows)), *words)
        return chart.encode(color=alt.value(COLORS[0]), tooltip=tooltips("row", "x1", "x2"))
    chart = canvas.points(records(points.means, row=range(spread.n_rows), value=points.values), *words)
    color = canvas.gradient(name, check_scale(scale, points.values))
    return chart.encode(color=color, tooltip=tooltips("row", "x1", "x2", value=name))


def _labelled_points(
    spread: Spread, canvas: Canvas, names: list[str], name: str, words: tuple[str, str]
) -> Any:
    points = cast(Points, spread.points)
    labels = np.array([str(label) for label in cast(Any, points.values).tolist()])
    chart = canvas.points(records(points.means, row=range(spread.n_rows), label=labels), *words).encode(
        color=class_colors(names, name),
        shape=class_shapes(names, name),
        tooltip=tooltips("row", "x1", "x2", label=name),
    )
    middles = np.array([_innermost(points.means[labels == one]) for one in names])
    return with_names(chart, canvas.chart(records(middles, label=names)))


def _bins(spread: Spread, canvas: Canvas, name: str, words: tuple[str, str], scale: str) -> Any:
    seen, places = _occupied(spread, canvas)
    rows = spread.counts[seen]
    if spread.sums is None:
        color = canvas.gradient("rows in a bin", "log", format=",d")
        chart = canvas.squares(records(places, value=rows), canvas.bin_pixels, *words)
        return chart.encode(color=color, tooltip=tooltips("x1", "x2", value="rows"))
    values = spread.sums[seen] / rows
    color = canvas.gradient(f"mean {name}", check_scale(scale, values))
    chart = canvas.squares(records(places, rows=rows, value=values), canvas.bin_pixels, *words)
    return chart.encode(color=color, tooltip=tooltips("x1", "x2", "rows", value=f"mean {name}"))


def _labelled_bins(
    spread: Spread, canvas: Canvas, names: list[str], name: str, words: tuple[str, str]
) -> Any:
    seen, places = _occupied(spread, canvas)
    by_label = cast(dict[Any, Any], spread.labels)
    counts = np.array([by_label[label][seen] for label in sorted(by_label)])
    labels = np.array(names)[counts.argmax(axis=0)]
    columns = {"rows": spread.counts[seen], "label": labels, "certainty": counts.max(axis=0) / spread.counts[seen]}
    chart = canvas.squares(records(places, **columns), canvas.bin_pixels, *words, opacity=certainty(len(names), "share"))
    chart = chart.encode(
        color=class_colors(names, f"most frequent {name}"),
        tooltip=tooltips("x1", "x2", "rows", label=f"most frequent {name}", certainty="its share"),
    )
    return with_names(chart, canvas.chart(records(places[counts.argmax(axis=1)], label=names)))


def _occupied(spread: Spread, canvas: Canvas) -> tuple[Any, Array]:
    """Return which bins hold rows, and their centres (n, 2)."""
    seen = np.nonzero(spread.counts)
    centres = (canvas.edges[1:] + canvas.edges[:-1]) / 2
    return seen, np.column_stack([centres[axis] for axis in seen])


def _innermost(places: Array) -> Array:
    """Return the place that is nearest to the medians of all."""
    squared = ((places - np.median(places, axis=0)) ** 2).sum(axis=1)
    return np.asarray(places[squared.argmin()])
