"""Where the maps of a page stand among each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.landscape.survey import Survey
from dask_igtm.model.map_tree import NONE, MapTree
from dask_igtm.plot.style import amount

Numbers = NDArray[np.intp]


@dataclass(frozen=True)
class Place:
    """Where a map stands among those of a page, which number themselves.

    Attributes
    ----------
    number : int
        Of the map in its tree.
    name : str
        Such as "root/3".
    rows : str
        How many rows lie there.
    above : int
        Number on the page of the map of which this one is a region; -1 of the root.
    regions : ndarray of shape (K,)
        Number of the region of each node that has a map on the page, -1 of other nodes.
    below : ndarray of shape (K,)
        Number of that map on the page.
    """

    number: int
    name: str
    rows: str
    above: int
    regions: Numbers
    below: Numbers


def places_of(tree: MapTree, found: Mapping[int, Survey]) -> list[Place]:
    """Return the place of each map of which there is something to tell, in the order of their numbers."""
    on_page = {number: place for place, number in enumerate(found)} | {NONE: NONE}
    places = []
    for number, of_map in found.items():
        own = tree.maps[number]
        below = np.array([on_page.get(child, NONE) for child in own.children])[own.regions]
        regions = np.where(below == NONE, NONE, own.regions)
        rows = amount(of_map.density.summary["n_rows"])
        places.append(Place(number, tree.name(number), rows, on_page[own.parent], regions, below))
    return places
