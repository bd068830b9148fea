"""Which colour each label has: one of its own if it is among the frequent ones, else that of all others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
from altair.utils.schemapi import SchemaValidationError
from numpy.typing import NDArray

from dask_igtm.plot.colors import CATEGORIES, CYCLIC, DIVERGING, OTHER, SEQUENTIAL
from dask_igtm.plot.shown_text import shown_names

Array = NDArray[np.float64]

ORDERED = {"sequential": SEQUENTIAL, "diverging": DIVERGING, "cyclic": CYCLIC}  # for labels in an order
KINDS = f"give a dict of labels to colours, a sequence of colours, or one of {tuple(ORDERED)}"
HEX = re.compile(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


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
    n_others : int
        How many labels have no colour of their own.
    share_of_others : float
        Of all rows.
    """

    names: list[str]
    colors: list[str]
    place: dict[Any, int]
    n_others: int
    share_of_others: float

    @property
    def own(self) -> dict[Any, str]:
        """The colour of each label that has one of its own, in the order of the legend."""
        n_own = len(self.names_of_own)
        return {label: self.colors[place] for label, place in self.place.items() if place < n_own}

    @property
    def names_of_own(self) -> list[str]:
        """The names of the labels that have a colour of their own."""
        return self.names[: len(self.names) - bool(self.n_others)]

    def merged(self, labels: Iterable[Any], columns: Array) -> Array:
        """Return the columns of the names, (n, N), which are sums of those of the labels, (n, C)."""
        merged = np.zeros((len(columns), len(self.names)))
        for label, column in zip(labels, columns.T, strict=True):
            if label in self.place:
                merged[:, self.place[label]] += column
        return merged


def label_colors(
    rows: Mapping[Any, float], colors: Any = None, order: Sequence[Any] | None = None
) -> LabelColors:
    """Give colours to labels.

    Parameters
    ----------
    rows : mapping of labels to numbers
        How many rows have each; those that none has are not drawn.
    colors : mapping of labels to colours, sequence of colours, or str, optional
        A mapping is of some labels, in the order of the legend; those that it leaves out are the others. Of a
        sequence each label takes one. "sequential", "diverging" and "cyclic" are for labels in an order. By
        default the twenty of `dask_igtm.plot.colors`. Where labels are more than colours, the most frequent
        ones have them.
    order : sequence of labels, optional
        In which they follow each other; by default they are sorted. A label keeps the colour of its place
        there, while there are as many, also where others have no rows.

    Raises
    ------
    ValueError
        If a colour is none, or no label has one.
    """
    rows = {label: count for label, count in rows.items() if count > 0}
    ordered = list(sorted(rows) if order is None else order)
    if isinstance(colors, Mapping):
        chosen = dict(colors)
    else:
        if len(ordered) > len(_given(colors, len(ordered))):
            ordered = _most_frequent(ordered, rows, len(_given(colors, len(ordered))))
        chosen = dict(zip(ordered, _given(colors, len(ordered)), strict=False))
    own = {label: _color(color) for label, color in chosen.items() if label in rows}
    if not own:
        raise ValueError(f"colors={colors!r} has none for any of the labels {list(rows)[:10]}; {KINDS}.")
    others = [label for label in rows if label not in own]
    place = {label: number for number, label in enumerate(own)} | dict.fromkeys(others, len(own))
    share = sum(rows[label] for label in others) / sum(rows.values())
    rest = {"other": OTHER} if others else {}
    return LabelColors(shown_names([*own, *rest]), [*own.values(), *rest.values()], place, len(others), share)


def colors_within(rows: Mapping[Any, float], whole: Mapping[Any, str]) -> dict[Any, str]:
    """Return the colours of labels in a part of some rows: those of the whole, and free ones for others.

    Parameters
    ----------
    rows : mapping of labels to numbers
        How many rows of the part have each.
    whole : mapping of labels to colours
        Those that have one of their own among all rows.
    """
    kept = {label: color for label, color in whole.items() if rows.get(label, 0) > 0}
    free = [color for color in CATEGORIES if color not in kept.values()]
    rest = [label for label in rows if label not in whole and rows[label] > 0]
    return kept | dict(zip(_most_frequent(rest, rows, len(free)), free, strict=False))


def check_colors(colors: Any) -> None:
    """Raise ValueError unless `label_colors` knows what is meant, whatever the labels."""
    given = colors.values() if isinstance(colors, Mapping) else _given(colors, len(CATEGORIES))
    for color in given:
        _color(color)


def _given(colors: Any, n: int) -> Sequence[Any]:
    """Return colours for `n` labels or for as many as there are; along a ramp where that is named."""
    if colors is None:
        return CATEGORIES
    return _sampled(colors, min(n, len(CATEGORIES))) if isinstance(colors, str) else tuple(colors)


def _most_frequent(ordered: list[Any], rows: Mapping[Any, float], n: int) -> list[Any]:
    """Return the labels that most rows have, in their order; the first ones on ties, and where sums round."""
    kept = [label for label in ordered if label in rows]
    chosen = set(sorted(kept, key=lambda label: -float(f"{rows[label]:.9g}"))[:n])
    return [label for label in kept if label in chosen]


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
    if isinstance(given, str) and (HEX.fullmatch(given) or _is_named(given)):
        return given
    try:
        parts = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        parts = np.empty(0)
    if parts.shape not in {(3,), (4,)} or not ((parts >= 0) & (parts <= 1)).all():
        raise ValueError(f"{given!r} is no colour; give one such as '#1b9e77', 'teal' or (0.1, 0.6, 0.5).")
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts[:3].tolist())


def _is_named(given: str) -> bool:
    """Whether a colour is one of those to which CSS gives names."""
    try:
        alt.ColorName(given)
    except SchemaValidationError:
        return False
    return True
