"""What the panels of a landscape show: values at the nodes, how pale these are, and the words for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.plain_text import escaped
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.plot.style import amount, shade

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
Told = dict[str, tuple[str, Array]]

SETS = ("coverage", "compare")  # kinds whose columns are sets of rows
PART_WORDS = {"mean": "mean", "std": "standard deviation", "support": "rows"}
HEADINGS = {
    "density": "Density",
    "property": "Values at the nodes",
    "classes": "Classes",
    "coverage": "Coverage",
    "compare": "Density of each set",
}
PALE = "pale where they are few"
NEARLY_ALIKE = (0.5, 2.0)  # ratios within which no colour is full


@dataclass(frozen=True)
class Panel:
    """One map of a picture.

    Attributes
    ----------
    title, subtitle, legend : str
        What it shows, of which rows, and what its colours are.
    values : ndarray of shape (K,)
        NaN where nothing is known.
    colors, scale : str
        As in `value_colors`, unless others are asked for.
    shade : ndarray of shape (K,) or None
        How opaque nodes are, where that differs.
    within : tuple of float
        Values that the colours take in at least.
    told : dict of str to (str, ndarray of shape (K,))
        Further fields of a node, what they are, and their values.
    uncovered, outside : ndarray of bool of shape (K,) or None
        Where a reference has rows and the set too few, and the other way round.
    """

    title: str
    subtitle: str
    legend: str
    values: Array
    colors: str = "amounts"
    scale: str = "sqrt"
    shade: Array | None = None
    within: tuple[float, ...] = ()
    told: Told = field(default_factory=dict)
    uncovered: Mask | None = None
    outside: Mask | None = None


def panels_of(
    landscape: Landscape,
    columns: Sequence[Any] | None = None,
    name: str | None = None,
    relative_to: Any = None,
    *,
    titled: bool = False,
) -> list[Panel]:
    """Return a panel for each column, by default for the first part of everything.

    A picture that is not `titled`, of one value, has its name for a title.
    """
    chosen = _chosen(landscape, columns)
    if relative_to is not None:
        return _relative(landscape, chosen, name, relative_to)
    if landscape.kind == "property":
        alone = len(chosen) == 1 and not titled
        return [_of_value(landscape, column, name, alone=alone) for column in chosen]
    if landscape.kind == "classes":
        return [_of_class(landscape, column, name) for column in chosen]
    if landscape.kind == "magnification":
        return [_of_magnification(landscape, name)]
    if landscape.kind == "density":
        return [_of_density(landscape, column, name) for column in chosen]
    return [_of_set(landscape, column, name) for column in chosen]


def heading_of(landscape: Landscape, name: str | None, relative_to: Any) -> str:
    """Say what several panels are together."""
    if relative_to is not None:
        return f"Density relative to {escaped(relative_to)}"
    return (landscape.kind == "property" and name) or HEADINGS[landscape.kind]


def _chosen(landscape: Landscape, columns: Sequence[Any] | None) -> list[int]:
    """Return the numbers of the columns to draw."""
    if columns is None:
        return list(range(0, len(landscape.columns), len(landscape.parts)))
    unknown = [column for column in columns if column not in landscape.columns]
    if unknown or len(columns) == 0:
        raise ValueError(f"columns={list(columns)}; give some of {list(landscape.columns)}.")
    return [landscape.columns.index(column) for column in columns]


def _of_value(landscape: Landscape, column: int, name: str | None, *, alone: bool) -> Panel:
    """Show one part, such as the mean, of one value."""
    label, number = str(landscape.columns[column]), column // len(landscape.parts)
    part = landscape.parts[column % len(landscape.parts)]
    values, support = landscape.values[:, column], np.nan_to_num(landscape.part("support")[:, number])
    thing, word, rows = label.removesuffix(part).removesuffix("_"), PART_WORDS[part], amount(support.sum())
    title = thing or (alone and name) or word.capitalize()
    if part == "support":
        return Panel(title, f"{rows} rows", word, values)
    legend = word if name in {None, title} else f"{word}, {name}"
    told = {"support": ("rows", support)}
    words = (title, f"{rows} rows; {PALE}", legend)
    return Panel(*words, values, "sequential", "linear", shade(support), told=told)


def _of_class(landscape: Landscape, column: int, name: str | None) -> Panel:
    title, rows = f"{name or 'class'} {landscape.columns[column]}", rows_of(landscape)
    values, support = landscape.values[:, column], landscape.support
    looks: Any = {"scale": "linear", "within": (0.0, 1.0)}
    if support is None:
        return Panel(title, rows, "probability", values, **looks)
    told = {"support": ("rows", support)}
    return Panel(title, f"{rows}; {PALE}", "probability", values, shade=shade(support), told=told, **looks)


def _of_magnification(landscape: Landscape, name: str | None) -> Panel:
    values = landscape.values[:, 0]
    subtitle = "Area in data space, in squared units of X, per area of the map"
    scale = "log" if (values > 0).all() else "linear"
    return Panel("Magnification", subtitle, name or "data area / map area", values, "sequential", scale)


def _of_density(landscape: Landscape, column: int, name: str | None) -> Panel:
    values, rows = landscape.values[:, column], rows_of(landscape)
    if landscape.columns[column] == "support":
        return Panel("Rows", rows, "rows", values)
    told = {"support": ("rows", landscape.part("support")[:, 0])}
    return Panel("Density", rows, name or "share of rows", values, told=told)


def rows_of(landscape: Landscape) -> str:
    """Say how many rows a landscape is of, as far as it knows."""
    rows = landscape.summary.get("n_rows")
    return "Rows of unknown number" if rows is None else f"{amount(rows)} rows"


# Sets of rows


def _of_set(landscape: Landscape, column: int, name: str | None) -> Panel:
    """Show the density of a set, and where it and its reference stand alone."""
    label, values, summary = landscape.columns[column], landscape.values[:, column], landscape.summary
    n_rows, support, legend = _n_rows(landscape, label), landscape.support, name or "share of rows"
    told: Told = {} if n_rows is None else {"rows": ("rows", values * n_rows)}
    if landscape.kind == "coverage" and label != "reference" and support is not None:
        told["support"] = ("rows of the reference", support)
        if n_rows is not None:
            return _of_query(landscape, label, legend, values, told)
    subtitle = "" if n_rows is None else f"{amount(n_rows)} rows"
    if n_rows is None and label in summary:  # as in files of coverages before they held numbers of rows
        subtitle = f"{summary[label]:.1%} of the rows lie where the reference has rows"
    return Panel(label, subtitle, legend, values, told=told)


def _of_query(landscape: Landscape, label: str, legend: str, values: Array, told: Told) -> Panel:
    least, (_, rows), (_, support) = landscape.summary["min_support"], told["rows"], told["support"]
    uncovered, outside = (support >= least) & (rows < least), (support < least) & (rows >= least)
    covered, n_rows = landscape.summary[label], amount(rows.sum())
    lines = (
        f"{covered:.1%} of {n_rows} rows lie where the reference has {amount(least)} or more",
        f"solid outline: {_some(uncovered, support)} of the reference, and hardly any of these",
        f"dashed outline: {_some(outside, rows)}, and hardly any of the reference",
    )
    subtitle = "\n".join(lines)
    return Panel(label, subtitle, legend, values, told=told, uncovered=uncovered, outside=outside)


def _some(mask: Mask, rows: Array) -> str:
    """Say how many nodes there are, and how many of the rows lie there."""
    return f"{np.count_nonzero(mask):,} nodes with {rows[mask].sum() / rows.sum():.1%}"


def _n_rows(landscape: Landscape, label: str) -> float | None:
    """Return how many rows a set has; None where the landscape does not know that."""
    if landscape.kind == "compare":
        return landscape.summary.get(label)
    return landscape.summary.get("n_rows" if label == "reference" else f"{label}_n_rows")


def _relative(landscape: Landscape, chosen: list[int], name: str | None, base: Any) -> list[Panel]:
    """Show how many times as dense as another one each set is."""
    columns = landscape.columns
    if landscape.kind not in SETS:
        raise ValueError(
            f"relative_to={base!r} of a landscape of kind {landscape.kind!r}; give it for the sets of "
            "landscape.compare or landscape.coverage."
        )
    if base not in columns:
        raise ValueError(f"relative_to={base!r}; give one of {list(columns)}.")
    others = [column for column in chosen if columns[column] != base]
    if not others:
        raise ValueError(f"Nothing but {base!r} itself is drawn relative to it; give columns besides it.")
    return [_ratio(landscape, columns[column], base, name) for column in others]


def _ratio(landscape: Landscape, label: str, base: str, name: str | None) -> Panel:
    """Show the ratio of two densities, to each of which half a row of the smaller set is added at each node.

    So a node where both have next to nothing has the ratio 1, whatever their numbers of rows.
    """
    numbers = [_n_rows(landscape, each) for each in (label, base)]
    sizes = np.array([number for number in numbers if number is not None])
    if len(sizes) < 2:
        raise ValueError(
            f"The landscape does not say how many rows {label!r} and {base!r} have, since it was saved by an "
            "earlier state of dask_igtm; compute it anew."
        )
    shares = landscape.values[:, [landscape.columns.index(each) for each in (label, base)]]
    own, other = (shares + 0.5 / sizes.min()).T
    rows = shares * sizes
    told = {"rows": ("rows", rows[:, 0]), "support": (f"rows of {base}", rows[:, 1])}
    return Panel(
        label,
        f"{amount(sizes[0])} rows beside {amount(sizes[1])} of {escaped(base)}; pale where both are few",
        name or "times as dense",
        own / other,
        "diverging",
        "log",
        shade(rows.sum(axis=1)),
        NEARLY_ALIKE,
        told,
    )
