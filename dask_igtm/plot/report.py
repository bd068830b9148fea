"""One HTML page about a fitted map: linked charts, what lies at a node, settings and figures."""

from __future__ import annotations

import math
import os
import platform
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import altair as alt
import dask
import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from dask_igtm._version import __version__
from dask_igtm.data.column_names import series_name
from dask_igtm.data.containers import array_in
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.row_names import split_names
from dask_igtm.data.whole_outputs import Path, check_writable, write_whole
from dask_igtm.landscape import from_rows
from dask_igtm.landscape.column_markers import markers
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.landscape.rows_at_nodes import members
from dask_igtm.plot import charts as pictures
from dask_igtm.plot import node_charts, page, row_charts
from dask_igtm.plot.node_facts import node_facts, row_names
from dask_igtm.plot.style import Canvas, amount
from dask_igtm.projection.quality import Quality, quality
from dask_igtm.projection.validate import fitted_map, map_estimator
from dask_igtm.statistics.map_bins import Spread

Array = NDArray[np.float64]

NAMES_LENGTH = 200  # characters of the names of columns
N_BINS = 64  # few enough for a region to follow the mouse
SIDE = 320  # pixels of a map, about: two of them fit beside what is told of a node
REGION = alt.selection_interval(name="region", encodings=["x", "y"])
CHOSEN = "chosen"  # the data that hold the place of the node that is chosen
AXES = ("rows", "columns")
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
        At most ten labels for a projection and a map of classes.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, default="linear"
        From y to colours.
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts, in every chart and figure of these rows.
    ids : str, sequence of str, or array or series of n, optional
        As in `IGTM.table`: what members are called, by default by the index of a frame, or row numbers.
    source : str, optional
        What the page says the rows are of; by default the path if X is one, else its kind and size.

    Raises
    ------
    ImportError
        If altair or vl-convert-python is missing.
    OSError
        If the file cannot be written.
    ValueError
        As `plot.projection`, `landscape.property`, `landscape.classes` and `landscape.members`.

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
    source = source_of(X) if source is None else source
    found = _survey(model, X, y=y, labels=labels, ids=ids, sample_weight=sample_weight)
    names = _names_of(found.property, y)
    nodes = node_facts(found.density, found.classes, found.property, found.members, found.markers, names)
    canvas = Canvas.of(igtm.nodes_, N_BINS, REGION, SIDE)
    maps = [*_projections(canvas, found, y, labels, scale), *_landscapes(canvas, found, labels, names, scale)]
    maps.append(node_charts.draw(from_rows.magnification(igtm), canvas, None, None, None, None))
    settings = igtm.get_params(deep=False).items()
    written = page.page(
        {"maps": _linked(maps, canvas), "history": pictures.history(igtm).to_dict()},
        nodes,
        library,
        title=page.html(title or "Generative topographic map"),
        lead=page.html(_lead(igtm, source)),
        glance=page.glance(_glance(igtm, found)),
        quality=page.table(_quality(found, names), ["figure", "value", "what it says"]),
        fit=page.table(_fit_figures(igtm).items()),
        data=page.table(_data(found, source, labels, names, sample_weight)),
        settings=page.table((name, str(value)) for name, value in settings),
        versions=page.html(_versions()),
    )
    write_whole(path, written.encode())


def source_of(X: Any) -> str:
    """Return the path if X is one, without a password; else its kind, and its size as far as it is known."""
    if isinstance(X, (str, os.PathLike)):
        return re.sub("(?<=://)[^/]*@", "", os.fspath(X))
    kind = f"{type(X).__module__.split('.')[0]} {type(X).__name__}".removeprefix("builtins ")
    shape = np.shape(X) if isinstance(X, (list, tuple)) else getattr(X, "shape", ())
    if len(shape) != len(AXES):
        return kind
    # Lazy tables may not know how many rows they have.
    known = [f"{size:,} {axis}" for size, axis in zip(shape, AXES, strict=True) if isinstance(size, Integral)]
    return f"{kind} of {' and '.join(known)}"


@dataclass(frozen=True)
class _Survey:
    """What is known of the rows on a map; as `landscape.survey.Survey`, which reads them once."""

    plain: Spread | None
    by_label: Spread | None
    by_value: Spread | None
    density: Landscape
    classes: Landscape | None
    property: Landscape | None
    quality: Quality | None
    without_quality: str
    members: dict[str, NDArray[Any]]
    markers: dict[str, NDArray[Any]]


