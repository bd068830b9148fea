"""The kernels of the softmax, NumPy's and the compiled one, in float64 and float32."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_digits

from dask_igtm import IGTM
from dask_igtm.fitting import fit
from dask_igtm.model.basis import make_basis
from dask_igtm.posterior.kernels import load_kernel
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

KERNELS = ["numpy", "numba"]
PRECISION = {np.float64: 1e-13, np.float32: 2e-5}
LOGITS = st.integers(1, 300).flatmap(
    lambda k: arrays(float, (3, k), elements=st.floats(-1e4, 1e4, width=32), fill=st.just(0.0))
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", PRECISION)
def test_softmax(kernel, dtype):
    @settings(deadline=None, max_examples=60)
    @given(LOGITS)
    def check(logits):
        responsibilities = logits.astype(dtype)
        peak, log_mass, spread = load_kernel(kernel)(responsibilities, np.empty_like(responsibilities))
        expected = softmax(logits, axis=1)
        shifted = logits - logits.max(axis=1, keepdims=True)
        assert_allclose(responsibilities, expected, rtol=PRECISION[dtype], atol=1e-30)
        assert_allclose(peak, logits.max(axis=1))
        assert_allclose(log_mass, logsumexp(shifted, axis=1), atol=PRECISION[dtype])
        assert_allclose(spread, (expected * shifted).sum(axis=1), rtol=PRECISION[dtype], atol=1e-5)
        assert peak.dtype == log_mass.dtype == spread.dtype == np.float64

    check()


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_kernels_agree(dtype):
    X = load_digits().data.astype(dtype)
    model = initialize(moments_of(X, None), make_basis(16, 4, 0.3), regul=0.1, scale=None).model
    one, other = (e_step(X, None, model, kernel) for kernel in KERNELS)
    for name, value in vars(one).items():
        rtol = 1e-12 if dtype is float else 1e-5
        assert_allclose(getattr(other, name), value, rtol=rtol, atol=rtol * np.abs(value).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fit_uses_and_records_one_kernel(kernel, monkeypatch):
    monkeypatch.setattr(fit, "best_kernel", lambda: kernel)
    X = load_digits().data
    igtm = IGTM(niter=5, tol=0).fit(X)
    assert igtm.kernel_ == kernel
    assert_allclose(igtm.log_likelihood_, -165.0, atol=2)


def test_a_worker_without_numba_fails_clearly():
    code = """
import importlib.util
importlib.util.find_spec = lambda name: None
from dask_igtm.posterior.kernels import best_kernel, load_kernel
assert best_kernel() == "numpy"
load_kernel("numba")
"""
    run = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "install the same packages on every worker" in run.stderr
