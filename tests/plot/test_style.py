"""The frame of a picture of any map, and how pale its nodes are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.plot.style import Canvas, clarity, shade


@pytest.mark.parametrize("k", [1, 2, 7, 40, 250])
def test_canvas_of_any_map(k):
    canvas = Canvas.of(np.zeros((k * k, 2)))
    assert canvas.edges[0] <= -1 < 1 <= canvas.edges[-1]
    assert len(canvas.edges) == k * canvas.per_node + 1
    assert canvas.node_pixels == canvas.per_node * canvas.bin_pixels
    assert 200 <= k * canvas.node_pixels <= 500


# Paleness

ROWS = arrays(float, st.integers(1, 40), elements=st.floats(1e-30, 1e12) | st.just(0.0))


@settings(deadline=None)
@given(ROWS)
def test_opacity_follows_support(support):
    found = shade(support)
    assert_array_equal(found == 0, support == 0)
    assert found.max() <= 1
    assert (np.diff(found[np.argsort(support)]) >= 0).all()
    if support.any():
        typical = np.average(support, weights=support)
        for rows, opacity in zip(support, found, strict=True):
            assert opacity == pytest.approx(1 if rows >= typical else np.log1p(rows) / np.log1p(typical))


def test_half_a_row_is_hardly_seen_where_rows_lie_among_ten():
    support = np.array([10.0] * 20 + [0.5, 0.0])
    assert 0.05 < shade(support)[-2] < 0.2
    assert shade(support)[0] == pytest.approx(1, abs=0.01)
    assert shade(support)[-1] == 0


def test_a_class_is_the_clearer_the_more_probable():
    assert_allclose(clarity(np.array([0.25, 0.625, 1.0]), 4), [0.1, 0.55, 1])
    assert_allclose(clarity(np.array([1.0]), 1), 1)
