"""The softmax by NumPy, in place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.special import softmax as scipy_softmax

from dask_igtm.posterior.numpy_kernel import softmax

PRECISION = {np.float64: 1e-13, np.float32: 2e-5}
LOGITS = st.integers(1, 300).flatmap(
    lambda k: arrays(float, (k, 3), elements=st.floats(-1e4, 1e4, width=32), fill=st.just(0.0))
)


@pytest.mark.parametrize("dtype", PRECISION)
def test_softmax(dtype):
    @settings(deadline=None, max_examples=60)
    @given(LOGITS)
    def check(logits):
        given_ = logits.astype(dtype)
        R = np.empty_like(given_)
        peak, log_mass, spread = softmax(given_, -1e5, R)
        expected = scipy_softmax(logits, axis=0)
        shifted = logits - logits.max(axis=0)
        assert_allclose(R, expected, rtol=PRECISION[dtype], atol=1e-30)
        assert_allclose(peak, logits.max(axis=0))
        assert_allclose(log_mass, logsumexp(shifted, axis=0), atol=PRECISION[dtype])
        assert_allclose(spread, (expected * shifted).sum(axis=0), rtol=PRECISION[dtype], atol=1e-5)
        assert peak.dtype == log_mass.dtype == spread.dtype == np.float64

    check()


@pytest.mark.parametrize("dtype", PRECISION)
def test_a_bound_leaves_out_what_lies_as_far_below(dtype):
    R = np.empty((4, 2), dtype)
    softmax(np.array([[0, -3], [-1, -6], [-2, -4], [-2.5, -5]], dtype), -2, R)
    assert_array_equal(R[2:, 0], 0)
    assert_array_equal(R[[1, 3], 1], 0)
    assert_allclose(R[:2, 0], scipy_softmax([0, -1]), rtol=1e-6)
    assert_allclose(R[[0, 2], 1], scipy_softmax([0, -1]), rtol=1e-6)