def _survey(model: Any, X: Any, *, y: Any, labels: Any, ids: Any, sample_weight: Any) -> _Survey:
    """Stand in for `landscape.survey.survey`, in several passes; goes once that is there."""
    rows, _ = split_names(X, ids)
    one_value = y is not None and _is_one_column(y)

    def spread(values: Any, groups: Any) -> Spread:
        return row_charts.spread_of(model, rows, values, groups, N_BINS, sample_weight=sample_weight)

    judged, reason = None, ""
    try:
        judged = quality(model, rows, sample_weight)
    except ValueError as error:
        reason = str(error)
    likeliest = members(model, X, ids)
    apart = markers(model, rows, sample_weight=sample_weight) if len(fitted_map(model).nodes) > 1 else None
    empty = ("node", "rank", "column", "value", "rest", "difference")
    return _Survey(
        plain=spread(None, None) if labels is None and not one_value else None,
        by_label=None if labels is None else spread(None, labels),
        by_value=spread(y, None) if one_value else None,
        density=from_rows.density(model, rows, sample_weight),
        classes=None
        if labels is None
        else from_rows.classes(model, rows, labels, sample_weight=sample_weight),
        property=None if y is None else from_rows.property(model, rows, y, sample_weight),
        quality=judged,
        without_quality=reason,
        members={name: likeliest[name].to_numpy() for name in likeliest},
        markers=dict.fromkeys(empty, np.empty(0))
        if apart is None
        else {name: apart[name].to_numpy() for name in apart},
    )


def _is_one_column(y: Any) -> bool:
    y = array_in(y, "y", table=False)
    shape = y.shape if hasattr(y, "shape") else np.shape(y)
    return len(shape) == 1 or shape[1:] == (1,)


# Charts


def _projections(canvas: Canvas, found: _Survey, y: Any, labels: Any, scale: str) -> Iterator[Any]:
    """Yield a chart of the rows for each thing that may colour them."""
    for spread, of in ((found.plain, None), (found.by_label, labels), (found.by_value, y)):
        if spread is not None:
            yield row_charts.draw(spread, canvas, series_name(of), scale=scale)


def _landscapes(
    canvas: Canvas, found: _Survey, labels: Any, names: Sequence[str], scale: str
) -> Iterator[Any]:
    """Yield a chart of the nodes for each thing that rows say of them."""
    yield node_charts.draw(found.density, canvas, None, None, None, None)
    if found.classes is not None:
        yield node_charts.draw(found.classes, canvas, None, series_name(labels), None, None)
    if found.property is not None:
        for column, name in zip(found.property.columns_of("mean"), names, strict=True):
            yield node_charts.draw(found.property, canvas, [column], None, name, scale)


def _linked(maps: Sequence[Any], canvas: Canvas) -> dict[str, Any]:
    """Return the specification of all maps, in which a region or a node of one is marked on all."""
    independent = dict.fromkeys(("color", "shape", "opacity", "size"), "independent")
    rim, line = _outline(canvas)
    outlined = [drawn + rim + line for drawn in maps]
    together = alt.concat(*outlined, columns=2).resolve_scale(**independent)
    spec: dict[str, Any] = together.to_dict(validate=False)  # which takes longest of all, and never fails
    for number, panel in enumerate(spec["concat"]):
        panel["name"], panel["layer"][0]["name"] = f"map{number}", f"rows{number}"
    # Altair cannot add one parameter to several charts without a warning.
    views = [panel["layer"][0]["name"] for panel in spec["concat"]]
    spec["params"] = [REGION.param.to_dict() | {"views": views}]
    spec.setdefault("datasets", {})[CHOSEN] = []
    spec["config"]["aria"] = False  # thousands of marks say less than the page tells of a node
    return spec


def _outline(canvas: Canvas) -> tuple[Any, Any]:
    """Return a light rim and a dark line around the chosen node, which are seen on every colour."""
    side = max(canvas.node_pixels + 2, LEAST_OUTLINE)
    square = canvas.chart([]).properties(data=alt.NamedData(name=CHOSEN))
    look = {"shape": "square", "size": side**2, "filled": False, "opacity": 1, "tooltip": None}
    rim = square.mark_point(stroke="white", strokeWidth=5, **look)
    return rim, square.mark_point(stroke="black", strokeWidth=2, **look)


# Words


def _names_of(means: Landscape | None, y: Any) -> list[str]:
    """Return what the columns of y are called."""
    if means is None:
        return []
    own = series_name(y) or "y"
    return [own if name == "mean" else name.removesuffix("_mean") for name in means.columns_of("mean")]


def _n_rows(found: _Survey) -> float:
    """Return how many rows there are, each as often as it weighs."""
    spread = _any_spread(found)
    return spread.n_rows + spread.n_without


def _any_spread(found: _Survey) -> Spread:
    return next(each for each in (found.plain, found.by_label, found.by_value) if each is not None)


def _lead(igtm: Any, source: str) -> str:
    k, ended = math.isqrt(len(igtm.nodes_)), "converged" if igtm.converged_ else "did not converge"
    return f"{source}, on a map of {k} x {k} nodes; its fit to {amount(igtm.n_samples_seen_)} rows {ended}."


