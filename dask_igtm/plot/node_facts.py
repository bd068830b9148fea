"""What a page tells of a node that is chosen: its place and rows, their classes and means, members, markers.

All of it is plain lists for JSON, a column each and one place a node, so that a map of thousands of nodes
takes some hundred kilobytes. Numbers have six digits, and the page shows fewer. Texts are such as
`escaped` returns, those of classes such as charts show, and land in the page as text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.plain_text import escaped
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.landscape.survey import OWN_COLUMNS
from dask_igtm.plot.shown_text import LONGEST, shown_apart

Array = NDArray[np.float64]
Table = Mapping[str, NDArray[Any]]

SHOWN_CLASSES = 8  # of a node, the most probable ones


def node_facts(
    density: Landscape,
    classes: Landscape | None,
    means: Landscape | None,
    members: Table,
    markers: Table,
    mean_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a page tells of each node.

    Parameters
    ----------
    density : Landscape of K nodes
    classes : Landscape of kind "classes", or None
    means : Landscape of kind "property" with T properties, or None
    members : mapping of columns "node", "rank", "probability" and the names of the rows
        Sorted by node, then rank, as `landscape.members` has them.
    markers : mapping of columns "node", "rank", "column", "value", "rest" and "difference"
        Sorted likewise, as `landscape.markers` has them.
    mean_names : sequence of T str
        What the properties are called.

    Returns
    -------
    dict
        "k", nodes along a side; "axis", their coordinates there; "rows" of each node; "classes", "means",
        "members" and "markers". The entries of node i in the last two are from `start[i]` to `start[i + 1]`.
    """
    support = density.part("support")[:, 0]
    return {
        "k": math.isqrt(len(density.nodes)),
        "axis": _numbers(np.unique(density.nodes[:, 0])),
        "rows": _numbers(support),
        "classes": None if classes is None else _classes(classes),
        "means": [] if means is None else _means(means, mean_names),
        "members": _members(members, len(support)),
        "markers": _markers(markers, len(support)),
    }


def row_names(members: Table) -> list[str]:
    """Return the columns of a table of members that are what the rows are called."""
    return [name for name in members if name not in OWN_COLUMNS]


def _classes(classes: Landscape) -> dict[str, Any]:
    """Return the names of the classes, and of each node the most probable ones and their probabilities."""
    best = np.argsort(-classes.values, axis=1, kind="stable")[:, :SHOWN_CLASSES]
    shares = np.take_along_axis(classes.values, best, axis=1)
    return {
        "names": shown_apart(classes.columns),
        "which": best.tolist(),
        "share": [_numbers(of_node) for of_node in shares],
    }


def _means(means: Landscape, names: Sequence[str]) -> list[dict[str, Any]]:
    parts = (means.part(part).T for part in ("mean", "std", "support"))
    return [
        {"name": _text(name), "mean": _numbers(mean), "std": _numbers(std), "rows": _numbers(rows)}
        for name, mean, std, rows in zip(names, *parts, strict=True)
    ]


def _members(members: Table, n_nodes: int) -> dict[str, Any]:
    names = row_names(members)
    return {
        "start": _starts(members, n_nodes),
        "names": [_text(name) for name in names],
        "ids": [[_text(value) for value in members[name]] for name in names],
        "probability": _numbers(members["probability"]),
    }


def _markers(markers: Table, n_nodes: int) -> dict[str, Any]:
    number: dict[Any, int] = {}  # of each column that is named, for names are long
    which = [number.setdefault(column, len(number)) for column in markers["column"]]
    figures = {name: _numbers(markers[name]) for name in ("value", "rest", "difference")}
    return {
        "start": _starts(markers, n_nodes),
        "names": [_text(column) for column in number],
        "which": which,
        **figures,
    }


def _starts(table: Table, n_nodes: int) -> list[int]:
    """Return where the entries of each node begin in a table sorted by node, and where the last ones end."""
    return list(map(int, np.searchsorted(table["node"], np.arange(n_nodes + 1))))


def _numbers(values: NDArray[Any]) -> list[float]:
    return [float(f"{value:.6g}") for value in values.tolist()]


def _text(value: Any) -> str:
    text = escaped(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
