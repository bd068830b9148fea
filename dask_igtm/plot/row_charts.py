"""Pictures of rows on the map: points while they are few, bins of any number of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from dask_igtm.data.row_arrays import ids_of
from dask_igtm.data.row_columns import columns_beside
from dask_igtm.data.row_names import Names, split_names
from dask_igtm.data.table_ids import opened_with_ids
from dask_igtm.passes.row_records import side_by_side
from dask_igtm.plot.label_colors import LabelColors, check_colors, label_colors
from dask_igtm.plot.shown_text import shown
from dask_igtm.plot.style import (
    PLAIN,
    Canvas,
    amount,
    clarity,
    class_colors,
    class_shapes,
    records,
    shade,
    shaded,
    tooltips,
    with_names,
    with_peaks,
)
from dask_igtm.plot.value_colors import value_colors
from dask_igtm.projection.validate import fitted_map, names_of_fit, rows_of
from dask_igtm.statistics import map_bins
from dask_igtm.statistics.map_bins import TOLD, Points, Spread
from dask_igtm.statistics.targets import missing

Array = NDArray[np.float64]
Words = tuple[str, str]  # title, and what stands below it

MAX_BINS = 300  # along a side; these and so many points make a picture of a few megabytes
MAX_POINTS = 20_000
LATTICE = "rows gather at the nodes of the map, whose lattice is none of the data"


@dataclasses.dataclass(frozen=True)
class Look:
    """What a picture of rows is to look like; see `plot.projection`.

    Attributes
    ----------
    title : str or None
    scale : str
        From values to colours.
    colors : mapping, sequence, str or None
    domain : pair of float or None
        Values at the ends of the colours.
    order : sequence or None
        In which labels follow each other.
    names_in_map : bool
    """

    title: str | None = None
    scale: str = "linear"
    colors: Any = None
    domain: Sequence[float] | None = None
    order: Sequence[Any] | None = None
    names_in_map: bool = False

    def check(self, of_values: bool, of_labels: bool) -> None:
        """Raise ValueError where it does not fit a picture of values, of labels, or of neither."""
        if of_values:
            self.colors_of(np.ones(1))
        elif self.scale != "linear" or self.domain is not None:
            raise ValueError("scale and domain are of values; give y too, or leave them out.")
        elif self.colors is not None and not of_labels:
            raise ValueError("colors is of values or labels; give y or labels too.")
        if self.names_in_map and not of_labels:
            raise ValueError("names_in_map=True is for labels; give labels too.")
        if of_labels:
            check_colors(self.colors)

    def colors_of(self, values: Array) -> Any:
        """Return the scale from values to colours."""
        return value_colors(self.colors or "sequential", values, self.domain, self.scale)


USUAL = Look()


def spread_of(
    model: Any,
    X: Any,
    y: Any = None,
    labels: Any = None,
    n_bins: int = 100,
    max_points: int = 5_000,
    sample_weight: Any = None,
    tooltip: Any = None,
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
    X, told = _with_ids(model, X)
    for key, column in ({} if tooltip is None else columns_beside(X, tooltip, "tooltip")).items():
        told[f"{key} of tooltip" if key in told else key] = column
    fitted, rows = fitted_map(model), rows_of(model, X, sample_weight, companion)
    if rows.y is not None and rows.y.ndim > 1 and rows.y.shape[1] == 1:
        rows = dataclasses.replace(rows, y=rows.y[:, 0])
    if rows.y is not None and rows.y.ndim > 1:
        raise ValueError(f"A picture shows one value a row; give one of the {rows.y.shape[1]} columns.")
    edges = Canvas.of(fitted.nodes, n_bins).edges
    shared: tuple[Any, ...] = (edges, max_points)
    if told and max_points:
        fields = {TOLD + key: ids_of(rows.X, column, rows.remedy, "tooltip") for key, column in told.items()}
        target = {} if rows.y is None else {"y" if labels is None else "labels": rows.y}
        rows = dataclasses.replace(rows, y=side_by_side(target | fields))
        function, shared = map_bins.of_records, (*shared, function)
    spread: Spread = fitted.reduce(rows, function, *shared, label="igtm-bins")
    if spread.n_rows == 0:
        raise ValueError("There is nothing to draw: every value or label is missing, or no row has a weight.")
    return spread


def _with_ids(model: Any, X: Any) -> tuple[Any, Names]:
    """Return X without its ids, and these; none where they cannot be any, for a picture can do without."""
    table = opened_with_ids(X, None, names_of_fit(model))
    try:
        rest, names = split_names(table)
    except ValueError:
        return table, {}
    return rest, dict(names or {})


def draw(spread: Spread, canvas: Canvas, name: str | None = None, look: Look = USUAL) -> Any:
    """Return the picture of a spread by what is called `name`; `canvas` has its bins."""
    plain = spread.sums is None and spread.labels is None
    name = name or ("value" if spread.labels is None else "label")
    labels = None if spread.labels is None else label_colors(spread.labels.totals, look.colors, look.order)
    title = look.title or ("Projection" if plain else f"Projection by {name}")
    words = (title, _told_below(spread, labels))
    if spread.points is not None:
        return _points(spread.points, canvas, name, look, labels, words)
    if labels is not None:
        return _label_bins(spread, canvas, name, look, labels, words)
    return _count_bins(spread, canvas, words) if plain else _value_bins(spread, canvas, name, look, words)


def _told_below(spread: Spread, labels: LabelColors | None) -> str:
    """Return what stands below the title."""
    what = "value" if labels is None else "label"
    lines = [f"{amount(spread.n_rows)} rows at their posterior means"]
    if spread.points is None:
        pale = "the paler, the fewer rows" + (" or the more mixed" if labels else "")
        lines[0] += f", in bins; {pale}" if labels or spread.sums is not None else ", in bins"
    elif spread.points.weights is not None:
        lines[0] += "; size by weight"
    if spread.n_without:
        lines.append(f"{amount(spread.n_without)} without a {what} left out")
    if labels is not None and labels.n_others:
        number = f"{labels.n_others} label{'s' if labels.n_others > 1 else ''}"
        lines.append(f"{number} of {labels.share_of_others:.1%} of the rows as other")
    if labels is None and spread.sums is None:
        lines.append(LATTICE)
    return "\n".join(lines)


def _points(
    points: Points, canvas: Canvas, name: str, look: Look, labels: LabelColors | None, words: Words
) -> Any:
    told, titles = _told(points)
    own: dict[str, Any] = {"row": points.rows}
    if points.weights is not None:
        own["weight"] = points.weights

    def chart(**further: Any) -> Any:
        drawn = canvas.points(records(points.means, **own, **told, **further), *words)
        drawn = drawn.encode(tooltip=tooltips(*own, "x1", "x2", **titles, **dict.fromkeys(further, name)))
        return drawn if points.weights is None else drawn.encode(size=canvas.point_sizes(points.weights))

    if points.values is None:
        return chart().encode(color=alt.value(PLAIN))
    if labels is None:
        return chart(value=points.values).encode(color=canvas.gradient(name, look.colors_of(points.values)))
    place = np.array([labels.place[label] for label in points.values.tolist()])
    drawn = chart(label=np.array(labels.names, dtype=object)[place]).encode(
        color=class_colors(labels, name), shape=class_shapes(labels, name)
    )
    if not look.names_in_map:
        return drawn
    present = np.unique(place[place < len(labels.names_of_own)])
    middles = np.array([_innermost(points.means[place == number]) for number in present])
    names = [labels.names[number] for number in present]
    weights = np.ones(len(place)) if points.weights is None else points.weights
    return with_names(drawn, canvas, middles, names, points.means, weights)


def _told(points: Points) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what else is told of points: columns by fields that mean nothing to Vega, and their names."""
    if points.told is None:
        return {}, {}
    fields = {f"told{number}": name for number, name in enumerate(points.told.dtype.names or ())}
    columns = {field: _texts(points.told[name]) for field, name in fields.items()}
    return columns, {field: name.removeprefix(TOLD) for field, name in fields.items()}


