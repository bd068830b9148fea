"""Moments and images of wide rows are those of the covariance that is never made, of rows of every kind."""

import functools
import itertools
import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from dask_igtm.model.gaps import Gaps
from dask_igtm.statistics import covariance_images
from dask_igtm.statistics.covariance_images import image_of, wide_moments_of
from dask_igtm.statistics.moments import constant, moments_of

RNG = np.random.default_rng(0)
D, WIDTH = 40, 5
BLOCK = RNG.normal(size=(D, WIDTH))
KINDS = ["dense", "csr", "csc", "coo matrix"]


def counts(n_rows, seed=0):
    """Rows of which most entries are 0, a column that is constant, and one that is empty."""
    rng = np.random.default_rng(seed)
    rows = rng.poisson(0.4, size=(n_rows, D)) * rng.exponential(size=(n_rows, D))
    rows[:, 3], rows[:, 7] = 2.5, 0.0
    return rows


def as_kind(rows, kind):
    return {
        "dense": np.asarray,
        "csr": sparse.csr_array,
        "csc": sparse.csc_array,
        "coo matrix": sparse.coo_matrix,
    }[kind](rows)


def assert_holds(found, rows, weight):
    """Hold moments against those of the covariance of the rows."""
    repeated = weight if weight is not None else np.ones(len(rows))
    mean = repeated @ rows / repeated.sum()
    scatter = (rows - mean).T @ (repeated[:, None] * (rows - mean))
    size = np.abs(scatter).max()
    assert_allclose(found.weight, repeated.sum())
    assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-12)
    assert_allclose(found.squares, np.diag(scatter), rtol=1e-11, atol=1e-12 * size)
    assert_allclose(found.image, scatter @ BLOCK, atol=1e-12 * size * D)
    assert_allclose(found.shadow, mean @ BLOCK, atol=1e-11)
    assert found.n_rows == np.count_nonzero(repeated)
    return mean, scatter


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16, bool])
def test_one_block(kind, dtype):
    rows = counts(300).astype(dtype)
    mean, scatter = assert_holds(wide_moments_of(as_kind(rows, kind), None, BLOCK), rows.astype(float), None)
    for far in (False, True):
        found = image_of(as_kind(rows, kind), None, mean, BLOCK, far=far)
        assert_allclose(found.image, scatter @ BLOCK, atol=1e-11 * np.abs(scatter).max() * D)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=4), st.sampled_from(KINDS), st.booleans())
