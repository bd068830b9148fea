"""Where the rows of parts lie on a map adds up to where all of them do."""

import itertools

import numpy as np
import pytest
from helpers.data import correlated
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM
from dask_igtm.statistics import map_bins

N = 400
K = 6
EDGES = np.linspace(-K / (K - 1), K / (K - 1), 12 * K + 1)  # 12 bins a node, from the outer edges of nodes


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return correlated(N, 4)


@pytest.fixture(scope="module")
def igtm(X):
    return IGTM(k=K, m=3, niter=8).fit(X)


@pytest.fixture(scope="module")
def y(X):
    return X[:, 0] * 10


@pytest.fixture(scope="module")
def labels(X):
    return np.array(["low", "middle", "high"])[np.digitize(X[:, 0], np.quantile(X[:, 0], [0.3, 0.6]))]


@settings(max_examples=25, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 60), max_size=4),
    limit=st.sampled_from([0, 59, 60]),
    labelled=st.booleans(),
    weighted=st.booleans(),
)
def test_spreads_of_parts_add_up_to_that_of_the_whole(igtm, X, y, labels, cuts, limit, labelled, weighted):
    function, column = (map_bins.of_labels, labels) if labelled else (map_bins.of_values, y)
    weight = 0.5 + np.arange(60) % 3

    def spread(rows):
        given = weight[rows] if weighted else None
        return function(X[rows], given, column[rows], igtm.model_, "numpy", EDGES, limit)

    bounds = sorted({0, 60, *cuts})
    parts = [spread(slice(*pair)) for pair in itertools.pairwise(bounds)]
    total, whole = sum(parts[1:], parts[0]), spread(slice(0, 60))
    assert_array_equal(total.counts, whole.counts)
    assert whole.n_rows == (weight.sum() if weighted else 60)
    assert total.log_likelihood == pytest.approx(whole.log_likelihood)
    assert (total.points is None) == (whole.points is None) == (limit < 60)
    if total.points:
        assert_array_equal(total.points.rows, np.arange(60))
        assert_array_equal(total.points.values, whole.points.values)
        assert_array_equal(total.points.weights, whole.points.weights)
    if labelled:
        assert_array_equal(total.labels.labels, whole.labels.labels)
        assert_array_equal(total.labels.keys, whole.labels.keys)
        assert_allclose(total.labels.rows, whole.labels.rows)
        counted = np.bincount(total.labels.bin, total.labels.rows, total.counts.size)
        assert_allclose(counted.reshape(total.counts.shape), total.counts)
        assert total.labels.totals == {
            label: weight[(labels[:60] == label)].sum() if weighted else (labels[:60] == label).sum()
            for label in np.unique(labels[:60])
        }
    else:
        assert_allclose(total.sums, whole.sums, atol=1e-12)
