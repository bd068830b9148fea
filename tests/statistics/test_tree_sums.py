"""Sums over rows of each map of a tree, and what children add to the likelihood, against dense ones."""

import numpy as np
import pytest
from helpers.trees import maps_beside, rows_of, tree_of
from numpy.testing import assert_allclose
from oracles.dense_tree import dense_tree, log_nodes, responsibilities
from scipy import sparse
from scipy.special import logsumexp

from dask_igtm.statistics.node_sums import node_weights
from dask_igtm.statistics.tree_sums import gains_of, of_each_map, tree_log_likelihood

RNG = np.random.default_rng(0)
WEIGHT = RNG.integers(0, 3, 150).astype(float)
KINDS = [np.asarray, sparse.csr_array, sparse.csc_array, sparse.coo_array]


def divided(noise="isotropic"):
    """Return a tree of two maps with regions and without their children, and three maps of such."""
    tree = tree_of("split", noise).divided(1, np.arange(16) // 6).with_shares(1, np.array([0.5, 0.3, 0.2]))
    tree = tree.divided(2, np.arange(16) % 2)
    first, second, third = maps_beside(noise, 3, 3, seed=20)
    return tree, ((1, 2, first), (2, 0, second), (1, 0, third))


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_count_on_each_map_by_their_paths(kind, weight):
    tree = tree_of("deep")
    X = rows_of(tree, 150)
    found = of_each_map(kind(X), weight, tree, "numpy", node_weights, ()).each
    paths = dense_tree(X, tree).paths * (np.ones(150) if weight is None else weight)[:, None]
    assert len(found) == 4
    for number, own in enumerate(tree.maps):
        expected = paths[:, number] @ responsibilities(X, own.model).astype(float)
        assert_allclose(found[number], expected, rtol=1e-9, atol=1e-12)


def test_what_goes_with_rows_and_what_is_shared_reaches_the_function():
    tree = tree_of("split")
    X, beside = rows_of(tree, 40), np.arange(40.0)

    def function(rows, weight, values, model, kernel, first, second):
        assert rows.shape == (len(values), 3)
        assert (kernel, first, second) == ("numpy", 1, "two")
        return np.array([weight @ values, model.beta_inv])

    found = of_each_map(X, None, beside, tree, "numpy", function, (1, "two")).each
    paths = dense_tree(X, tree).paths
    for number, (total, beta_inv) in enumerate(found):
        assert_allclose(total, paths[:, number] @ beside, rtol=1e-9)
        assert beta_inv == tree.maps[number].model.beta_inv


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("shape", ["root", "deep", "full"])
def test_the_likelihood_of_rows(shape, weight):
    tree = tree_of(shape)
    X = rows_of(tree, 150)
    values, given = dense_tree(X, tree).log_likelihood, np.ones(150) if weight is None else weight
    assert_allclose(tree_log_likelihood(X, weight, tree, "numpy"), [given @ values, given.sum()], rtol=1e-11)


def dense_gain(X, tree, number, region, model):
    """Return P ln(q / p) of each row, from the densities themselves."""
    own = tree.maps[number]
    inside = own.regions == region
    nodes = log_nodes(X, own.model)
    log_p = logsumexp(nodes[:, inside], axis=1) - np.log(inside.sum())
    log_q = logsumexp(log_nodes(X, model), axis=1) - np.log(len(model.basis.nodes))
    log_share = tree.log_shares[number] + np.log(own.shares[region])
    return np.exp(log_share + log_p - dense_tree(X, tree).log_likelihood) * (log_q - log_p)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("noise", ["isotropic", "diagonal", "bernoulli", "poisson"])
def test_gains_and_their_squares(noise, weight):
    tree, children = divided(noise)
    X, given = rows_of(tree, 150), np.ones(150) if weight is None else weight
    found = gains_of(X, weight, tree, "numpy", children)
    for (number, region, model), sums in zip(children, found, strict=False):
        gain = dense_gain(X, tree, number, region, model).astype(float)
        assert_allclose(sums, [given @ gain, given @ gain**2], rtol=1e-8)
    assert_allclose(found[-1], given.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_gains_of_sparse_rows(kind):
    tree, children = divided()
    X = rows_of(tree, 100)
    assert_allclose(
        gains_of(kind(X), None, tree, "numpy", children),
        gains_of(X, None, tree, "numpy", children),
        rtol=1e-9,
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_mixture_gains_at_least_their_sum(seed):
    tree, children = divided()
    X = rows_of(tree, 150, seed)
    grown = tree
    for child in children:
        grown = grown.grown(*child)
    gained = dense_tree(X, grown).log_likelihood - dense_tree(X, tree).log_likelihood
    found = gains_of(X, None, tree, "numpy", children)
    assert gained.sum() >= found[:-1, 0].sum()
    bound = sum(dense_gain(X, tree, *child) for child in children)  # it holds of every row
    assert (gained >= bound.astype(float) - 1e-9).all()


def test_the_nodes_of_a_region_as_its_child_gain_nothing_and_no_rows_neither():
    tree = tree_of("root").divided(0, np.zeros(16, int))  # one region, whose map is the parent again
    X = rows_of(tree, 60)
    found = gains_of(X, None, tree, "numpy", ((0, 0, tree.maps[0].model),))
    assert_allclose(found, [[0, 0], [60, 60]], atol=1e-10)
    assert not gains_of(X[:0], None, tree, "numpy", ((0, 0, tree.maps[0].model),)).any()


def test_two_of_a_row_are_its_weight_twice():
    tree, children = divided()
    X = rows_of(tree, 50)
    for function, more in ((gains_of, (tree, "numpy", children)), (tree_log_likelihood, (tree, "numpy"))):
        twice, weighted = function(np.r_[X, X], None, *more), function(X, np.full(50, 2.0), *more)
        assert_allclose(twice, weighted, rtol=1e-11)