def test_blocks_merge_to_the_whole_and_weights_count_rows(sizes, kind, weighted):
    rows = counts(sum(sizes) + 2, seed=len(sizes))
    weight = np.random.default_rng(1).integers(0, 4, len(rows)).astype(float) if weighted else None
    if weighted:
        weight[0] = 2
    edges = np.cumsum([0, *sizes, 2])
    parts = [slice(*pair) for pair in itertools.pairwise(edges)]
    blocks = [(as_kind(rows[part], kind), None if weight is None else weight[part]) for part in parts]
    total = functools.reduce(operator.add, (wide_moments_of(*block, BLOCK) for block in blocks))
    mean, scatter = assert_holds(total, rows, weight)
    image = functools.reduce(operator.add, (image_of(*block, mean, BLOCK) for block in blocks))
    assert_allclose(image.image, scatter @ BLOCK, atol=1e-11 * np.abs(scatter).max() * D)


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_change_nothing_but_rounding(kind, monkeypatch):
    rows = counts(500)
    one = wide_moments_of(as_kind(rows, kind), None, BLOCK)
    monkeypatch.setattr(covariance_images, "LEAST_ROWS", 7)
    monkeypatch.setattr(covariance_images, "TILE_BYTES", 1)
    other = wide_moments_of(as_kind(rows, kind), None, BLOCK)
    assert_allclose(other.image, one.image, rtol=1e-11, atol=1e-10)
    assert_allclose(other.squares, one.squares, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("parts", [1, 3])
def test_constant_columns_far_off_are_told_from_rounding(kind, parts):
    rows = counts(600)
    rows[:, 3] = 1e6 / 3
    rows[:, 4] = 1e6 / 3 + 1e-6 * rows[:, 4]
    blocks = np.split(rows, parts)
    total = functools.reduce(
        operator.add, (wide_moments_of(as_kind(block, kind), None, BLOCK) for block in blocks)
    )
    assert_array_equal(np.flatnonzero(constant(total)), [3, 7])
    assert_allclose(total.squares[4], rows[:, 4].var() * 600, rtol=1e-4)


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_what_is_not_finite_is_counted_and_warns_of_nothing(kind):
    rows = counts(50)
    rows[3, 5], rows[4, 5], rows[9, 8] = np.nan, np.inf, -np.inf
    assert_array_equal(np.flatnonzero(wide_moments_of(as_kind(rows, kind), None, BLOCK).invalid), [5, 8])
    filled = wide_moments_of(as_kind(rows, kind), None, BLOCK, Gaps("mean", np.zeros(D)))
    assert filled.invalid[[5, 8]].tolist() == [1, 1]
    with_weight = wide_moments_of(as_kind(rows, kind), (np.arange(50) > 9).astype(float), BLOCK)
    assert with_weight.invalid[[5, 8]].tolist() == [2, 1]


@pytest.mark.parametrize("kind", ["dense", "csr"])
@pytest.mark.parametrize("fill", [np.arange(D) / 7, np.zeros(1)], ids=["each", "all"])
def test_gaps_are_filled(kind, fill):
    rows = counts(80)
    holed = np.where(RNG.random(rows.shape) < 0.1, np.nan, rows)
    holed[5] = np.nan
    whole, gaps = np.where(np.isnan(holed), fill, holed), Gaps("mean", fill)
    mean, scatter = assert_holds(wide_moments_of(as_kind(holed, kind), None, BLOCK, gaps), whole, None)
    image = image_of(as_kind(holed, kind), None, mean, BLOCK, gaps).image
    assert_allclose(image, scatter @ BLOCK, atol=1e-10)
    # What has no entry at all weighs nothing where gaps are marginal.
    weight = (np.arange(80) != 5).astype(float)
    marginal = Gaps("marginalize", np.broadcast_to(fill, D))
    mean, scatter = assert_holds(wide_moments_of(as_kind(holed, kind), None, BLOCK, marginal), whole, weight)
    image = image_of(as_kind(holed, kind), None, mean, BLOCK, marginal).image
    assert_allclose(image, scatter @ BLOCK, atol=1e-10)


def test_sparse_rows_are_not_made_dense(monkeypatch):
    rows = sparse.csr_array(counts(100))

    def refused(*_args, **_kwargs):
        raise AssertionError

    monkeypatch.setattr(sparse.csr_array, "toarray", refused)
    mean = wide_moments_of(rows, None, BLOCK).mean
    image_of(rows, None, mean, BLOCK)


@pytest.mark.parametrize("kind", ["dense", "csr"])
def test_no_rows_and_no_weight(kind):
    for rows, weight in ((counts(5)[:0], None), (counts(5), np.zeros(5))):
        found = wide_moments_of(as_kind(rows, kind), weight, BLOCK)
        assert found.weight == found.n_rows == 0
        other = counts(9)
        assert_holds(found + wide_moments_of(as_kind(other, kind), None, BLOCK), other, None)
        assert_holds(wide_moments_of(as_kind(other, kind), None, BLOCK) + found, other, None)


# The covariance of sparse rows in fewer columns


@pytest.mark.parametrize("kind", KINDS[1:])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("share", [0.02, 0.08, 0.6])  # the last is made dense
def test_covariance_of_sparse_rows_is_that_of_dense_ones(kind, weighted, share):
    rng = np.random.default_rng(2)
    rows = rng.exponential(size=(500, D)) * (rng.random((500, D)) < share)
    rows[:, 3], rows[:, 5] = 2.5, 0.0
    weight = rng.integers(0, 3, 500).astype(float) if weighted else None
    one, other = moments_of(rows, weight), moments_of(as_kind(rows, kind), weight)
    assert_allclose(other.scatter, one.scatter, atol=1e-12 * np.abs(one.scatter).max())
    assert_allclose(other.mean, one.mean, rtol=1e-12)
    assert_array_equal(constant(other), constant(one))
    assert (one.n_rows, one.weight) == (other.n_rows, other.weight)


def test_covariance_of_sparse_rows_stays_sparse_until_it_is_made(monkeypatch):
    shapes = []

    def seen(self, *args, toarray=sparse.csr_array.toarray, **kwargs):
        shapes.append(self.shape)
        return toarray(self, *args, **kwargs)

    monkeypatch.setattr(sparse.csr_array, "toarray", seen)
    rng = np.random.default_rng(0)
    moments_of(sparse.csr_array((rng.random((500, D)) < 0.05).astype(float)), None)
    assert set(shapes) <= {(D, D)}


@pytest.mark.parametrize("offset", [1e3, 1e8])
def test_sparse_columns_far_off_lose_nothing(offset):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(900, D)) * (rng.random((900, D)) < 0.05)
    rows[:, 0] = offset + rng.normal(size=900)
    one, other = moments_of(rows, None), moments_of(sparse.csr_array(rows), None)
    assert_allclose(other.scatter, one.scatter, atol=1e-9 * np.diag(one.scatter).min())
