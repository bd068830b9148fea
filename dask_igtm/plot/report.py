"""One HTML page about a fitted map: linked charts, what lies at a node, settings and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from dask_igtm.data.column_names import series_name
from dask_igtm.data.frames import category_order
from dask_igtm.data.html_text import html_table, html_text
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.whole_outputs import Path, check_writable, write_whole
from dask_igtm.landscape import from_rows
from dask_igtm.landscape.survey import Survey, survey
from dask_igtm.plot import fit_charts, node_charts, page, report_words, row_charts
from dask_igtm.plot.label_colors import label_colors
from dask_igtm.plot.node_facts import node_facts
from dask_igtm.plot.row_charts import Look
from dask_igtm.plot.style import Canvas
from dask_igtm.projection.fit_figures import fit_figures
from dask_igtm.projection.validate import map_estimator

N_BINS = 64  # few enough for a region to follow the mouse
SIDE = 320  # pixels of a map, about: two of them fit beside what is told of a node
REGION = alt.selection_interval(name="region", encodings=["x", "y"])
CHOSEN = "chosen"  # the data that hold the place of the node that is chosen
LEAST_OUTLINE = 12  # pixels of its side, for nodes may be smaller


def report(
    model: Any,
    X: Any,
    path: Path,
    *,
    y: Any = None,
    labels: Any = None,
    title: str | None = None,
    scale: str = "linear",
    sample_weight: Any = None,
    ids: Any = None,
    source: str | None = None,
) -> None:
    """Write one HTML page with the charts of a map, what lies at its nodes, its settings, and its figures.

    A region that is marked on one map is marked on all. A node that is chosen, by a click or from the
    keyboard, is outlined on all, and beside them stand its rows, classes, means, likeliest members and
    markers. The page holds everything that it shows, the ids of those members included, loads nothing, and is
    either whole or not there.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X : as in `IGTM.table`; shape (n, D) without columns that are ids
        Rows to show. They are read once.
    path : path or URL
        An existing file is replaced once the new one is complete.
    y : array, series or frame, in memory or lazy, of shape (n,) or (n, T), optional
        Values for a landscape each, see `landscape.property`; a single column also for a projection.
    labels : array or series, in memory or lazy, of shape (n,), optional
        Labels for a projection and a map of classes, as in `plot.projection`.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, default="linear"
        From y to colours.
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts, in every chart and figure of these rows.
    ids : str, sequence of str, or array or series of n, optional
        As in `IGTM.table`: what members are called, and points while there are no more than 5,000 rows; by
        default by the index of a frame, or row numbers. They are in the page.
    source : str, optional
        What the page says the rows are of; by default the path if X is one, else its kind and size.

    Raises
    ------
    ImportError
        If altair or vl-convert-python is missing.
    OSError
        If the file cannot be written.
    ValueError
        As `plot.projection`, `landscape.property`, `landscape.classes` and `landscape.members`, and if the
        fit was cut before it knew a likelihood.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, report
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard").fit(X)
    >>> report(igtm, X, "iris.html", labels=y)  # doctest: +SKIP
    """
    igtm = map_estimator(model)
    library = page.library()
    check_writable(path)
    refuse_own_input(path, X)
    Look(scale=scale).check(of_values=True, of_labels=False)
    history = fit_charts.history(igtm).to_dict()  # which some fits have none of
    source = report_words.source_of(X) if source is None else source
    found = survey(model, X, y=y, labels=labels, ids=ids, sample_weight=sample_weight, n_bins=N_BINS)
    names = report_words.names_of(found.property, y)
    nodes = node_facts(found.density, found.classes, found.property, found.members, found.markers, names)
    canvas = Canvas.of(igtm.nodes_, N_BINS, REGION, SIDE)
    maps = [*_projections(canvas, found, y, labels, scale), *_landscapes(canvas, found, labels, names, scale)]
    maps.append(node_charts.draw(from_rows.magnification(igtm), canvas))
    quality = report_words.quality(found, names)
    data = report_words.data(found, source, labels, names, weighted=sample_weight is not None)
    settings = igtm.get_params(deep=False).items()
    written = page.page(
        {"maps": _linked(maps, canvas), "history": history},
        nodes,
        library,
        title=html_text(title or "Generative topographic map"),
        lead=html_text(report_words.lead(igtm, source)),
        glance=page.glance(report_words.glance(igtm, found)),
        quality=html_table(quality, ["figure", "value", "what it says"]),
        fit=html_table(fit_figures(igtm).items()),
        data=html_table(data),
        settings=html_table((name, str(value)) for name, value in settings),
        versions=html_text(report_words.versions()),
    )
    write_whole(path, written.encode())


def _projections(canvas: Canvas, found: Survey, y: Any, labels: Any, scale: str) -> Iterator[Any]:
    """Yield a chart of the rows for each thing that may colour them."""
    if found.plain is not None:
        yield row_charts.draw(found.plain, canvas)
    if found.by_label is not None:
        order = category_order(labels)
        yield row_charts.draw(found.by_label, canvas, series_name(labels), Look(order=order))
    if found.by_value is not None:
        yield row_charts.draw(found.by_value, canvas, series_name(y), Look(scale=scale))


def _landscapes(
    canvas: Canvas, found: Survey, labels: Any, names: Sequence[str], scale: str
) -> Iterator[Any]:
    """Yield a chart of the nodes for each thing that rows say of them."""
    yield node_charts.draw(found.density, canvas)
    if found.classes is not None and found.by_label is not None and found.by_label.labels is not None:
        own = label_colors(found.by_label.labels.totals, order=category_order(labels)).own
        yield node_charts.draw(found.classes, canvas, name=series_name(labels), colors=own)
    if found.property is not None:
        for column, name in zip(found.property.columns_of("mean"), names, strict=True):
            yield node_charts.draw(found.property, canvas, [column], title=name, scale=scale)


def _linked(maps: Sequence[Any], canvas: Canvas) -> dict[str, Any]:
    """Return the specification of all maps, in which a region or a node of one is marked on all.

    They are put together as dictionaries: Altair would copy all of their data for each step of it.
    """
    outline = [_unit(mark)[0] for mark in _outline(canvas)]
    panels = []
    for number, drawn in enumerate(maps):
        layer, size = _unit(drawn)
        layers = [layer | {"name": f"rows{number}"}, *outline]
        panels.append({"name": f"map{number}", "layer": layers} | size)
    region = REGION.param.to_dict() | {"views": [panel["layer"][0]["name"] for panel in panels]}
    return {
        "$schema": alt.SCHEMA_URL,
        "config": {"aria": False},  # thousands of marks say less than the page tells of a node
        "concat": panels,
        "columns": 2,
        "resolve": {"scale": dict.fromkeys(("color", "shape", "opacity", "size"), "independent")},
        "params": [region],
        "datasets": {CHOSEN: []},
    }


def _unit(chart: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the specification of a chart, and its width and height."""
    spec = chart.to_dict(validate=False)  # which takes longest of all, and never fails
    size = {side: spec.pop(side) for side in ("width", "height")}
    return {part: spec[part] for part in spec if part not in {"$schema", "config"}}, size


def _outline(canvas: Canvas) -> tuple[Any, Any]:
    """Return a light rim and a dark line around the chosen node, which are seen on every colour."""
    side = max(canvas.node_pixels + 2, LEAST_OUTLINE)
    square = canvas.chart([]).properties(data=alt.NamedData(name=CHOSEN))
    look = {"shape": "square", "size": side**2, "filled": False, "opacity": 1, "tooltip": None}
    rim = square.mark_point(stroke="white", strokeWidth=5, **look)
    return rim, square.mark_point(stroke="black", strokeWidth=2, **look)