def _texts(values: NDArray[Any]) -> list[str]:
    """Return what a tooltip says of values, nothing where there is none; numbers in all of their digits."""
    gone = missing(values) if values.dtype.kind not in "mM" else np.isnat(values)
    digits = np.finfo(values.dtype if values.dtype.kind == "f" else float).precision
    listed = (values.astype(str) if values.dtype.kind in "mM" else values).tolist()
    texts = (f"{value:.{digits}g}" if isinstance(value, float) else shown(value) for value in listed)
    return ["" if none else text for none, text in zip(gone, texts, strict=True)]


def _seen(spread: Spread, canvas: Canvas) -> tuple[Array, NDArray[Any]]:
    """Return the middles of the bins in which rows lie, (S, 2), and how many these are."""
    centres = (canvas.edges[1:] + canvas.edges[:-1]) / 2
    seen = np.nonzero(spread.counts)
    return centres[np.column_stack(seen)], spread.counts[seen]


def _label_bins(
    spread: Spread, canvas: Canvas, name: str, look: Look, labels: LabelColors, words: Words
) -> Any:
    places, rows = _seen(spread, canvas)
    counts = _of_names(spread.labels, labels)[np.flatnonzero(spread.counts)]
    best, share = counts.argmax(axis=1), counts.max(axis=1) / rows
    columns = {"label": np.array(labels.names, dtype=object)[best], "share": share}
    opacity = shade(rows) * clarity(share, len(labels.names))
    table = records(places, rows=rows, shade=opacity, **columns)
    chart = canvas.squares(table, canvas.bin_pixels, *words).encode(
        color=class_colors(labels, name),
        fillOpacity=shaded(),
        tooltip=tooltips("x1", "x2", "rows", label=f"most frequent {name}", share="its share"),
    )
    return with_peaks(chart, canvas, places, counts, labels.names_of_own) if look.names_in_map else chart


