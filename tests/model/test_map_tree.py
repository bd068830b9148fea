"""Maps within maps as a value: shares, names and paths."""

import dataclasses

import numpy as np
import pytest
from helpers.trees import maps_beside, rows_of, tree_of, trees
from hypothesis import given, settings
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_tree import dense_tree, share_of

from dask_igtm.model.map_tree import NONE, MapTree

DEEP = tree_of("deep")


def test_a_root_is_a_tree_of_one_map_in_one_piece():
    (model,) = maps_beside("isotropic", 1, 3)
    tree = MapTree.of_root(model)
    (root,) = tree.maps
    assert (len(tree), tree.names, tree.depth(0), tree.path(0)) == (1, ["root"], 0, [0])
    assert (root.model, root.parent, root.region, root.children) == (model, NONE, NONE, (NONE,))
    assert not root.divided
    assert_array_equal(root.regions, np.zeros(16))
    assert_array_equal(root.of_nodes, np.ones(16))
    assert_array_equal(tree.log_shares, [0.0])
    assert_array_equal(tree.above, [[1.0]])


def test_names_and_paths_say_by_which_regions_a_map_is_reached():
    assert DEEP.names == ["root", "root/0", "root/1", "root/1/1"]
    assert [DEEP.path(number) for number in range(4)] == [[0], [0, 1], [0, 2], [0, 2, 3]]
    assert [DEEP.depth(number) for number in range(4)] == [0, 1, 1, 2]
    assert_array_equal(DEEP.above, [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]])
    assert [(own.parent, own.region) for own in DEEP.maps] == [(-1, -1), (0, 0), (0, 1), (2, 1)]
    assert [own.children for own in DEEP.maps] == [(1, 2, -1), (-1,), (-1, 3), (-1,)]


def test_shares_multiply_along_the_path():
    assert_allclose(np.exp(DEEP.log_shares), [1.0, 0.2, 0.5, 0.5 * 0.4], rtol=1e-15)


def test_nodes_of_regions_with_maps_of_their_own_stand_for_nothing():
    # Of 16 nodes two rows of four are regions with maps, and the other eight have 0.3 of the rows.
    assert_allclose(DEEP.maps[0].of_nodes, np.repeat([0.0, 0.3 * 16 / 8], 8))
    assert_array_equal(DEEP.maps[0].masks.sum(axis=0), [4, 4, 8])


@pytest.mark.parametrize("regions", [np.arange(16) % 3, np.arange(16) // 15, np.arange(16)])
def test_dividing_a_map_leaves_its_density(regions):
    whole = tree_of("split")
    X = rows_of(whole, 60)
    divided = whole.divided(2, regions)
    assert divided.maps[2].divided
    assert_allclose(divided.maps[2].shares, np.bincount(regions) / 16)
    assert_allclose(divided.maps[2].of_nodes, np.ones(16))
    assert_allclose(dense_tree(X, divided).log_likelihood, dense_tree(X, whole).log_likelihood, rtol=1e-13)
    again = divided.undivided(2)
    assert (again.maps[2].parent, again.maps[2].region, again.maps[2].children) == (0, 1, (NONE,))
    assert not again.maps[2].divided


def test_a_child_becomes_the_last_map_and_leaves_the_tree_before_it_as_it_was():
    tree = tree_of("split")
    (model,) = maps_beside("isotropic", 1, 3, seed=9)
    grown = tree.grown(0, 2, model)
    assert len(tree) == 3
    assert tree.maps[0].children == (1, 2, NONE)
    assert grown.maps[0].children == (1, 2, 3)
    assert (grown.maps[3].model, grown.maps[3].parent, grown.maps[3].region) == (model, 0, 2)
    assert not grown.maps[0].of_nodes.any()


def test_no_part_of_a_tree_can_be_set():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEEP.maps[0].shares = np.ones(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEEP.maps = ()


def test_a_tree_packs_into_arrays_that_tell_trees_apart():
    packed = DEEP.pack()
    assert packed["n_maps"] == 4
    assert_array_equal(packed["2_regions"], np.arange(16) % 3 == 0)
    assert_array_equal(packed["0_children"], [1, 2, -1])
    other = DEEP.with_shares(0, np.array([0.3, 0.4, 0.3])).pack()
    assert [name for name in packed if not np.array_equal(packed[name], other[name])] == ["0_shares"]


@given(trees())
@settings(max_examples=40, deadline=None)
def test_all_weight_is_somewhere_once(tree):
    own = [float(share_of(tree, m)) * one.of_nodes.mean() for m, one in enumerate(tree.maps)]
    assert_allclose(sum(own), 1.0, rtol=1e-12)
    assert_allclose(np.exp(tree.log_shares), [float(share_of(tree, m)) for m in range(len(tree))], rtol=1e-12)


@given(trees())
@settings(max_examples=40, deadline=None)
def test_parents_and_children_are_each_others(tree):
    for number, own in enumerate(tree.maps):
        assert own.parent < number
        assert own.parent == NONE or tree.maps[own.parent].children[own.region] == number
        assert len(own.shares) == len(own.children) == own.regions.max() + 1
        assert tree.path(number)[-1] == number
        assert_array_equal(np.flatnonzero(tree.above[number]), sorted(tree.path(number)))
        assert tree.name(number).count("/") == tree.depth(number)
    assert len(set(tree.names)) == len(tree)
