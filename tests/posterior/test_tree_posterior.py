"""What maps within maps say of rows, against every node of every region, and that it is a density."""

import dataclasses
import itertools

import numpy as np
import pytest
from helpers.data import holed
from helpers.trees import SHAPES, maps_beside, rows_of, tree_of, trees
from hypothesis import given, settings
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_tree import dense_tree, log_nodes, responsibilities
from scipy import sparse
from scipy.special import logsumexp

from dask_igtm.model.affine import Affine
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.model.map_tree import MapTree
from dask_igtm.posterior.posterior import posteriors
from dask_igtm.posterior.tree_posterior import ROWS, paths_of, tree_posteriors

KERNELS = ["numpy", "numba"]
NOISES = ["isotropic", "diagonal", "bernoulli", "poisson", "total"]


def of_all_rows(X, tree, kernel="numpy"):
    """Return what is said of each row, in the order of the rows."""
    found = {name: [] for name in ("log_likelihood", "probabilities", "paths", "leaf", "means", "node")}
    end = 0
    for part in tree_posteriors(X, tree, kernel, positions=True):
        assert part.rows.start == end
        end, every = part.rows.stop, np.arange(len(part.leaf))
        of_leaf = {"means": part.positions[every, part.leaf], "node": part.nodes[every, part.leaf]}
        for name, values in found.items():
            values.append(of_leaf[name] if name in of_leaf else getattr(part, name))
    assert end == X.shape[0]
    return {name: np.concatenate(values) for name, values in found.items()}


def assert_is_dense(X, tree, kernel="numpy", rows=None, atol=1e-9):
    """Hold what is said of rows against the oracle; `rows` are the same as a dense float64 array."""
    found, dense = of_all_rows(X, tree, kernel), dense_tree(X if rows is None else rows, tree)
    assert_allclose(found["log_likelihood"], dense.log_likelihood, rtol=1e-10, atol=10 * atol)
    for name in ("probabilities", "paths"):
        assert_allclose(found[name], getattr(dense, name), rtol=0, atol=atol, err_msg=name)
    assert_allclose(found["probabilities"].sum(axis=1), 1.0, rtol=1e-12)
    assert (found["paths"][:, 0] == 1).all()
    assert (found["paths"] <= 1).all()
    top = np.sort(dense.probabilities, axis=1)
    clear = np.ones(len(top), bool) if len(tree) == 1 else top[:, -1] - top[:, -2] > 1e-4
    assert clear.mean() > 0.9
    for name in ("leaf", "node", "means"):
        value, other = found[name][clear], getattr(dense, name)[clear]
        assert_allclose(value, other, rtol=0, atol=100 * atol, err_msg=name)
    return found, dense


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", NOISES)
def test_every_noise_and_shape(noise, shape, kernel):
    tree = tree_of(shape, noise)
    found, _ = assert_is_dense(rows_of(tree, 150), tree, kernel)
    if shape == "full":
        assert not found["probabilities"][:, 0].any()


@given(trees())
@settings(max_examples=15, deadline=None)
def test_any_tree(tree):
    assert_is_dense(rows_of(tree, 40), tree)


@pytest.mark.parametrize("kernel", KERNELS)
def test_sparse_rows(kernel):
    tree = tree_of("deep", "isotropic", n_columns=30)
    maps = tuple(  # whose columns are not moved, so that the rows stay sparse
        dataclasses.replace(
            own, model=dataclasses.replace(own.model, affine=Affine(np.zeros(30), np.ones(30)))
        )
        for own in tree.maps
    )
    tree = dataclasses.replace(tree, maps=maps)
    X = rows_of(tree, 120)
    X[np.random.default_rng(0).random(X.shape) < 0.8] = 0.0
    for kind in (sparse.csr_array, sparse.csc_array, sparse.coo_array):
        assert_is_dense(kind(X), tree, kernel, rows=X)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("shape", ["split", "deep"])
def test_float32(shape, kernel):
    tree = tree_of(shape)
    X = rows_of(tree, 150).astype(np.float32)
    assert_is_dense(X, tree, kernel, rows=X.astype(float), atol=3e-4)


@pytest.mark.parametrize("noise", ["isotropic", "diagonal", "bernoulli", "poisson"])
def test_rows_with_gaps(noise):
    tree = tree_of("deep", noise, n_columns=5, gaps=Gaps("marginalize"))
    X = holed(rows_of(tree, 150))
    X = X[~np.isnan(X).all(axis=1)]
    assert_is_dense(X, tree)


def test_whole_trees_say_what_their_map_says():
    tree = tree_of("root")
    X = rows_of(tree, 100)
    found = of_all_rows(X, tree)
    (alone,) = posteriors(X, tree.maps[0].model, "numpy")
    assert_array_equal(found["log_likelihood"], alone.log_likelihood)
    assert_array_equal(found["means"], alone.expectations(tree.maps[0].model.basis.nodes))
    assert_array_equal(found["node"], alone.node)
    assert_array_equal(found["paths"], np.ones((100, 1)))


