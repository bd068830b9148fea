"""Pictures of rows on the map: points while they are few, bins of any number of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.plot.shown_text import shown_apart
from dask_igtm.plot.style import (
    COLORS,
    Canvas,
    amount,
    certainty,
    check_scale,
    class_colors,
    class_shapes,
    records,
    tooltips,
    with_names,
    with_peaks,
)
from dask_igtm.projection.validate import fitted_map, rows_of
from dask_igtm.statistics import map_bins
from dask_igtm.statistics.map_bins import Points, Spread

Array = NDArray[np.float64]

MAX_BINS = 300  # along a side; these and so many points make a picture of a few megabytes
MAX_POINTS = 20_000


def spread_of(
    model: Any,
    X: Any,
    y: Any = None,
    labels: Any = None,
    n_bins: int = 100,
    max_points: int = 5_000,
    sample_weight: Any = None,
) -> Spread:
    """Return the figures of a picture, from one pass over X; see `plot.projection`."""
    if y is not None and labels is not None:
        raise ValueError("y and labels are both given; give one of them, and draw a picture of each.")
    if not 1 <= n_bins <= MAX_BINS:
        raise ValueError(f"n_bins={n_bins!r}; give a whole number from 1 to {MAX_BINS}.")
    if not 0 <= max_points <= MAX_POINTS:
        raise ValueError(f"max_points={max_points!r}; give a whole number from 0 to {MAX_POINTS}.")
    function: Any = map_bins.of_rows
    companion = None
    if y is not None:
        companion, function = y, map_bins.of_values
    if labels is not None:
        companion, function = labels, map_bins.of_labels
    fitted, rows = fitted_map(model), rows_of(model, X, sample_weight, companion)
    if rows.y is not None and rows.y.ndim > 1 and rows.y.shape[1] == 1:
        rows = dataclasses.replace(rows, y=rows.y[:, 0])
    if rows.y is not None and rows.y.ndim > 1:
        raise ValueError(f"A picture shows one value a row; give one of the {rows.y.shape[1]} columns.")
    edges = Canvas.of(fitted.nodes, n_bins).edges
    spread: Spread = fitted.reduce(rows, function, edges, max_points, label="igtm-bins")
    if spread.n_rows == 0:
        raise ValueError("There is nothing to draw: every value or label is missing, or no row has a weight.")
    return spread


def draw(
    spread: Spread, canvas: Canvas, name: str | None, title: str | None = None, scale: str = "linear"
) -> Any:
    """Return the picture of a spread; `canvas` has its bins."""
    what = "value" if spread.labels is None else "label"
    plain, name = spread.sums is None and spread.labels is None, name or what
    subtitle = f"{amount(spread.n_rows)} rows at their posterior means"
    if spread.points is None:
        subtitle += ", in bins" + ("; the paler, the more mixed" if spread.labels else "")
    elif spread.points.weights is not None:
        subtitle += "; size by weight"
    if spread.n_without:
        subtitle += f"; {amount(spread.n_without)} without a {what} left out"
    words = (title or ("Projection" if plain else f"Projection by {name}"), subtitle)
    if spread.points is None:
        return _bins(spread, canvas, name, scale, words)
    return _points(spread.points, sorted(spread.labels or ()), canvas, name, scale, words)


def _points(
    points: Points, labels: list[Any], canvas: Canvas, name: str, scale: str, words: tuple[str, str]
) -> Any:
    columns: dict[str, Any] = {"row": points.rows}
    if points.weights is not None:
        columns["weight"] = points.weights
    told = (*columns, "x1", "x2")

    def chart(**further: Any) -> Any:
        drawn = canvas.points(records(points.means, **columns, **further), *words)
        return drawn if points.weights is None else drawn.encode(size=canvas.point_sizes(points.weights))

    if points.values is None:
        return chart().encode(color=alt.value(COLORS[0]), tooltip=tooltips(*told))
    if not labels:
        color = canvas.gradient(name, check_scale(scale, points.values))
        return chart(value=points.values).encode(color=color, tooltip=tooltips(*told, value=name))
    names = shown_apart(labels)
    own = dict(zip(labels, names, strict=True))
    drawn = np.array([own[label] for label in points.values.tolist()])
    labelled = chart(label=drawn).encode(
        color=class_colors(names, name),
        shape=class_shapes(names, name),
        tooltip=tooltips(*told, label=name),
    )
    middles = np.array([_innermost(points.means[drawn == shown]) for shown in names])
    return with_names(labelled, canvas, middles, names)


def _bins(spread: Spread, canvas: Canvas, name: str, scale: str, words: tuple[str, str]) -> Any:
    seen = np.nonzero(spread.counts)
    centres = (canvas.edges[1:] + canvas.edges[:-1]) / 2
    places, rows = centres[np.column_stack(seen)], spread.counts[seen]
    if spread.labels is not None:
        labels = sorted(spread.labels)
        names = shown_apart(labels)
        counts = np.column_stack([spread.labels[label][seen] for label in labels])
        columns = {"label": np.array(names)[counts.argmax(axis=1)], "certainty": counts.max(axis=1) / rows}
        told = f"most frequent {name}"
        chart = canvas.squares(records(places, rows=rows, **columns), canvas.bin_pixels, *words).encode(
            color=class_colors(names, told),
            fillOpacity=certainty(len(names)),
            tooltip=tooltips("x1", "x2", "rows", label=told, certainty="its share"),
        )
        return with_peaks(chart, canvas, places, counts, names)
    if spread.sums is None:
        chart = canvas.squares(records(places, value=rows), canvas.bin_pixels, *words)
        color = canvas.gradient("rows in a bin", "log", format=",d" if rows.dtype.kind == "i" else ",.4~g")
        return chart.encode(color=color, tooltip=tooltips("x1", "x2", value="rows"))
    means = spread.sums[seen] / rows
    chart = canvas.squares(records(places, rows=rows, value=means), canvas.bin_pixels, *words)
    color = canvas.gradient(f"mean {name}", check_scale(scale, means))
    return chart.encode(color=color, tooltip=tooltips("x1", "x2", "rows", value=f"mean {name}"))


def _innermost(places: Array) -> Array:
    """Return the place that is nearest to the medians of all."""
    squared = ((places - np.median(places, axis=0)) ** 2).sum(axis=1)
    return np.asarray(places[squared.argmin()])
