"""Totals at the nodes add up in any grouping, whatever the size of values and weights."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from dask_igtm.statistics import node_sums


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_totals_add_in_any_grouping(sizes, seed):
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        R, y = rng.random((size, 4)), 1e6 + rng.normal(size=(size, 2))
        parts.append(node_sums.totals_of(lambda columns, R=R: R.T @ columns, rng.random(size), y))
    a, b, c = parts
    for name, value in vars((a + b) + c).items():
        assert_allclose(getattr(a + (b + c), name), value, rtol=1e-9, atol=1e-7)


def parts_of(y, weight, seed=0):
    R = np.random.default_rng(seed).random((len(y), 4))
    cuts = np.array_split(np.arange(len(y)), 3)
    return [node_sums.totals_of(lambda columns, R=R[i]: R.T @ columns, weight[i], y[i]) for i in cuts]


@settings(deadline=None)
@given(
    size=st.one_of(st.integers(-1000, 1019), st.sampled_from([-1000, 1019])),
    weight_size=st.integers(-160, 160),
    seed=st.integers(0, 2**32 - 1),
)
def test_values_and_weights_of_any_size_give_the_totals_of_ordinary_ones(size, weight_size, seed):
    rng = np.random.default_rng(seed)
    y, weight = rng.uniform(-1, 1, size=(60, 2)), rng.random(60)
    y[rng.random(y.shape) < 0.2] = np.nan
    a, b, c = parts_of(y, weight, seed)
    ordinary = a + b + c
    with np.errstate(all="raise", under="ignore"):
        a, b, c = parts_of(np.ldexp(y, size), np.ldexp(weight, weight_size), seed)
        found = a + b + c
        levelled = found.smoothed(1e-7)
    for totals, expected in ((found, ordinary), (levelled, ordinary.smoothed(1e-7))):
        assert_allclose(np.ldexp(totals.weight, -weight_size), expected.weight, rtol=1e-12)
        assert_allclose(np.ldexp(totals.mean, -size), expected.mean, rtol=1e-10, atol=1e-13)
        assert_allclose(np.ldexp(totals.deviation, -size), expected.deviation, rtol=1e-10)


def test_deviations_are_those_of_all_rows():
    rng = np.random.default_rng(1)
    y, R, weight = 1e3 + rng.normal(size=(50, 1)), rng.random((50, 4)), rng.random(50)
    pieces = [
        node_sums.totals_of(lambda columns, i=i: R[i].T @ columns, weight[i], y[i])
        for i in np.array_split(np.arange(50), 4)
    ]
    total = pieces[0] + pieces[1] + pieces[2] + pieces[3]
    for node in range(4):
        share = R[:, node] * weight
        mean = np.average(y[:, 0], weights=share)
        assert_allclose(total.mean[node, 0], mean)
        assert_allclose(total.deviation[node, 0], np.sqrt(np.average((y[:, 0] - mean) ** 2, weights=share)))
