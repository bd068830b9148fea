"""What the page of a report says in words and figures."""

from __future__ import annotations

import math
import os
import platform
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral
from typing import Any

import altair as alt
import dask
import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from dask_igtm._version import __version__
from dask_igtm.data.column_names import series_name
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.whole_outputs import without_secrets
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.landscape.survey import Survey
from dask_igtm.plot.node_facts import row_names
from dask_igtm.plot.style import amount
from dask_igtm.projection.fit_figures import NAMES_LENGTH
from dask_igtm.projection.quality import Quality
from dask_igtm.statistics.map_bins import Spread

Array = NDArray[np.float64]

AXES = ("rows", "columns")


def source_of(X: Any) -> str:
    """Return the path if X is one, without secrets; else its kind, and its size as far as it is known."""
    if isinstance(X, (str, os.PathLike)):
        return without_secrets(os.fspath(X))
    kind = f"{type(X).__module__.split('.')[0]} {type(X).__name__}".removeprefix("builtins ")
    shape = np.shape(X) if isinstance(X, (list, tuple)) else getattr(X, "shape", ())
    if len(shape) != len(AXES):
        return kind
    # Lazy tables may not know how many rows they have.
    known = [f"{size:,} {axis}" for size, axis in zip(shape, AXES, strict=True) if isinstance(size, Integral)]
    return f"{kind} of {' and '.join(known)}"


def names_of(means: Landscape | None, y: Any) -> list[str]:
    """Return what the columns of y are called."""
    if means is None:
        return []
    own = series_name(y) or "y"
    return [own if name == "mean" else name.removesuffix("_mean") for name in means.columns_of("mean")]


def _n_rows(found: Survey) -> float:
    """Return how many rows there are, each as often as it weighs."""
    spread = _any_spread(found)
    return spread.n_rows + spread.n_without


def _any_spread(found: Survey) -> Spread:
    return next(each for each in (found.plain, found.by_label, found.by_value) if each is not None)


def lead(igtm: Any, source: str, above: str) -> str:
    """Return what is told of a map; `above` names that of which it has a region, of the root none."""
    k, ended = math.isqrt(len(igtm.nodes_)), "converged" if igtm.converged_ else "did not converge"
    within = f" for a region of {above}" if above else ""
    fit = f"its fit to {amount(igtm.n_samples_seen_)} rows {ended}"
    return f"{source}, on a map of {k} x {k} nodes{within}; {fit}."


def glance(igtm: Any, found: Survey) -> dict[str, Any]:
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


def _likelihood(found: Survey) -> float:
    return _any_spread(found).log_likelihood / _n_rows(found)


def quality(found: Survey, names: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Yield figures of how good the map of these rows is, each with what it says."""
    told = "Of these rows, in the units of X; more is better."
    yield "Mean of ln p(x) a row of this page", _likelihood(found), told
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


def data(
    found: Survey, source: str, labels: Any, names: Sequence[str], *, weighted: bool, below: bool
) -> Iterator[tuple[str, Any]]:
    """Yield what the rows of the page are, and what is known of them beside their columns."""
    yield "Source", source
    yield "Rows of this map" if below else "Rows of this page", amount(_n_rows(found))
    if found.classes is not None and found.by_label is not None:
        name = series_name(labels)
        which = _listed(len(found.classes.columns), found.classes.columns)
        yield "Labels", f"{name}, {which}" if name else which
        yield "Rows without a label", amount(found.by_label.n_without)
    if names:
        yield "Values (y)", _listed(len(names), names)
    yield "Rows are called by", ", ".join(map(escaped, row_names(found.members)))
    counts = ["as often as it weighs"] if weighted else []
    counts += ["by the probability that it lies on this map"] if below else []
    yield "Weights", f"each row counts {' and '.join(counts)}" if counts else "none"


def _listed(count: int, names: Iterable[Any]) -> str:
    """Say how many there are, and what they are called, as far as a line holds that."""
    names = ", ".join(map(escaped, names))
    listed = textwrap.shorten(names, NAMES_LENGTH, placeholder=" ...")
    return f"{count:,}: {listed}" if names else f"{count:,}"


def versions() -> str:
    """Return what made the page: the same of these makes the same page of the same rows."""
    return (
        f"dask_igtm {__version__} with Dask {dask.__version__}, NumPy {np.__version__}, "
        f"Altair {alt.__version__} and Python {platform.python_version()}"
    )
