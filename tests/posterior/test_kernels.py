"""The kernels of the softmax, NumPy's and the compiled one, in float64 and float32."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits

from dask_igtm import IGTM
from dask_igtm.fitting import fit
from dask_igtm.model.basis import make_basis
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

KERNELS = ["numpy", "numba"]


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