def test_a_map_that_is_divided_says_what_it_said_whole():
    whole = tree_of("root")
    X = rows_of(whole, 100)
    one, other = of_all_rows(X, whole), of_all_rows(X, whole.divided(0, np.arange(16) % 5))
    for name in ("log_likelihood", "means", "node", "probabilities"):
        assert_allclose(one[name], other[name], rtol=1e-12, atol=1e-13)


def test_blocks_larger_than_what_is_held_at_a_time_and_without_rows():
    tree = tree_of("deep", n_columns=2, k=3)
    X = rows_of(tree, 2 * ROWS + 5)
    found = of_all_rows(X, tree)
    for start in (0, ROWS - 3, 2 * ROWS - 3):
        some = slice(start, start + 6)
        alone = of_all_rows(X[some], tree)
        for name, values in found.items():
            assert_allclose(values[some], alone[name], rtol=1e-11, atol=1e-12, err_msg=name)
    assert_allclose(paths_of(X, tree, "numpy").toarray(), found["paths"], rtol=1e-12, atol=1e-15)
    assert paths_of(X[:0], tree, "numpy").shape == (0, 4)
    assert not list(tree_posteriors(X[:0], tree, "numpy"))


def stretched(gaps=REFUSED):
    """Return a tree whose two regions lie far apart, and the sharp map of the first is narrow."""
    (root,) = maps_beside("isotropic", 1, 2, gaps=gaps)
    basis, affine = root.basis, Affine(np.zeros(2), np.ones(2))

    def along(scale, shift, beta_inv):
        weights = np.linalg.lstsq(basis.phi, basis.nodes * scale + shift, rcond=None)[0]
        return dataclasses.replace(root, affine=affine, weights=weights, beta_inv=beta_inv)

    tree = MapTree.of_root(along([6.0, 1.0], 0.0, 1.0)).divided(0, np.arange(16) // 8)
    return tree.grown(0, 0, along(0.1, [-6.0, 0.0], 1e-3))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["float64", "float32", "sparse", "gaps"])
def test_what_lies_off_a_sharp_map_is_of_the_nodes_that_stand_beside_it(kind, kernel):
    """However little the nodes of a region are of the density of their map, it is more than the child has."""
    tree = stretched(Gaps("marginalize") if kind == "gaps" else REFUSED)
    X = np.column_stack([np.full(11, -7.0), 0.25 + np.arange(11.0)])
    if kind == "gaps":
        X[5:, 0] = np.nan
    given = {"float32": np.float32, "sparse": sparse.csr_array}.get(kind, np.asarray)(X)
    found, dense = of_all_rows(given, tree, kernel), dense_tree(X, tree)
    assert (dense.leaf == 0).sum() > 8
    rtol = 1e-4 if kind == "float32" else 1e-9
    for name in ("log_likelihood", "probabilities", "leaf", "means", "node"):
        assert_allclose(found[name], getattr(dense, name), rtol=rtol, atol=rtol, err_msg=name)


# It is a density


def cells(tree, per_side, reach=12.0):
    """Return the middles of cells that cover all that the maps of a tree lie on, and the volume of one."""
    sides = []
    for column in range(tree.maps[0].model.affine.mean.size):
        values = np.concatenate([own.model.affine.inverse(own.model.centers)[:, column] for own in tree.maps])
        most = max(np.sqrt(own.model.beta_inv) * own.model.affine.scale[column] for own in tree.maps)
        edges = np.linspace(values.min() - reach * most, values.max() + reach * most, per_side + 1)
        sides.append((edges[1:] + edges[:-1]) / 2)
    rows = np.stack([axis.ravel() for axis in np.meshgrid(*sides, indexing="ij")], axis=1)
    return rows, np.prod([side[1] - side[0] for side in sides])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("n_columns", "per_side"), [(1, 4000), (2, 300)])
def test_it_integrates_to_one(shape, n_columns, per_side):
    tree = tree_of(shape, n_columns=n_columns, k=3)
    rows, volume = cells(tree, per_side)
    assert_allclose(np.exp(of_all_rows(rows, tree)["log_likelihood"]).sum() * volume, 1.0, rtol=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_sums_to_one_over_all_rows_of_bits(shape):
    rows = np.array(list(itertools.product([0.0, 1.0], repeat=6)))
    tree = tree_of(shape, "bernoulli", n_columns=6)
    assert_allclose(np.exp(of_all_rows(rows, tree)["log_likelihood"]).sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_it_sums_to_one_over_all_counts(shape):
    tree = tree_of(shape, "poisson", n_columns=1)
    rows = np.arange(400.0)[:, None]
    assert_allclose(np.exp(of_all_rows(rows, tree)["log_likelihood"]).sum(), 1.0, rtol=1e-12)


def test_responsibilities_of_the_parent_times_densities_of_children_are_none():
    tree = tree_of("full", n_columns=1, k=3)
    rows, volume = cells(tree, 4000)
    root = tree.maps[0]
    naive = sum(
        responsibilities(rows, root.model)
        @ (root.regions == region)
        * np.exp(logsumexp(log_nodes(rows, tree.maps[child].model), axis=1))
        / 9
        for region, child in enumerate(root.children)
    )
    assert abs(float(naive.sum()) * volume - 1.0) > 1e-3