def _of_names(found: Any, labels: LabelColors) -> Array:
    """Return the rows of each name in each bin, (B * B, N), of LabelBins."""
    place = np.array([labels.place[label] for label in found.labels.tolist()])
    entries = (found.rows.astype(np.float64), (found.bin, place[found.code]))
    return np.asarray(coo_array(entries, shape=(found.n_bins, len(labels.names))).toarray())


def _count_bins(spread: Spread, canvas: Canvas, words: Words) -> Any:
    places, rows = _seen(spread, canvas)
    powers = 10.0 ** np.arange(np.ceil(np.log10(rows.max())))
    ticks = [0.0, *powers.tolist(), float(rows.max())]
    colors = value_colors("amounts", rows, None, "symlog")
    return canvas.squares(records(places, value=rows), canvas.bin_pixels, *words).encode(
        color=canvas.gradient("rows in a bin", colors, values=ticks, format=",.4~g"),
        tooltip=tooltips("x1", "x2", value="rows"),
    )


def _value_bins(spread: Spread, canvas: Canvas, name: str, look: Look, words: Words) -> Any:
    places, rows = _seen(spread, canvas)
    means = spread.sums[np.nonzero(spread.counts)] / rows  # type: ignore[index]
    table = records(places, rows=rows, value=means, shade=shade(rows))
    return canvas.squares(table, canvas.bin_pixels, *words).encode(
        color=canvas.gradient(f"mean {name}", look.colors_of(means)),
        fillOpacity=shaded(),
        tooltip=tooltips("x1", "x2", "rows", value=f"mean {name}"),
    )


def _innermost(places: Array) -> Array:
    """Return the place that is nearest to the medians of all."""
    squared = ((places - np.median(places, axis=0)) ** 2).sum(axis=1)
    return np.asarray(places[squared.argmin()])
