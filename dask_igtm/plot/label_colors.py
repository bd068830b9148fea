"""Which colour each label has: one of its own if it is among the frequent ones, else that of all others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.plot.colors import CATEGORIES, CYCLIC, DIVERGING, OTHER, SEQUENTIAL
from dask_igtm.plot.shown_text import shown_names

Array = NDArray[np.float64]

ORDERED = {
    "sequential": SEQUENTIAL,
    "diverging": DIVERGING,
    "cyclic": CYCLIC,
}  # for labels that have an order
KINDS = f"give a dict of labels to colours, a sequence of colours, or one of {tuple(ORDERED)}"
COLOR = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})|[a-zA-Z]+")  # as pages know them


@dataclass(frozen=True)
class LabelColors:
    """How the labels of a picture are drawn.

    Attributes
    ----------
    names : list of str
        What the legend says, in its order; last of all "other", if there are labels without a colour.
    colors : list of str
        Of each name.
    place : dict of labels to int
        Which of the names each label has.
    note : str
        What is to be said of the others; "" where there are none.
    """

    names: list[str]
    colors: list[str]
    place: dict[Any, int]
    note: str

    def merged(self, labels: Iterable[Any], columns: Array) -> Array:
        """Return the columns of the names, (n, N), which are sums of those of the labels, (n, C)."""
        merged = np.zeros((len(columns), len(self.names)))
        for label, column in zip(labels, columns.T, strict=True):
            merged[:, self.place[label]] += column
        return merged


def label_colors(
    rows: Mapping[Any, float], colors: Any = None, order: Sequence[Any] | None = None
) -> LabelColors:
    """Give colours to labels.

    Parameters
    ----------
    rows : mapping of labels to numbers
        How many rows have each.
    colors : mapping of labels to colours, sequence of colours, or str, optional
        A mapping is of some labels, in the order of the legend; those that it leaves out are the others. Of a
        sequence each label takes one. "sequential", "diverging" and "cyclic" are for labels in an order. By
        default the twenty of `dask_igtm.plot.colors`. Where labels are more than colours, the most frequent
        ones have them.
    order : sequence of labels, optional
        In which they follow each other; by default they are sorted.

    Raises
    ------
    ValueError
        If a colour is none, or no label has one.
    """
    ordered = sorted(rows) if order is None else [label for label in order if label in rows]
    if isinstance(colors, Mapping):
        kept = [label for label in colors if label in rows]
        chosen = [colors[label] for label in kept]
    elif isinstance(colors, str):
        kept = _most_frequent(ordered, rows, len(CATEGORIES))
        chosen = _sampled(colors, len(kept))
    else:
        given = CATEGORIES if colors is None else tuple(colors)
        kept = _most_frequent(ordered, rows, len(given))
        chosen = list(given[: len(kept)])
    if not kept:
        raise ValueError(f"colors={colors!r} has none for any of the labels {ordered[:10]}; {KINDS}.")
    return _drawn(kept, [_color(color) for color in chosen], rows)


def _most_frequent(ordered: list[Any], rows: Mapping[Any, float], n: int) -> list[Any]:
    """Return the labels that most rows have, in their order; the first ones on ties."""
    chosen = set(sorted(ordered, key=lambda label: -rows[label])[:n])
    return [label for label in ordered if label in chosen]


def _drawn(kept: list[Any], colors: list[str], rows: Mapping[Any, float]) -> LabelColors:
    others = [label for label in rows if label not in set(kept)]
    place = {label: number for number, label in enumerate(kept)} | dict.fromkeys(others, len(kept))
    if not others:
        return LabelColors(shown_names(kept), colors, place, "")
    share = sum(rows[label] for label in others) / sum(rows.values())
    note = f"{len(others)} {'labels' if len(others) > 1 else 'label'} of {share:.1%} of the rows as other"
    return LabelColors(shown_names([*kept, "other"]), [*colors, OTHER], place, note)


def _sampled(ramp: str, n: int) -> list[Any]:
    """Return `n` colours along one of the ramps; of the cyclic one, whose ends meet, without the last."""
    if ramp not in ORDERED:
        raise ValueError(f"colors={ramp!r}; {KINDS}.")
    stops = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in ORDERED[ramp]]) / 255
    at = np.linspace(0, 1, n, endpoint=ramp != "cyclic")
    between = [np.interp(at, np.linspace(0, 1, len(stops)), channel) for channel in stops.T]
    return [tuple(color) for color in np.transpose(between)]


def _color(given: Any) -> str:
    """Return a colour as pages know it; also of three or four numbers from 0 to 1, as of Matplotlib."""
    if isinstance(given, str) and COLOR.fullmatch(given):
        return given
    try:
        parts = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        parts = np.empty(0)
    if parts.shape not in {(3,), (4,)} or not ((parts >= 0) & (parts <= 1)).all():
        raise ValueError(f"{given!r} is no colour; give one such as '#1b9e77', 'teal' or (0.1, 0.6, 0.5).")
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts[:3].tolist())
