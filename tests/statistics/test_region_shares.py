"""The weights of rows in regions, against responsibilities multiplied along the path."""

import dataclasses
import pickle

import numpy as np
import pytest
from helpers.data import holed
from helpers.trees import rows_of, tree_of
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_tree import responsibilities
from scipy import sparse

from dask_igtm.model.affine import Affine
from dask_igtm.model.gaps import Gaps
from dask_igtm.statistics.region_shares import (
    EPS,
    RegionShares,
    RowsWithin,
    RowsWithShares,
    region_size,
)

REGIONS = ((0, 0), (0, 2), (2, 0), (2, 1))  # of the root, and of one of its children


def dense_shares(X, tree, regions, weight=None):
    """Return the product of the responsibilities of regions along the path, times the weights."""
    found = np.zeros((len(X), len(regions)))
    for column, wanted in enumerate(regions):
        share, (number, region) = np.ones(len(X), np.longdouble), wanted
        while number >= 0:
            own = tree.maps[number]
            share *= responsibilities(X, own.model)[:, own.regions == region].sum(axis=1)
            number, region = own.parent, own.region
        found[:, column] = share
    return found if weight is None else found * weight[:, None]


def sharp(shape):
    """Return a tree whose maps have little noise, so that most rows have next to nothing in most regions."""
    tree = tree_of(shape)
    maps = [
        dataclasses.replace(own, model=dataclasses.replace(own.model, beta_inv=0.01)) for own in tree.maps
    ]
    return dataclasses.replace(tree, maps=tuple(maps))


@pytest.fixture(params=["isotropic", "diagonal", "bernoulli", "poisson"])
def tree(request):
    return tree_of("deep", request.param)


def test_they_multiply_along_the_path(tree):
    X = rows_of(tree, 120)
    weight = np.random.default_rng(0).gamma(1.0, size=120)
    weight[::7] = 0.0
    for given in (None, weight):
        found = RegionShares(tree, "numpy", REGIONS).of(X, given).toarray()
        assert_allclose(found, dense_shares(X, tree, REGIONS, given), rtol=1e-9, atol=EPS)


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csc_array, sparse.coo_array, np.float32])
def test_sparse_rows_and_float32(kind, kernel):
    tree = tree_of("deep")
    maps = [
        dataclasses.replace(own, model=dataclasses.replace(own.model, affine=Affine(np.zeros(3), np.ones(3))))
        for own in tree.maps
    ]
    tree = dataclasses.replace(tree, maps=tuple(maps))
    X = rows_of(tree, 60).round(3)
    found = RegionShares(tree, kernel, REGIONS).of(kind(X), None).toarray()
    limit = 3e-4 if kind is np.float32 else 1e-9
    assert_allclose(found, dense_shares(X, tree, REGIONS), rtol=limit, atol=limit)


def test_rows_with_gaps():
    tree = tree_of("deep", n_columns=5, gaps=Gaps("marginalize"))
    X = holed(rows_of(tree, 80))
    X = X[~np.isnan(X).all(axis=1)]
    found = RegionShares(tree, "numpy", REGIONS).of(X, None).toarray()
    assert_allclose(found, dense_shares(X, tree, REGIONS), rtol=1e-9, atol=EPS)


def test_the_regions_of_a_map_share_out_what_the_map_has():
    tree = tree_of("deep")
    X = rows_of(tree, 100)
    found = RegionShares(tree, "numpy", ((0, 0), (0, 1), (0, 2), (2, 0), (2, 1))).of(X, None).toarray()
    assert_allclose(found[:, :3].sum(axis=1), 1.0, rtol=1e-12)
    assert_allclose(found[:, 3:].sum(axis=1), found[:, 1], rtol=1e-12, atol=1e-15)


