"""Maps within maps, as a value: a tree whose root is a map of all rows, and whose others are of a region.

The nodes of a map may be divided into regions, and a region may have a map of its own, a child. The density
of the tree is the mixture of what stands for regions: a child where there is one, else the nodes of the
region.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.arrays import pack
from dask_igtm.model.model import Model
from dask_igtm.model.stored import Arrays

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]

NONE = -1  # number of a map or region that is not there


@dataclass(frozen=True, eq=False)
class TreeMap:
    """A map of the tree.

    Attributes
    ----------
    model : Model
    parent : int
        Number of the map of which this is one of a region; -1 of the root.
    region : int
        Number of that region; -1 of the root.
    regions : ndarray of shape (K,)
        Number of the region of each node, 0 to R - 1; a map that is not divided has one.
    shares : ndarray of shape (R,)
        How much of the map's rows each region has; they sum to 1.
    children : tuple of R int
        Number of the map of each region, -1 where the map itself stands for it.
    """

    model: Model
    parent: int
    region: int
    regions: Numbers
    shares: Array
    children: tuple[int, ...]

    @property
    def divided(self) -> bool:
        """Whether there is more than one region."""
        return len(self.children) > 1

    @property
    def masks(self) -> Array:
        """Nodes of each region, (K, R): 1 or 0."""
        return np.asarray(self.regions[:, None] == np.arange(len(self.children)), dtype=np.float64)

    @property
    def of_nodes(self) -> Array:
        """Weight of each node in the density of the map without its children, (K,); 1 in a whole map."""
        own = np.where(np.array(self.children) == NONE, self.shares, 0.0)
        sizes = np.bincount(self.regions, minlength=len(own))
        return np.asarray((own * len(self.regions) / sizes)[self.regions])


@dataclass(frozen=True, eq=False)
class MapTree:
    """Maps by their numbers; the root has 0, and a child a larger one than its parent."""

    maps: tuple[TreeMap, ...]

    @classmethod
    def of_root(cls, model: Model) -> Self:
        """Return the tree of a single map."""
        return cls((_whole(model, NONE, NONE),))

    def __len__(self) -> int:
        return len(self.maps)

    def divided(self, number: int, regions: Numbers) -> Self:
        """Return the same with a map divided into regions without children, each with the share of its nodes.

        Its density stays what it was.
        """
        sizes = np.bincount(regions)
        changed = dataclasses.replace(
            self.maps[number],
            regions=np.asarray(regions, dtype=np.intp),
            shares=sizes / len(regions),
            children=(NONE,) * len(sizes),
        )
        return self._with(number, changed)

    def undivided(self, number: int) -> Self:
        """Return the same with a map, which has no children, in one piece."""
        whole = self.maps[number]
        return self._with(number, _whole(whole.model, whole.parent, whole.region))

    def with_shares(self, number: int, shares: Array) -> Self:
        """Return the same with other shares of the regions of a map."""
        return self._with(number, dataclasses.replace(self.maps[number], shares=shares))

    def grown(self, number: int, region: int, model: Model) -> Self:
        """Return the same with a child for a region of a map, which becomes the last map."""
        parent = self.maps[number]
        children = (*parent.children[:region], len(self), *parent.children[region + 1 :])
        tree = self._with(number, dataclasses.replace(parent, children=children))
        return dataclasses.replace(tree, maps=(*tree.maps, _whole(model, number, region)))

    def name(self, number: int) -> str:
        """Return what a map is called: "root", and a child by its parent and region, as "root/3/0"."""
        own = self.maps[number]
        return "root" if own.parent == NONE else f"{self.name(own.parent)}/{own.region}"

    @property
    def names(self) -> list[str]:
        """What all maps are called."""
        return [self.name(number) for number in range(len(self))]

    def path(self, number: int) -> list[int]:
        """Return the numbers of the maps from the root to one, both included."""
        parent = self.maps[number].parent
        return [*([] if parent == NONE else self.path(parent)), number]

    def depth(self, number: int) -> int:
        """Return how many maps lie above one."""
        return len(self.path(number)) - 1

    @property
    def above(self) -> Array:
        """Which maps, (M, M), stand on the path to each: 1 in row m for m and all above it."""
        found = np.zeros((len(self), len(self)))
        for number in range(len(self)):
            found[number, self.path(number)] = 1.0
        return found

    @property
    def log_shares(self) -> Array:
        """Logarithm of how much of all rows each map has, (M,): its shares multiplied along the path."""
        found = np.zeros(len(self))
        for number, own in enumerate(self.maps):
            if own.parent != NONE:
                found[number] = found[own.parent] + np.log(self.maps[own.parent].shares[own.region])
        return found

    def pack(self) -> Arrays:
        """Name the arrays of the tree; those of its maps have their numbers before their names."""
        found: Arrays = {"n_maps": np.array(len(self))}
        for number, own in enumerate(self.maps):
            arrays = {
                **pack(own.model),
                "parent": np.array(own.parent),
                "region": np.array(own.region),
                "regions": own.regions,
                "shares": own.shares,
                "children": np.array(own.children),
            }
            found |= {f"{number}_{name}": array for name, array in arrays.items()}
        return found

    def _with(self, number: int, changed: TreeMap) -> Self:
        maps: Sequence[TreeMap] = (*self.maps[:number], changed, *self.maps[number + 1 :])
        return dataclasses.replace(self, maps=tuple(maps))


def _whole(model: Model, parent: int, region: int) -> TreeMap:
    n_nodes = len(model.basis.nodes)
    return TreeMap(model, parent, region, np.zeros(n_nodes, np.intp), np.ones(1), (NONE,))