def _glance(igtm: Any, found: _Survey) -> dict[str, Any]:
    """Return the figures that are looked for first."""
    k, judged = math.isqrt(len(igtm.nodes_)), found.quality
    figures = {
        "rows": amount(_n_rows(found)),
        "columns": igtm.n_features_in_,
        "nodes": f"{k} x {k}",
        "mean ln p(x)": f"{_likelihood(found):,.5g}",
    }
    if judged is None:
        return figures
    return figures | {
        "trustworthiness": f"{judged.trustworthiness:.3f}",
        "continuity": f"{judged.continuity:.3f}",
        "dead nodes": f"{judged.dead_nodes:.1%}",
    }


def _likelihood(found: _Survey) -> float:
    return _any_spread(found).log_likelihood / _n_rows(found)


def _quality(found: _Survey, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield figures of how good the map of these rows is, each with what it says."""
    yield (
        "Mean of ln p(x) a row of this page",
        _likelihood(found),
        "Of these rows, in the units of X; more is better.",
    )
    yield from _judged(found.quality, found.without_quality)
    nodes = f"As many nodes as would hold the rows evenly, of {len(found.density.nodes)}."
    evenly = _perplexity(found.density.values[:, 0])
    yield "Effective number of nodes, exp(entropy of density)", evenly, nodes
    if found.classes is not None:
        certainty = np.average(found.classes.values.max(axis=1), weights=found.classes.support)
        apart = "1 where every node has rows of one class alone."
        yield "Mean probability of the most probable class at a node", float(certainty), apart
    if found.property is not None:
        parts = (found.property.part(part).T for part in found.property.parts)
        told = "1 if the place on the map tells the value, 0 if it says nothing of it."
        for name, *figures in zip(names, *parts, strict=True):
            yield f"Share of the variance of {name} between nodes", _explained(*figures), told


def _judged(judged: Quality | None, reason: str) -> Iterator[tuple[Any, ...]]:
    if judged is None:
        yield "Trustworthiness, continuity, BIC", "unknown", reason
        return
    near = f"Of {judged.n_neighbors} neighbours each, among {judged.n_sample:,} rows."
    yield (
        "Trustworthiness",
        f"{judged.trustworthiness:.4f}",
        f"1 if neighbours on the map are such in X. {near}",
    )
    yield "Continuity", f"{judged.continuity:.4f}", f"1 if neighbours in X are such on the map. {near}"
    yield (
        "Dead nodes",
        f"{judged.dead_nodes:.1%}",
        "Have less than half a row; many of them ask for a smaller k.",
    )
    bic = "For maps of the same rows: the likelihood, less a price for each parameter; less is better."
    yield "BIC", judged.bic, bic


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


def _data(
    found: _Survey, source: str, labels: Any, names: Sequence[str], sample_weight: Any
) -> Iterator[tuple[str, Any]]:
    """Yield what the rows of the page are, and what is known of them beside their columns."""
    yield "Source", source
    yield "Rows of this page", amount(_n_rows(found))
    if found.classes is not None and found.by_label is not None:
        name = series_name(labels)
        which = _listed(len(found.classes.columns), found.classes.columns)
        yield "Labels", f"{name}, {which}" if name else which
        yield "Rows without a label", amount(found.by_label.n_without)
    if names:
        yield "Values (y)", _listed(len(names), names)
    yield "Rows are called by", ", ".join(map(escaped, row_names(found.members)))
    yield "Weights", "each row counts as often as it weighs" if sample_weight is not None else "none"


def _fit_figures(igtm: Any) -> dict[str, Any]:
    k, noise = math.isqrt(len(igtm.nodes_)), igtm.model_.noise
    figures = {
        "Rows": igtm.n_samples_seen_,
        "Columns": _listed(igtm.n_features_in_, getattr(igtm, "feature_names_in_", ())),
        "Nodes": f"{k} x {k}",
        "Mean of ln p(x) a row": igtm.log_likelihood_,
        "Iterations": igtm.n_iter_,
        "Converged": igtm.converged_,
        "Stopped by": igtm.stopped_by_,
        "Passes over the data": round(float(igtm.n_passes_), 1),
        "Noise": noise.name,
    }
    if noise.natural:  # which has none of its own
        return figures
    mean = "Mean noise variance of a column" if noise.by_column else "Noise variance"
    return figures | {f"{mean}, in the units of the model": float(np.mean(igtm.beta_inv_))}


def _listed(count: int, names: Iterable[Any]) -> str:
    """Say how many there are, and what they are called, as far as a line holds that."""
    names = ", ".join(map(escaped, names))
    listed = textwrap.shorten(names, NAMES_LENGTH, placeholder=" ...")
    return f"{count:,}: {listed}" if names else f"{count:,}"


def _versions() -> str:
    """Return what made the page: the same of these makes the same page of the same rows."""
    return (
        f"dask_igtm {__version__} with Dask {dask.__version__}, NumPy {np.__version__}, "
        f"Altair {alt.__version__} and Python {platform.python_version()}"
    )
