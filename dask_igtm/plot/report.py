"""One HTML page about a fitted map or an atlas: linked charts, what lies at a node, settings and figures."""

from __future__ import annotations

import math
from typing import Any

from dask_igtm.data.html_text import html_table, html_text
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.whole_outputs import Path, check_writable, write_whole
from dask_igtm.landscape.survey import Survey, survey, surveys
from dask_igtm.model.map_tree import MapTree
from dask_igtm.plot import fit_charts, page, report_words
from dask_igtm.plot.map_charts import Beside, map_charts
from dask_igtm.plot.map_places import Place, places_of
from dask_igtm.plot.node_facts import node_facts
from dask_igtm.plot.row_charts import Look
from dask_igtm.projection.fit_figures import fit_figures
from dask_igtm.projection.validate import map_estimator

N_BINS = 64  # few enough for a region to follow the mouse


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

    Of an atlas it has all maps on which rows of X lie, and the root is seen first. A region that has a map of
    its own is outlined and numbered on all charts. That map is opened by a button beside the chosen node, by
    Enter, or from a list of all maps; Backspace, a button and the browser go back, and the address says which
    map is open. However many there are, those below the root have together at most four times as many bins,
    single rows, members and markers as it.

    Parameters
    ----------
    model : IGTM, IGTMClassifier, IGTMRegressor or IGTMAtlas
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
    atlas = hasattr(model, "tree_")
    igtms = model.maps_ if atlas else [map_estimator(model)]
    library = page.library()
    check_writable(path)
    refuse_own_input(path, X)
    Look(scale=scale).check(of_values=True, of_labels=False)
    histories = [fit_charts.history(igtm).to_dict() for igtm in igtms]  # which some fits have none of
    source = report_words.source_of(X) if source is None else source
    asked = {"y": y, "labels": labels, "ids": ids, "sample_weight": sample_weight, "n_bins": N_BINS}
    told = surveys(model, X, **asked) if atlas else [survey(model, X, **asked)]
    found = {number: of_map for number, of_map in enumerate(told) if of_map is not None}
    names = report_words.names_of(found[0].property, y)
    beside = Beside.of(found[0], y, labels, names, scale)
    gains = {trial.name: trial.gain for trial in model.trials_} if atlas else {}
    maps = []
    for place in places_of(model.tree_ if atlas else MapTree.of_root(igtms[0].model_), found):
        igtm, number = igtms[place.number], place.number
        words = _words(igtm, found[number], place, beside, source, weighted=sample_weight is not None)
        charts = {
            "maps": map_charts(igtm, found[number], beside, place.regions),
            "history": histories[number],
        }
        nodes = _nodes(found[number], names)
        maps.append(page.PageMap(place, gains.get(place.name, math.nan), charts, nodes, words))
    heading, versions = title or "Generative topographic map", report_words.versions()
    written = page.page(maps, library, title=html_text(heading), versions=html_text(versions))
    write_whole(path, written.encode())


def _nodes(found: Survey, names: list[str]) -> dict[str, Any]:
    return node_facts(found.density, found.classes, found.property, found.members, found.markers, names)


def _words(
    igtm: Any, found: Survey, place: Place, beside: Beside, source: str, *, weighted: bool
) -> dict[str, str]:
    """Return HTML for every place of the page that tells of one map."""
    below, parent = place.above >= 0, place.name.rpartition("/")[0]
    data = report_words.data(found, source, beside.labels, beside.names, weighted=weighted, below=below)
    quality = report_words.quality(found, beside.names)
    settings = igtm.get_params(deep=False).items()
    return {
        "lead": html_text(report_words.lead(igtm, source, parent)),
        "glance": page.glance(report_words.glance(igtm, found)),
        "quality": html_table(quality, ["figure", "value", "what it says"]),
        "fit": html_table(fit_figures(igtm).items()),
        "data": html_table(data),
        "settings": html_table((name, str(value)) for name, value in settings),
    }