def test_less_than_rounding_of_the_mean_weight_is_left_out():
    tree = sharp("deep")
    X = rows_of(tree, 400)
    for weight in (None, np.full(400, 1e-50), np.full(400, 1e50)):
        mean = 1.0 if weight is None else weight[0]
        found = RegionShares(tree, "numpy", REGIONS, mean).of(X, weight).toarray()
        dense = dense_shares(X, tree, REGIONS, weight)
        masses = np.array([0.2, 0.3, 0.5 * 0.6, 0.5 * 0.4])  # by which eps is multiplied
        least = EPS * mean * masses
        assert not found[dense < 0.99 * least].any()
        assert (found[dense > 1e3 * least] > 0).all()
        assert (dense < 0.99 * least).any()


def test_rows_without_weight_or_that_are_none():
    shares = RegionShares(tree_of("deep"), "numpy", REGIONS)
    X = rows_of(shares.tree, 20)
    assert not shares.of(X, np.zeros(20)).nnz
    assert shares.of(X[:0], None).shape == (0, 4)
    with pytest.raises(ValueError, match="weight"):
        shares.of(X, np.full(20, np.nan))


def test_the_order_of_the_regions_is_that_asked_for():
    tree = tree_of("deep")
    X = rows_of(tree, 30)
    one, other = (
        RegionShares(tree, "numpy", regions).of(X, None).toarray() for regions in (REGIONS, REGIONS[::-1])
    )
    assert_array_equal(one, other[:, ::-1])


def test_a_view_of_a_region_has_its_rows_alone():
    tree = sharp("split")
    X, weight, beside = rows_of(tree, 200), np.arange(200) % 3 / 2, np.arange(200)
    shares = RegionShares(tree, "numpy", ((0, 1),))
    dense = shares.of(X, weight).toarray()[:, 0]
    for kind in (np.asarray, sparse.csr_array, sparse.coo_array):
        rows, weights, numbers = RowsWithin(shares, 100.0)(kind(X), weight, beside)
        assert 0 < len(numbers) < 134  # a third of the rows has no weight
        assert_allclose(weights, dense[numbers], rtol=1e-12)
        assert not np.delete(dense, numbers).any()
        assert_array_equal(rows if kind is np.asarray else rows.toarray(), X[numbers])


def test_a_view_with_shares_has_all_rows():
    tree = tree_of("deep")
    X, beside = rows_of(tree, 50), np.arange(50)
    shares = RegionShares(tree, "numpy", REGIONS)
    rows, weight, found, numbers = RowsWithShares(shares, 50.0)(X, None, beside)
    assert rows is X
    assert weight is None
    assert_array_equal(found.toarray(), shares.of(X, None).toarray())
    assert_array_equal(numbers, beside)
    assert len(pickle.dumps(shares)) < 20_000


def test_a_digest_tells_regions_and_maps_apart_and_not_shares():
    tree = tree_of("deep")
    shares = RegionShares(tree, "numpy", REGIONS)
    moved = tree.with_shares(0, np.array([0.3, 0.4, 0.3]))
    assert shares.digest == dataclasses.replace(shares, tree=moved).digest
    others = [
        dataclasses.replace(shares, regions=REGIONS[:3]),
        dataclasses.replace(shares, regions=REGIONS[::-1]),
        dataclasses.replace(shares, tree=tree_of("deep", seed=1)),
        dataclasses.replace(shares, tree=tree.undivided(1).divided(1, np.arange(16) % 2)),
    ]
    assert len({shares.digest, *(other.digest for other in others)}) == 5


def test_the_size_of_a_region():
    tree = tree_of("split")
    X, own = rows_of(tree, 100), tree.maps[0]
    weight = np.arange(100) % 4 / 2
    mask = own.masks[:, 1]
    found = region_size(X, weight, own.model, "numpy", mask)
    dense = weight * dense_shares(X, tree, ((0, 1),))[:, 0]
    assert_allclose(found, [100, weight.sum(), dense.sum(), (dense > EPS).sum()], rtol=1e-10)
