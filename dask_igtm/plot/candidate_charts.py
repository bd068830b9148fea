"""Pictures of the candidates of a search: along a parameter, or in rows by their rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.plain_text import listed
from dask_igtm.plot.candidates import Candidates, is_number
from dask_igtm.plot.colors import CATEGORIES
from dask_igtm.plot.shown_text import shown, shown_apart, shown_field
from dask_igtm.plot.style import PLAIN, SIDE, heading

Array = NDArray[np.float64]

RING = "#222"
MOST_ROWS = 40
MOST_TICKS = 12
MOST_LETTERS = 300  # pixels of the words of a candidate
NAMED = 3  # candidates without a score
DECADES = 20.0  # ratio of the largest to the least value from which an axis is logarithmic
STEP = 0.012  # of an axis, by which lines stand beside each other, so that bars can be told apart


def draw(found: Candidates, score: str, title: str) -> Any:
    """Return the picture of a search; see `plot.search`."""
    plane, words = found.plane(), heading(title, _comparison(found))
    base = alt.Chart(title=words).encode(tooltip=_told(score))
    return _in_rows(base, found, score) if plane is None else _along(base, found, *plane, score)


def _along(base: Any, found: Candidates, axis: str, line: str | None, score: str) -> Any:
    """Draw scores along the values of one parameter, with a line for each value of another."""
    ranked, varied = found.ranked, found.varied
    values = np.array([varied[axis][number] for number in ranked], dtype=float)
    logarithmic = values.min() > 0 and values.max() > DECADES * values.min()
    ticks = np.unique(values).tolist()
    x = alt.X(
        "at:Q",
        title=shown(axis),
        scale=alt.Scale(type="log" if logarithmic else "linear", zero=False, nice=False, padding=20),
        axis=alt.Axis(grid=False, format="~g", values=ticks if len(ticks) <= MOST_TICKS else alt.Undefined),
    )
    y = alt.Y("score:Q", title=shown(score), scale=alt.Scale(zero=False))
    places, color = values, alt.value(PLAIN)
    records = _records(found, ranked)
    if line is not None:
        others = [varied[line][number] for number in ranked]
        names, lines = _lines(others)
        records = [record | {"line": names[number]} for record, number in zip(records, lines, strict=True)]
        places, color = _beside(values, lines, logarithmic), _line_colors(names, others, line)
    records = [record | {"at": place} for record, place in zip(records, places.tolist(), strict=True)]
    chart = base.properties(data=alt.Data(values=records), width=SIDE, height=round(0.75 * SIDE))
    chart = chart.encode(x=x, y=y, color=color)
    joined = chart.mark_line(strokeWidth=1.5)
    bars = chart.mark_rule(opacity=0.6).encode(y=alt.Y("low:Q", title=shown(score)), y2="high:Q")
    return alt.layer(joined, bars, *_points(chart))


def _in_rows(base: Any, found: Candidates, score: str) -> Any:
    """Draw a row for each candidate, the best above."""
    records = _records(found, found.ranked[:MOST_ROWS])
    y = alt.Y(
        "candidate:N",
        title=None,
        sort=[record["candidate"] for record in records],
        axis=alt.Axis(labelLimit=MOST_LETTERS, grid=True, domain=False, ticks=False),
    )
    chart = base.properties(data=alt.Data(values=records), width=SIDE, height=alt.Step(18)).encode(
        x=alt.X("score:Q", title=shown(score), scale=alt.Scale(zero=False)), y=y, color=alt.value(PLAIN)
    )
    bars = chart.mark_rule(opacity=0.6).encode(x=alt.X("low:Q", title=shown(score)), x2="high:Q")
    return alt.layer(bars, *_points(chart))


def _points(chart: Any) -> list[Any]:
    """Return layers of mean scores, hollow where fits did not converge, with a ring around the choice."""
    known = chart.transform_filter(alt.datum.settled).mark_point(filled=True, size=50, opacity=1)
    cut = chart.transform_filter(~alt.datum.settled).mark_point(fill="white", size=45, opacity=1)
    ring = chart.transform_filter(alt.datum.best).mark_point(size=220, strokeWidth=1.5, opacity=1)
    return [cut, known, ring.encode(color=alt.value(RING))]


def _lines(values: Sequence[Any]) -> tuple[list[str], list[int]]:
    """Return the names of the lines of some values, in order where they are numbers, and the line of each."""
    own = {str(value): value for value in values}
    ordered = sorted(own, key=own.__getitem__) if all(map(is_number, values)) else list(own)
    places = {text: number for number, text in enumerate(ordered)}
    return shown_apart(ordered), [places[str(value)] for value in values]


def _line_colors(names: Sequence[str], values: Sequence[Any], title: str) -> Any:
    """Return the colours of lines, from dark to light along numbers."""
    if all(map(is_number, values)):
        scale = alt.Scale(domain=names, scheme=alt.SchemeParams(name="viridis", extent=[0, 0.85]))
    else:
        scale = alt.Scale(domain=names, range=list(CATEGORIES[: len(names)]))
    return alt.Color(
        "line:O", title=shown(title), scale=scale, sort=names, legend=alt.Legend(symbolType="stroke")
    )


def _beside(values: Array, lines: Sequence[int], logarithmic: bool) -> Array:
    """Return where candidates stand on the axis: those of each line a step beside those of the last."""
    units = np.log(values) if logarithmic else values
    steps = np.array(lines) - max(lines) / 2
    units = units + STEP * (units.max() - units.min()) * steps
    return np.asarray(np.exp(units) if logarithmic else units)


def _records(found: Candidates, numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is drawn and told of some candidates."""
    names = shown_apart(map(found.words, numbers))
    mean, spread = found.mean, found.spread
    return [
        {
            "candidate": name,
            "score": float(mean[number]),
            "spread": float(spread[number]),
            "low": float(mean[number] - spread[number]),
            "high": float(mean[number] + spread[number]),
            "settled": bool(found.settled[number]),
            "best": number == found.best,
        }
        for number, name in zip(numbers, names, strict=True)
    ]


def _told(score: str) -> list[Any]:
    """Return the tooltips of a candidate."""
    return [
        alt.Tooltip("candidate:N"),
        alt.Tooltip("score:Q", title=shown_field(score), format=".6~g"),
        alt.Tooltip("spread:Q", title="its standard deviation over folds", format=".2~g"),
        alt.Tooltip("settled:N", title="converged in every fold"),
    ]


def _comparison(found: Candidates) -> str:
    """Say in lines which candidate was chosen, what the marks mean, and which have no score."""
    best, ranked = found.best, found.ranked
    lines = [f"chosen: {found.words(best)} at {_measured(found.mean[best], found.spread[best])}"]
    lines[0] += f" over {found.n_folds} fold{'s' if found.n_folds != 1 else ''}"
    if not found.settled[ranked].all():
        lines.append("hollow: not converged in every fold")
    without = [number for number in range(len(found.params)) if number not in ranked]
    if without:
        lines.append(f"without a score: {listed(map(found.words, without), NAMED)}")
    if found.plane() is None and len(ranked) > MOST_ROWS:
        lines.append(f"the best {MOST_ROWS} of {len(ranked):,} candidates")
    return "\n".join(lines)


def _measured(mean: float, spread: float) -> str:
    """Return a score with its spread, to as many places as that has two digits in."""
    if not spread > 0:
        return f"{mean:,.6g}"
    places = max(0, 1 - math.floor(math.log10(spread)))
    return f"{mean:,.{places}f} ± {spread:,.{places}f}"
