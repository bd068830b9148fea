"""Pictures of fits: how one went, how the candidates of a search compare, and whether more rows would pay.

They need no rows, only what a fit, a search or a `saturation` keeps of itself.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.plot import candidate_charts
from dask_igtm.plot.candidates import candidates_of, score_name
from dask_igtm.plot.style import PLAIN, SIDE, heading
from dask_igtm.projection.validate import map_estimator

Array = NDArray[np.float64]

GREY = "#888"
LIKELIHOODS = {"rows of the fit": "training", "rows held out": "held_out"}  # and their attributes
ROUNDING = 1e-12  # of a mean of ln p(x), below which two of them are one
LEAST_GAPS = 2  # fewer show no approach
MOST_DECADES = 8  # of which each has a tick
PALEST = 0.55  # share of white in the colour of the first stage


def history(model: Any, *, title: str = "Log-likelihood") -> Any:
    """Draw how a fit came to its end: how far each iteration was below the highest likelihood of its stage.

    On a logarithmic axis the first jump leaves room for all that follows, and a straight line falls by the
    same share in every iteration.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    title : str, optional

    Returns
    -------
    altair.Chart
        With a line for each stage, the paler the fewer rows it was worked on. After `partial_fit`, which
        heads for no end, the mean of ln p(x) over each block; and so of each iteration where they are but
        one, or all alike.

    Raises
    ------
    ValueError
        If the fit was cut before it knew a likelihood.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, plot
    >>> chart = plot.history(IGTM(k=8, scale="standard").fit(load_iris().data))
    >>> chart.save("history.png")  # doctest: +SKIP
    """
    igtm = map_estimator(model)
    values, shares = np.asarray(igtm.history_, dtype=float), np.asarray(igtm.history_shares_, dtype=float)
    streamed = hasattr(igtm, "stream_")
    if not streamed:
        values, shares = np.append(values, igtm.log_likelihood_), np.append(shares, 1.0)
    if not np.isfinite(values).any():
        raise ValueError("The fit was cut before it knew a likelihood, so there is no history to draw.")
    if streamed:
        return _values_of(values, "block", heading(title, _counted(len(values), "block")))
    gaps, words = _gaps(values, shares), heading(title, _ending(igtm))
    if (gaps > 0).sum() < LEAST_GAPS:
        return _values_of(values, "iteration", words)
    return _approach(values, gaps, shares, words)


def search(search: Any, *, name: str | None = None, title: str = "Search") -> Any:
    """Draw how the candidates of a search compare: the mean score of each, and its spread over the folds.

    Parameters
    ----------
    search : IGTMSearch or GridSearchCV
        Fitted, with or without a refit; its `cv_results_` are drawn.
    name : str, optional
        What the score is, with a unit, for the axis; by default as far as the search tells.
    title : str, optional

    Returns
    -------
    altair.LayerChart
        Where candidates differ in one number, that is the axis; where they differ in a second parameter of up
        to ten values, each of these has a line. Else each candidate has a row, the best forty by their rank.
        Bars are a standard deviation over the folds to both sides, a ring marks the candidate that the search
        chose, and hollow points are of fits that did not converge in every fold.

    Raises
    ------
    NotFittedError
        If it has not searched yet.
    TypeError
        If it is no search.
    ValueError
        If no candidate has a score, or each has several.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, IGTMSearch, plot
    >>> found = IGTMSearch(IGTM(scale="standard"), {"k": [4, 8], "regul": [0.1, 1.0]}).fit(load_iris().data)
    >>> chart = plot.search(found)
    >>> chart.save("search.png")  # doctest: +SKIP
    """
    return candidate_charts.draw(candidates_of(search), name or score_name(search), title)


def saturation(result: Any, *, title: str = "Saturation") -> Any:
    """Draw whether a sample has saturated: likelihoods of growing shares of the rows, and of rows held out.

    Parameters
    ----------
    result : Saturation
        As `dask_igtm.saturation` returns it.
    title : str, optional

    Returns
    -------
    altair.LayerChart
        A likelihood held out that is in the pale band differs from the last by no more than `tol`; from the
        upright line on, all are. Hollow points are of fits that did not converge.

    Raises
    ------
    TypeError
        If it is no result of `saturation`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from dask_igtm import IGTM, plot, saturation
    >>> result = saturation(IGTM(k=6, scale="center"), load_digits().data, shares=(1 / 16, 1 / 4, 1))
    >>> chart = plot.saturation(result)
    >>> chart.save("saturation.png")  # doctest: +SKIP
    """
    if not hasattr(result, "held_out") or not hasattr(result, "verdict"):
        raise TypeError(f"{type(result).__name__} is no Saturation; give what `saturation` returned.")
    table = _likelihoods(result)
    hollow = "" if result.converged.all() else "\nhollow: not converged"
    words = heading(title, result.verdict.replace(": ", ":\n", 1) + hollow)
    of, legend = list(LIKELIHOODS), alt.Legend(title="likelihood of", symbolType="stroke")
    colors, dashes = alt.Scale(domain=of, range=[GREY, PLAIN]), alt.Scale(domain=of, range=[[5, 3], [1, 0]])
    ticks = sorted({record["rows"] for record in table})
    axis = alt.Axis(values=ticks, format=",.0f", grid=False, labelOverlap="greedy")
    base = alt.Chart(alt.Data(values=table), title=words, width=SIDE, height=round(0.75 * SIDE)).encode(
        x=alt.X("rows:Q", title="rows", axis=axis, scale=alt.Scale(type="log", nice=False, padding=20)),
        y=alt.Y("value:Q", title="mean of ln p(x) a row", scale=alt.Scale(zero=False)),
        color=alt.Color("of:N", scale=colors, legend=legend),
        tooltip=[
            alt.Tooltip("share:N"),
            alt.Tooltip("rows:Q", format=",.0f"),
            alt.Tooltip("of:N", title="likelihood of"),
            alt.Tooltip("value:Q", title="mean of ln p(x)", format=".6~g"),
            alt.Tooltip("converged:N"),
        ],
    )
    dashed = alt.StrokeDash("of:N", scale=dashes, legend=legend)
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=dashed)
    known = base.transform_filter(alt.datum.converged).mark_point(filled=True, size=50, opacity=1)
    cut = base.transform_filter(~alt.datum.converged).mark_point(fill="white", size=45, opacity=1)
    return _enough(result) + lines + cut + known


def _likelihoods(result: Any) -> list[dict[str, Any]]:
    """Return a record for each likelihood that is known."""
    return [
        {
            "share": f"{100 * share:.3g} %",
            "rows": float(rows),
            "of": of,
            "value": float(value),
            "converged": bool(converged),
        }
        for of, name in LIKELIHOODS.items()
        for share, rows, value, converged in zip(
            result.share, result.n_samples, getattr(result, name), result.converged, strict=True
        )
        if np.isfinite(value)
    ]


def _enough(result: Any) -> Any:
    """Draw the band within `tol` of the last, and where it begins to hold all."""
    last = float(result.held_out[-1])
    ground = alt.Chart(alt.Data(values=[{"low": last - result.tol, "high": last}]))
    band = ground.mark_rect(color=PLAIN, opacity=0.12).encode(y="low:Q", y2="high:Q")
    reached = result.n_samples[result.share >= result.enough][0]
    places = [{"rows": float(reached)}] if result.enough < result.share[-1] else []
    line = alt.Chart(alt.Data(values=places)).mark_rule(color=PLAIN, strokeDash=[2, 3]).encode(x="rows:Q")
    return band + line


def _gaps(values: Array, shares: Array) -> Array:
    """Return how far each value is below the highest of its share of the rows; 0 where that is rounding."""
    gaps = np.zeros(len(values))
    for share in np.unique(shares):
        stage = (shares == share) & np.isfinite(values)
        highest = values[stage].max(initial=-np.inf)
        gaps[stage] = highest - values[stage]
    return np.where(gaps > ROUNDING * np.abs(values), gaps, 0.0)


def _approach(values: Array, gaps: Array, shares: Array, words: Any) -> Any:
    """Draw gaps on a logarithmic axis, with a line for each share of the rows."""
    stages = {share: _rows_of(share) for share in np.unique(shares[gaps > 0])}
    table = [
        {"iteration": number, "gap": gap, "value": value, "rows": stages[share]}
        for number, (gap, value, share) in enumerate(zip(gaps.tolist(), values.tolist(), shares, strict=True))
        if gap > 0
    ]
    pale = np.linspace(PALEST, 0, len(stages)) if len(stages) > 1 else [0.0]
    scale = alt.Scale(domain=list(stages.values()), range=[_paler(PLAIN, share) for share in pale])
    legend = alt.Legend(title="on") if len(stages) > 1 else None
    axis = alt.Axis(values=_decades(gaps[gaps > 0]))
    return (
        alt.Chart(alt.Data(values=table), title=words, width=SIDE, height=SIDE // 2)
        .mark_line(point=alt.OverlayMarkDef(size=12), strokeWidth=1.5)
        .encode(
            x=_steps("iteration", len(values)),
            y=alt.Y("gap:Q", title="ln p(x) a row below the best", axis=axis, scale=alt.Scale(type="log")),
            color=alt.Color("rows:N", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("iteration:Q"),
                alt.Tooltip("value:Q", title="mean of ln p(x)", format=".6~g"),
                alt.Tooltip("gap:Q", title="below the best", format=".3~g"),
                alt.Tooltip("rows:N", title="on"),
            ],
        )
    )


def _values_of(values: Array, step: str, words: Any) -> Any:
    """Draw the values themselves, of blocks or of iterations that approach nothing."""
    table = [
        {step: number, "value": value} for number, value in enumerate(values.tolist()) if np.isfinite(value)
    ]
    return (
        alt.Chart(alt.Data(values=table), title=words, width=SIDE, height=SIDE // 2)
        .mark_line(color=PLAIN, point=alt.OverlayMarkDef(size=12, color=PLAIN), strokeWidth=1.5)
        .encode(
            x=_steps(step, len(values)),
            y=alt.Y("value:Q", title="mean of ln p(x) a row", scale=alt.Scale(zero=False)),
            tooltip=[
                alt.Tooltip(f"{step}:Q"),
                alt.Tooltip("value:Q", title="mean of ln p(x)", format=".6~g"),
            ],
        )
    )


def _steps(name: str, count: int) -> Any:
    axis, scale = (
        alt.Axis(format="d", tickMinStep=1, grid=False),
        alt.Scale(domain=[0, count - 1], nice=False),
    )
    return alt.X(f"{name}:Q", title=name, axis=axis, scale=scale)


def _decades(values: Array) -> list[float]:
    """Return the powers of ten around values, or every second one and so on where they are many."""
    lowest, highest = math.floor(np.log10(values.min())), math.ceil(np.log10(values.max()))
    return [10.0**power for power in range(lowest, highest + 1, 1 + (highest - lowest) // MOST_DECADES)]


def _rows_of(share: float) -> str:
    """Say of how many of the rows a share is."""
    return "all rows" if share == 1 else f"{100 * share:.3g} % of the rows"


def _paler(color: str, share: float) -> str:
    """Return a colour with a share of white in it."""
    parts = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(part + share * (255 - part)):02x}" for part in parts)


def _ending(igtm: Any) -> str:
    """Say in a line how a fit ended."""
    ended = "Converged" if igtm.converged_ else "Not converged"
    iterations = _counted(igtm.n_iter_, "iteration")
    value = f" at {igtm.log_likelihood_:,.6g} a row" if np.isfinite(igtm.log_likelihood_) else ""
    on_samples = int((np.asarray(igtm.history_shares_) < 1).sum())
    before = f"\nafter {on_samples:,} on samples of the rows" if on_samples else ""
    return f"{ended} after {iterations}{value}{before}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' if number != 1 else ''}"
