"""Trees of maps that no fit has made, whose maps overlap."""

import dataclasses

import numpy as np
from helpers.maps import bent_map, rows_near
from helpers.noises import map_of
from helpers.noises import rows_of as rows_of_map
from hypothesis import strategies as st

from dask_igtm.model.gaps import REFUSED
from dask_igtm.model.map_tree import MapTree

SHAPES = ("root", "split", "deep", "full")


def maps_beside(noise, n_maps, n_columns, k=4, seed=0, gaps=REFUSED):
    """Return maps of one noise that lie in one place, each bent otherwise."""
    if noise == "isotropic":
        maps = [bent_map(k, 2, 1.0, 0.3 / (i + 1), n_columns, seed + i, gaps) for i in range(n_maps)]
    else:
        maps = [map_of(noise, k, 2, n_columns, seed=seed + i, gaps=gaps) for i in range(n_maps)]
    return [dataclasses.replace(one, affine=maps[0].affine) for one in maps]


def tree_of(shape, noise="isotropic", n_columns=3, k=4, seed=0, gaps=REFUSED):
    """Return a tree of one of `SHAPES`.

    "root" is whole; "split" has three regions, of which two have maps; "deep" the same, of which one has a
    map of one of its two regions; "full" two regions with maps, so that the root stands for nothing.
    """
    first, second, third, fourth = maps_beside(noise, 4, n_columns, k, seed, gaps)
    tree, numbers = MapTree.of_root(first), np.arange(k * k)
    if shape == "root":
        return tree
    if shape == "full":
        tree = tree.divided(0, (numbers % k > 0).astype(int)).with_shares(0, np.array([0.35, 0.65]))
        return tree.grown(0, 0, second).grown(0, 1, third)
    tree = tree.divided(0, np.minimum(numbers // k, 2)).with_shares(0, np.array([0.2, 0.5, 0.3]))
    tree = tree.grown(0, 0, second).grown(0, 1, third)
    if shape == "deep":
        tree = tree.divided(2, (numbers % 3 == 0).astype(int)).with_shares(2, np.array([0.6, 0.4]))
        tree = tree.grown(2, 1, fourth)
    return tree


def rows_of(tree, n_rows, seed=0):
    """Return rows in random order, as the maps draw them."""
    rng = np.random.default_rng(seed)
    draw = rows_near if tree.maps[0].model.noise.name == "isotropic" else rows_of_map
    each = -(-n_rows // len(tree))
    rows = [draw(own.model, each, seed=seed + number) for number, own in enumerate(tree.maps)]
    return rng.permutation(np.concatenate(rows))[:n_rows]


@st.composite
def trees(draw):
    """Draw trees of up to six maps, divided at random, whose regions may have no child."""
    k = draw(st.integers(2, 4))
    seed = draw(st.integers(0, 2**32 - 10))
    rng = np.random.default_rng(seed)
    models = maps_beside("isotropic", 6, 2, k, seed)
    tree = MapTree.of_root(models[0])
    for model in models[1 : draw(st.integers(1, 6))]:
        number = draw(st.integers(0, len(tree) - 1))
        if not tree.maps[number].divided:
            n_regions = draw(st.integers(2, k * k))
            regions = rng.permutation(np.arange(k * k) % n_regions)
            tree = tree.divided(number, regions).with_shares(number, rng.dirichlet(np.ones(n_regions)))
        free = [region for region, child in enumerate(tree.maps[number].children) if child < 0]
        if free:
            tree = tree.grown(number, draw(st.sampled_from(free)), model)
    return tree
