"""A histogram of positive numbers adds up, stays small, and knows its quantiles."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.statistics.log_histogram import SHARES, Histogram

POSITIVE = st.floats(0, 1e6, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60).flatmap(lambda n: arrays(float, n, elements=POSITIVE)), st.integers(0, 60), st.data()
)
def test_a_histogram_adds_up(values, cut, data):
    weight = data.draw(arrays(float, len(values), elements=st.integers(1, 5).map(float)))
    whole = Histogram.of(values, weight)
    parts = Histogram.of(values[:cut], weight[:cut]) + Histogram.of(values[cut:], weight[cut:])
    for name in ("low", "high", "weight"):
        assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert (whole.low <= whole.high).all()
    assert whole.weight.sum() == weight.sum()
    quantiles = whole.quantiles(SHARES)
    exact = np.quantile(np.repeat(values, weight.astype(int)), SHARES, method="inverted_cdf")
    assert_allclose(quantiles, exact, rtol=0.006, atol=2.0**-9)
    assert (np.diff(quantiles) >= 0).all()
    assert quantiles[-1] == values.max()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 300).flatmap(lambda n: arrays(float, n, elements=POSITIVE)))
def test_quantiles_make_a_histogram_with_the_same_quantiles(values):
    quantiles = Histogram.of(values, np.ones(len(values))).quantiles(SHARES)
    again = Histogram.of_quantiles(quantiles, SHARES)
    assert again.weight.sum() == pytest.approx(1)
    assert again.quantiles(SHARES)[-1] == quantiles[-1]
    # Between two shares that a file holds, no more is known than that numbers lie between their quantiles.
    found, slack = again.quantiles(SHARES)[1:], 1e-12
    assert (found <= quantiles[1:] * 1.006 + 2.0**-9 + slack).all()
    assert (found >= quantiles[:-1] * 0.994 - 2.0**-9 - slack).all()


def test_a_scaled_histogram_has_the_same_quantiles_and_no_empty_bins():
    whole = Histogram.of(np.random.default_rng(0).chisquare(10, 1000), np.ones(1000))
    assert_allclose(whole.scaled(1e-3).quantiles(SHARES), whole.quantiles(SHARES), rtol=1e-9)
    assert len(whole.scaled(0.0).weight) == 0


def test_a_histogram_takes_any_number_and_no_weight():
    extremes = Histogram.of(np.array([0.0, 5e-324, 1.0, 1e308]), np.ones(4))
    assert_array_equal(extremes.quantiles(np.array([0.0, 1.0])), [0, 1e308])
    assert len(Histogram.of(np.ones(3), np.zeros(3)).weight) == 0


def test_the_largest_of_two_numbers_in_a_bin_is_met_exactly():
    values = np.array([1.1444091796875002e-05, 9.53674316e-07])
    assert Histogram.of(values, np.ones(2)).quantiles(SHARES)[-1] == values.max()


def test_the_histogram_of_many_rows_is_small():
    assert len(Histogram.of(np.random.default_rng(0).chisquare(10, 100_000), np.ones(100_000)).weight) < 1500
