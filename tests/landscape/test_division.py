"""Regions of a map, by the map itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.ndimage import label
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from dask_igtm import IGTM
from dask_igtm.landscape.division import divide
from dask_igtm.model.basis import square_grid


@st.composite
def maps(draw):
    """Nodes, weight and centres of a map, bent at random, on which many nodes may have no rows."""
    k = draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = square_grid(k)
    centers = np.sin(3.0 * nodes @ rng.normal(size=(2, 5))) * draw(st.sampled_from([0.0, 1.0, 30.0]))
    weight = rng.gamma(draw(st.sampled_from([0.02, 1.0, 50.0])), size=k * k) * rng.integers(0, 2, k * k)
    return nodes, weight, centers


def bent_map(seed, k=10):
    rng = np.random.default_rng(seed)
    nodes = square_grid(k)
    return nodes, rng.gamma(2.0, size=k * k), np.sin(2.0 * nodes @ rng.normal(size=(2, 6))) * 5.0


@given(maps(), st.one_of(st.just("auto"), st.integers(1, 90)), st.sampled_from([0.0, 0.01, 0.1, 0.4, 0.6]))
@settings(max_examples=80, deadline=None)
def test_regions_are_connected_and_hold_enough(found, n_regions, share):
    nodes, weight, centers = found
    min_weight = share * weight.sum()
    regions = divide(nodes, weight, centers, n_regions, min_weight)

    k = int(np.sqrt(len(nodes)))
    n_found = regions.max() + 1
    assert regions.shape == (k * k,)
    assert regions.dtype == np.intp
    held = np.bincount(regions, weight)
    assert np.array_equal(np.unique(regions), np.arange(n_found))
    assert all(label(regions.reshape(k, k) == region)[1] == 1 for region in range(n_found))
    assert (np.diff(held) <= 0).all()
    if n_found > 1:
        assert held.min() > 0
        assert held.min() >= min_weight * (1 - 1e-12)
    assert n_found <= (16 if n_regions == "auto" else n_regions)


@pytest.mark.parametrize("n_regions", [1, 2, 3, 7, 16, 40, 100])
@pytest.mark.parametrize("seed", range(3))
def test_there_are_as_many_regions_as_asked_for(n_regions, seed):
    assert divide(*bent_map(seed), n_regions, 0.0).max() + 1 == n_regions


def test_nodes_without_rows_belong_to_a_region_of_others():
    nodes, weight, centers = bent_map(0)
    weight[nodes[:, 0] < 0.5] = 0.0
    regions = divide(nodes, weight, centers, 100, 0.0)
    assert regions.max() + 1 == np.count_nonzero(weight)


def test_a_map_with_too_little_weight_for_two_regions_stays_whole():
    nodes, weight, centers = bent_map(0)
    for least in (0.51 * weight.sum(), 2.0 * weight.sum()):
        assert not divide(nodes, weight, centers, 4, least).any()
        assert not divide(nodes, weight, centers, "auto", least).any()
    assert not divide(nodes, np.zeros(100), centers, 4, 0.0).any()


def test_regions_that_are_too_small_do_not_take_the_place_of_others():
    nodes = square_grid(8)
    weight = np.ones(64)
    centers = 10.0 * np.sign(nodes[:, :1])
    centers[0] = 110.0  # a node far off, with a single row
    assert np.bincount(divide(nodes, weight, centers, 2, 0.0)).tolist() == [63, 1]
    assert np.bincount(divide(nodes, weight, centers, 2, 5.0)).tolist() == [32, 32]
    assert np.bincount(divide(nodes, weight, centers, "auto", 5.0)).tolist() == [32, 32]


def test_a_small_region_goes_to_the_neighbor_that_it_is_like():
    nodes = square_grid(9)
    stripes = np.repeat([0, 1, 2], 27)
    weight = np.where(stripes == 1, 0.01, 1.0)
    centers = np.array([0.0, 8.0, 10.0])[stripes][:, None]
    assert np.array_equal(divide(nodes, weight, centers, 2, 5.0), np.where(stripes == 0, 1, 0))


def test_of_a_line_it_is_the_linkage_of_scipy():
    """Whose nearest groups are neighbours anyway, as long as the grid is told by a quarter."""
    k = 12
    nodes = square_grid(k)
    centers = np.repeat(np.cumsum(np.random.default_rng(1).gamma(0.3, size=k)), k)[:, None]
    places = np.hstack([centers / centers.std(), 0.5 * nodes / np.sqrt(nodes.var(axis=0).sum())])
    for n_regions in (2, 3, 4):
        expected = fcluster(linkage(places, "ward"), n_regions, "maxclust")
        found = divide(nodes, np.ones(k * k), centers, n_regions, 0.0)
        assert adjusted_rand_score(expected, found) == 1.0


@pytest.mark.parametrize("n_regions", [5, "auto"])
@pytest.mark.parametrize("seed", range(4))
def test_turning_the_map_round_turns_its_regions(n_regions, seed):
    nodes, weight, centers = bent_map(seed)
    regions = divide(nodes, weight, centers, n_regions, 1.0)
    numbers = np.arange(100).reshape(10, 10)
    for turned in (numbers[::-1], numbers[:, ::-1], numbers.T, np.rot90(numbers)):
        order = turned.ravel()
        assert np.array_equal(divide(nodes, weight[order], centers[order], n_regions, 1.0), regions[order])


def test_units_of_the_model_do_not_matter():
    nodes, weight, centers = bent_map(2)
    regions = divide(nodes, weight, centers, 6, 1.0)
    assert np.array_equal(divide(nodes, 8.0 * weight, 0.25 * centers + 3.0, 6, 8.0), regions)


@pytest.mark.parametrize("n_clusters", [2, 7, 12])
def test_clear_clusters_are_the_regions(n_clusters):
    X, cluster = make_blobs(1200, 12, centers=n_clusters, center_box=(-20, 20), random_state=0)
    igtm = IGTM(k=12, scale="standard", solver="em", model="responsibilities", niter=30).fit(X)
    responsibilities = igtm.transform(X)
    regions = divide(igtm.nodes_, responsibilities.sum(axis=0), igtm.centers_ / igtm.scale_, "auto", 20.0)
    assert adjusted_rand_score(cluster, regions[responsibilities.argmax(axis=1)]) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_without_clusters_there_are_a_few_regions(seed):
    rng = np.random.default_rng(seed)
    nodes = square_grid(16)
    for centers in (nodes * [20.0, 15.0], np.sin(2.0 * nodes @ rng.normal(size=(2, 8))) * 5.0):
        regions = divide(nodes, rng.gamma(10.0, size=256), centers, "auto", 10.0)
        assert 4 <= regions.max() + 1 <= 8


@pytest.mark.parametrize("n_regions", [2, 4, 8])
def test_an_even_map_is_divided_evenly(n_regions):
    sizes = np.bincount(divide(square_grid(16), np.ones(256), 9.0 * square_grid(16), n_regions, 1.0))
    assert sizes.max() <= 2.5 * sizes.min()


def test_the_same_map_is_divided_alike():
    even = square_grid(8), np.ones(64), square_grid(8)  # where every join has its equals
    assert np.array_equal(divide(*even, 5, 1.0), divide(*even, 5, 1.0))
    one, other = divide(*even, 2, 1.0)[[0, -1]]
    assert (one, other) == (0, 1)


@pytest.mark.parametrize("n_regions", [0, -1, 2.0, True, "many", None])
def test_other_numbers_of_regions_are_refused(n_regions):
    with pytest.raises(ValueError, match=r"n_regions=.*; give a whole number >= 1, or 'auto'\."):
        divide(*bent_map(0), n_regions, 1.0)
