"""One HTML page about a fitted map: linked charts, settings and figures; it opens without a network."""

from __future__ import annotations

import math
from html import escape
from string import Template
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from dask_igtm._version import __version__
from dask_igtm.data.column_names import series_name
from dask_igtm.data.containers import array_in
from dask_igtm.data.html_text import html_figures, html_text
from dask_igtm.data.json_text import dumps
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.whole_outputs import Path, check_writable, write_whole
from dask_igtm.landscape import from_rows
from dask_igtm.plot import charts as pictures
from dask_igtm.plot import fit_charts, row_charts
from dask_igtm.plot.style import Canvas
from dask_igtm.projection.fit_figures import fit_figures
from dask_igtm.projection.validate import fitted_map, map_estimator

Array = NDArray[np.float64]

N_BINS = 64  # few enough for a region to follow the mouse
REGION = alt.selection_interval(name="region", encodings=["x", "y"])

# The policy lets a page load nothing, whatever a label or title may hold.
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1320px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; margin-bottom: 0.2em; }
h2 { font-size: 1.15em; margin: 1.6em 0 0.4em; }
p { color: #555; margin: 0.2em 0 1em; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 0.15em 1.5em 0.15em 0; font-weight: normal; }
th { color: #555; }
tr { border-bottom: 1px solid #e5e5e5; }
.tables { display: flex; flex-wrap: wrap; gap: 0 4em; }
.chart { overflow-x: auto; }
@media print {
  .screen, .vega-embed details { display: none; }
  svg.marks { max-width: 18cm; max-height: 20cm; width: auto !important; height: auto !important; }
  body { margin: 0; font-size: 11px; display: flex; flex-direction: column; }
  h1 { order: -2; } /* on paper, tables fill the page above charts that do not fit there any more */
  .tables { order: -1; }
  table { page-break-inside: avoid; }
}
</style>
</head>
<body>
<h1>$title</h1>
<p class="screen">Drag over a map to mark a region in all of them; a double click ends that.</p>
<div class="chart" id="maps"><noscript>The charts need JavaScript.</noscript></div>
<div class="chart" id="history"></div>
<div class="tables">
<section><h2>Fit</h2>$fit</section>
<section><h2>Rows of this page</h2>$rows</section>
<section><h2>Settings</h2>$settings</section>
</div>
<p>Written by dask_igtm $version.</p>
<script>$library</script>
<script type="application/json" id="charts">$charts</script>
<script>
const charts = JSON.parse(document.getElementById("charts").textContent);
const actions = {export: true, source: false, compiled: false, editor: false};
const options = {ast: true, renderer: "svg", actions};
for (const name of ["maps", "history"]) vegaEmbed("#" + name, charts[name], options);
</script>
</body>
</html>
""")


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
) -> None:
    """Write one HTML page with the charts of a map, its settings, and its figures.

    A region that is marked on one map is marked on all. The page holds everything that it shows, loads
    nothing, and is either whole or not there.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X : as in `IGTM.fit`; shape (n, D)
        Rows to show. They are read twice; three times with y or labels, and five times with both.
    path : path or URL
        An existing file is replaced once the new one is complete.
    y : array, series or frame, in memory or lazy, of shape (n,) or (n, T), optional
        Values for a landscape each, see `landscape.property`; a single column also for a projection.
    labels : array or series, in memory or lazy, of shape (n,), optional
        At most ten labels for a projection and a map of classes.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, default="linear"
        From y to colours.
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts, in every chart and figure of these rows.

    Raises
    ------
    ImportError
        If altair or vl-convert-python is missing.
    OSError
        If the file cannot be written.
    ValueError
        As `plot.projection`, `landscape.property` and `landscape.classes`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, report
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard").fit(X)
    >>> report(igtm, X, "iris.html", labels=y)  # doctest: +SKIP
    """
    igtm = map_estimator(model)
    library = _library()
    check_writable(path)
    refuse_own_input(path, X)
    title = title or "Generative topographic map"
    of_rows, rows = _projections(model, X, y, labels, scale, sample_weight)
    of_nodes, quality = _landscapes(model, X, y, labels, scale, sample_weight)
    history = fit_charts.history(igtm).to_dict()
    charts = dumps({"maps": _linked(of_rows + of_nodes), "history": history})
    page = PAGE.substitute(
        title=html_text(title),
        fit=html_figures(fit_figures(igtm)),
        rows=html_figures(rows | quality),
        settings=html_figures({name: str(value) for name, value in igtm.get_params(deep=False).items()}),
        version=escape(__version__),
        library=library,
        charts=charts.replace("<", "\\u003c"),  # so that no text ends the script
    )
    write_whole(path, page.encode())


def _library() -> str:
    """Return the scripts that draw the charts."""
    try:
        import vl_convert  # noqa: PLC0415 - megabytes that only a page needs
    except ImportError as error:
        raise ImportError(
            "A page that opens without a network needs vl-convert-python, which is missing; "
            "pip install 'dask_igtm[plot]'."
        ) from error
    version = "_".join(alt.SCHEMA_VERSION.split(".")[:2])
    bundle: Any = vl_convert.javascript_bundle  # its stub requires a snippet, which it does not need
    return str(bundle(vl_version=version))


def _linked(maps: list[Any]) -> dict[str, Any]:
    """Return the specification of all maps, in which a region that is marked on one is marked on all."""
    independent = dict.fromkeys(("color", "shape", "opacity", "size"), "independent")
    spec: dict[str, Any] = alt.concat(*maps, columns=2).resolve_scale(**independent).to_dict()
    # Altair cannot add one parameter to several charts without a warning.
    views = [panel["layer"][0] if "layer" in panel else panel for panel in spec["concat"]]
    for number, view in enumerate(views):
        view["name"] = f"map{number}"
    spec["params"] = [REGION.param.to_dict() | {"views": [view["name"] for view in views]}]
    return spec


def _projections(
    model: Any, X: Any, y: Any, labels: Any, scale: str, sample_weight: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Return a chart of the rows for each thing that may colour them, and figures of the rows."""
    canvas = Canvas.of(fitted_map(model).nodes, N_BINS, REGION)
    colours = [] if labels is None else [(None, labels)]
    if y is not None and _is_one_column(y):
        colours.append((y, None))
    charts = []
    for values, groups in colours or [(None, None)]:
        spread = row_charts.spread_of(model, X, values, groups, N_BINS, sample_weight=sample_weight)
        name = series_name(values if groups is None else groups)
        charts.append(row_charts.draw(spread, canvas, name, scale=scale))
    n_rows = spread.n_rows + spread.n_without
    return charts, {"Rows": n_rows, "Mean of ln p(x) a row": spread.log_likelihood / n_rows}


def _is_one_column(y: Any) -> bool:
    y = array_in(y, "y", table=False)
    shape = y.shape if hasattr(y, "shape") else np.shape(y)
    return len(shape) == 1 or shape[1:] == (1,)


def _landscapes(
    model: Any, X: Any, y: Any, labels: Any, scale: str, sample_weight: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Return a chart of the nodes for each thing that rows say of them, and how well they say it."""
    density = from_rows.density(model, X, sample_weight)
    charts = [pictures.landscape(density, selection=REGION)]
    figures = {"Effective number of nodes, exp(entropy of density)": _perplexity(density.values[:, 0])}
    if labels is not None:
        classes = from_rows.classes(model, X, labels, sample_weight=sample_weight)
        charts.append(pictures.landscape(classes, name=series_name(labels), selection=REGION))
        certainty = np.average(classes.values.max(axis=1), weights=classes.support)
        figures["Mean probability of the most probable class at a node"] = float(certainty)
    if y is not None:
        means = from_rows.property(model, X, y, sample_weight)
        parts = (means.part(part).T for part in means.parts)
        for what, *figures_of in zip(means.columns_of("mean"), *parts, strict=True):
            name = (series_name(y) or "y") if what == "mean" else what.removesuffix("_mean")
            chart = pictures.landscape(means, columns=[what], title=name, scale=scale, selection=REGION)
            charts.append(chart)
            figures[f"Share of the variance of {name} between nodes"] = _explained(*figures_of)
    return [*charts, pictures.magnification(model, selection=REGION)], figures


def _perplexity(density: Array) -> float:
    """Return exp(entropy): as many nodes as would hold rows evenly with the same entropy."""
    return float(np.exp(-xlogy(density, density).sum()))


def _explained(mean: Array, std: Array, support: Array) -> float:
    """Return the share of the variance that lies between nodes and not within them."""
    known = support > 0
    if not known.any():
        return math.nan
    unit = max(np.abs(mean[known]).max(), std[known].max()) or 1.0  # whose square may be no number
    mean, std, support = mean[known] / unit, std[known] / unit, support[known]
    between = np.average((mean - np.average(mean, weights=support)) ** 2, weights=support)
    total = between + np.average(std**2, weights=support)
    return float(between / total) if total > 0 else 0.0
