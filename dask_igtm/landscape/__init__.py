"""Landscapes: what data say at each node of a fitted map, from one pass over them.

`density`, `property`, `classes`, `coverage` and `compare` take a map, fitted anywhere, and rows, and
compute. Lazy data are read a block at a time where they are, and stay lazy. What comes back is a
`Landscape`, with one row a node; `members` names the rows that lie there. The room knows what a fitted map
can do with rows, and no estimator; estimators, pictures and users call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_igtm._lazy import lazy

if TYPE_CHECKING:
    from dask_igtm.landscape.from_rows import classes, compare, coverage, density, magnification, property
    from dask_igtm.landscape.landscape import Landscape, load_landscape
    from dask_igtm.landscape.rows_at_nodes import members

__all__ = [
    "Landscape",
    "classes",
    "compare",
    "coverage",
    "density",
    "load_landscape",
    "magnification",
    "members",
    "property",
]

_HOMES = dict.fromkeys(__all__, "landscape.from_rows") | {
    "Landscape": "landscape.landscape",
    "load_landscape": "landscape.landscape",
    "members": "landscape.rows_at_nodes",
}
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
