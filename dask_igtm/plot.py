"""Pictures of a map as Altair charts, which show in notebooks and can be saved as PNG, SVG or HTML.

Each chart carries its own figures, some thousands at most, however many rows it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import altair as alt
except ImportError as error:
    raise ImportError("Pictures need altair, which is missing; pip install 'dask_igtm[plot]'.") from error

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dask_igtm import landscape as landscapes
from dask_igtm import spreads
from dask_igtm.canvas import (
    COLORS,
    SIDE,
    Canvas,
    certainty,
    check_scale,
    class_colors,
    records,
    tooltips,
    with_peaks,
)
from dask_igtm.landscape import Landscape
from dask_igtm.tables import series_name

Array = NDArray[np.float64]

TITLES = {
    "density": "Density",
    "property": "Property",
    "classes": "Classes",
    "coverage": "Coverage",
    "compare": "Densities",
    "magnification": "Magnification",
}
SHARES = ("density", "coverage", "compare")  # kinds whose values are shares of the rows


def projection(
    model: Any,
    X: Any,
    *,
    y: Any = None,
    labels: Any = None,
    n_bins: int = 100,
    max_points: int = 5_000,
    name: str | None = None,
    title: str | None = None,
    scale: str = "linear",
    selection: Any = None,
) -> Any:
    """Draw where rows lie on the map, by their posterior means.

    Up to `max_points` rows are points. More are counted in square bins, in one pass over X, so that
    nothing as long as X leaves the workers.

    Parameters
    ----------
    model : IGTM
        Fitted.
    X : as in `IGTM.fit`; shape (n, D)
    y : array or series, in memory or lazy, of shape (n,), optional
        Values that colour the points; a bin has the colour of their mean. Rows that are NaN are left out.
    labels : array or series, in memory or lazy, of shape (n,), optional
        Instead of `y`, at most ten labels, each of which has a colour and a shape. A bin has the colour of
        the label that is most frequent there, and is the paler the smaller its share.
    n_bins : int, default=100
        Bins along one side of the map, about: it becomes a whole number for each node.
    max_points : int, default=5000
    name : str, optional
        What y or labels are, with a unit, for the legend; by default the name of a series.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, default="linear"
        From y to colours.
    selection : altair.Parameter, optional
        An interval of x1 and x2, outside of which all is faded. Several charts may share it; add it to one of
        them with `add_params`.

    Returns
    -------
    altair.Chart or altair.LayerChart

    Raises
    ------
    ValueError
        If y and labels are both given, there are more than ten labels, or X, y or labels cannot be used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, plot
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard").fit(X)
    >>> chart = plot.projection(igtm, X, labels=load_iris().target_names[y], name="species")
    >>> chart.save("iris.png")  # doctest: +SKIP
    """
    spread = spreads.spread_of(model, X, y, labels, n_bins, max_points)
    name = name or series_name(y if labels is None else labels)
    return spreads.draw(spread, Canvas.of(model.nodes_, n_bins, selection), name, title, scale)


def landscape(
    landscape: Landscape,
    *,
    columns: Sequence[Any] | None = None,
    name: str | None = None,
    title: str | None = None,
    scale: str | None = None,
    selection: Any = None,
) -> Any:
    """Draw a landscape with a square for each node, and a panel for each column.

    A mean is shown by colour, and by the size of the square how many rows it is of. In a map of classes a
    node has the colour of the most probable one, and is the paler the less probable that is.

    Parameters
    ----------
    landscape : Landscape
    columns : sequence, optional
        Columns to draw. By default the density, the means, the density of each set, or up to ten classes in
        one panel.
    name : str, optional
        What the values are, with a unit, for the legend.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, optional
        From values to colours; by default "sqrt" for densities, "log" for magnifications.
    selection : altair.Parameter, optional
        As in `projection`.

    Returns
    -------
    altair.Chart, altair.LayerChart or altair.ConcatChart

    Raises
    ------
    ValueError
        If there is no such column, or if there are more than ten classes and no `columns`.
    """
    canvas = Canvas.of(landscape.nodes, selection=selection)
    if landscape.kind == "classes" and columns is None:
        return _class_map(landscape, canvas, name or "class", title or TITLES["classes"])
    chosen = _chosen(landscape, columns)
    values = landscape.values[:, chosen]
    scale = check_scale(scale or _default_scale(landscape.kind, values), values)
    labels = [str(landscape.columns[column]) for column in chosen]
    if len(chosen) == 1:
        word = title or (labels[0] if landscape.kind == "classes" else TITLES[landscape.kind])
        return _panel(landscape, canvas, chosen[0], name, word, scale, None)
    domain = _common_domain(landscape, chosen)
    panels = [
        _panel(landscape, canvas, column, name, label, scale, domain)
        for column, label in zip(chosen, labels, strict=True)
    ]
    together = alt.concat(
        *panels, columns=3, title=alt.Title(title or TITLES[landscape.kind], anchor="start")
    )
    return together.resolve_scale(color="shared" if domain else "independent", size="independent")


def magnification(model: Any, *, title: str | None = None, selection: Any = None) -> Any:
    """Draw how much the sheet is stretched at each node: ridges part regions that lie far from each other.

    Parameters
    ----------
    model : IGTM
        Fitted.
    title, selection
        As in `projection`.

    Returns
    -------
    altair.Chart
    """
    return landscape(landscapes.magnification(model), title=title, selection=selection)


def history(model: Any, *, title: str = "Log-likelihood") -> Any:
    """Draw the mean of ln p(x) a row before each iteration and after the last, and whether it converged.

    Parameters
    ----------
    model : IGTM
        Fitted; after `partial_fit`, the means of the blocks.
    title : str, optional

    Returns
    -------
    altair.LayerChart
    """
    check_is_fitted(model, "model_")
    values, streamed = np.asarray(model.history_, dtype=float), hasattr(model, "stream_")
    if not streamed:
        values = np.append(values, model.log_likelihood_)
    table = [
        {"iteration": number, "value": float(value)}
        for number, value in enumerate(values)
        if np.isfinite(value)
    ]
    ending = f"{len(values)} blocks" if streamed else _ending(model)
    words = alt.Title(title, subtitle=ending, anchor="start", subtitleColor="#555")
    axis, scale = alt.Axis(format="d", tickMinStep=1), alt.Scale(nice=False)
    base = alt.Chart(alt.Data(values=table), title=words, width=SIDE, height=SIDE // 2).encode(
        x=alt.X("iteration:Q", title="block" if streamed else "iteration", axis=axis, scale=scale),
        y=alt.Y("value:Q", title="mean of ln p(x) a row", scale=alt.Scale(zero=False)),
        tooltip=[alt.Tooltip("iteration:Q"), alt.Tooltip("value:Q", title="mean of ln p(x)", format=".6~g")],
    )
    last = base.transform_filter(alt.datum.iteration == table[-1]["iteration"])
    end = last.mark_point(size=90, filled=bool(model.converged_), color=COLORS[0], opacity=1)
    return base.mark_line(color=COLORS[0], point=alt.OverlayMarkDef(size=12, color=COLORS[0])) + end


def _ending(model: Any) -> str:
    iterations = f"{model.n_iter_} iteration{'s' if model.n_iter_ != 1 else ''}"
    return f"Converged after {iterations}" if model.converged_ else f"Not converged after {iterations}"


def _chosen(landscape: Landscape, columns: Sequence[Any] | None) -> list[int]:
    """Return the numbers of the columns to draw."""
    if columns is None:
        every = {"density": len(landscape.columns), "property": 3}  # beside each: what it is of
        return list(range(0, len(landscape.columns), every.get(landscape.kind, 1)))
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
        columns["support"] = support = landscape.values[known, column - column % 3 + 2]
        subtitle = f"{support.sum():,.0f} rows; size by rows at a node, at most {support.max():,.1f}"
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
        return f"P({name or 'class'} {label})"
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
    return "" if rows is None else f"{rows:,.0f} rows"


def _class_map(landscape: Landscape, canvas: Canvas, name: str, title: str) -> Any:
    names = [str(label) for label in landscape.columns]
    if len(names) > len(COLORS):
        raise ValueError(
            f"There are {len(names)} classes, and {len(COLORS)} colours that can be told apart; give "
            "columns=[...] for a panel each, or merge the rare classes."
        )
    best = landscape.values.argmax(axis=1)
    columns = {"label": np.array(names)[best], "certainty": landscape.values.max(axis=1)}
    support = np.ones(len(best)) if landscape.support is None else landscape.support
    table = records(landscape.nodes, **columns, support=support)
    subtitle = f"{_subtitle(landscape, '')}; the paler, the less probable"
    hover = {"label": f"most probable {name}", "certainty": "its probability", "support": "rows"}
    chart = canvas.squares(table, canvas.node_pixels, title, subtitle).encode(
        color=class_colors(names, name),
        fillOpacity=certainty(len(names)),
        tooltip=tooltips("x1", "x2", **hover),
    )
    return with_peaks(chart, canvas, landscape.nodes, landscape.values * support[:, None], names)
