"""The kernels of the softmax, NumPy's and the compiled one, in float64 and float32."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.geometries import geometry_of_logits, random_geometry
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
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
EACH = [pytest.mark.parametrize("kernel", KERNELS), pytest.mark.parametrize("dtype", PRECISION)]


def each(test):
    """Run a test with both kernels in both precisions."""
    for mark in EACH:
        test = mark(test)
    return test


def softmax(kernel, t):
    """Return what a kernel finds of rows, and the responsibilities by row, (n, K)."""
    found, R, order = kernel.softmax(t.copy())
    R = R.swapaxes(1, 2).reshape(-1, R.shape[1])
    by_row = np.empty_like(R)
    by_row[slice(None) if order is None else order] = R
    return found, by_row


def of_rows(logits):
    """Return what a kernel should find of logits (n, K), and the responsibilities."""
    peak = logits.max(axis=1)
    R = np.exp(logits - peak[:, None])
    mass = R.sum(axis=1)
    R /= mass[:, None]
    return peak, np.log(mass), (R * (logits - peak[:, None])).sum(axis=1), R


@each
def test_the_posterior_of_any_rows(kernel, dtype):
    @settings(deadline=None, max_examples=60)
    @given(
        st.integers(1, 13), st.integers(1, 6), st.integers(1, 3), st.floats(-3, 4), st.integers(0, 2**32 - 1)
    )
    def check(k, m, groups, power, seed):
        rng = np.random.default_rng(seed)
        geometry = random_geometry(k, min(m, k), dtype, rng)
        t = (10.0**power * rng.normal(size=(256 * groups, geometry.functions.shape[1]))).astype(dtype)
        weight = (rng.random(len(t)) * (rng.random(len(t)) < 0.8)).astype(dtype)
        functions, half = geometry.functions.astype(np.longdouble), geometry.half_squares
        peak, log_mass, spread, R = of_rows(t @ functions.T - half)
        size = (np.abs(t) @ np.abs(functions).T + np.abs(half)).max()
        error = float(8 * np.finfo(dtype).eps * size)
        precision = PRECISION[dtype] + 2 * error
        if precision > 0.1:
            return

        found, given_ = softmax(load_kernel(kernel)(geometry, len(t)), t)
        assert_allclose(
            given_.astype(float), R.astype(float), rtol=precision, atol=np.finfo(dtype).eps / k**2
        )
        other, v, g, _ = load_kernel(kernel)(geometry, len(t)).sums(t.copy(), weight)
        for values in (found, other):
            assert values.peak.dtype == values.log_mass.dtype == values.spread.dtype == np.float64
            assert_allclose(values.peak, peak.astype(float), atol=error, rtol=precision)
            assert_allclose(values.log_mass, log_mass.astype(float), atol=precision)
            assert_allclose(
                values.spread, spread.astype(float), atol=precision + 50 * np.finfo(dtype).eps, rtol=precision
            )
        assert_allclose(
            v.astype(float),
            (functions.T @ (R.T * weight)).astype(float),
            atol=precision * np.abs(functions).max(),
        )
        assert_allclose(g, (weight @ R).astype(float), atol=precision * len(t) / k**2, rtol=precision)
        assert g.dtype == np.float64

    check()


PEAKS = np.arange(256) % 128


def at_distance(kernel, dtype, below, k=12):
    """Return what a kernel finds of rows with one logit of 0 and all others so far below it."""
    logits = np.full((256, k * k), below)
    logits[np.arange(256), PEAKS] = 0
    geometry, t = geometry_of_logits(logits.astype(dtype))
    one, R = softmax(load_kernel(kernel)(geometry, 256), t)
    two, v, g, _ = load_kernel(kernel)(geometry, 256).sums(t.copy(), np.ones(256, dtype))
    assert_allclose(one, two, rtol=1e-6, atol=1e-15)
    return one, R, v, g


@each
@pytest.mark.parametrize("beyond", [1e-3, 1, 50, 600])
def test_nodes_that_add_less_than_rounding_are_left_out(kernel, dtype, beyond):
    eps = float(np.finfo(dtype).eps)
    found, R, v, g = at_distance(kernel, dtype, np.log(eps / 144) - beyond)
    expected = np.eye(128, 144)[PEAKS]
    for value, there in ((R, expected), (v[:-1], expected.T), (g, expected.sum(axis=0))):
        assert_array_equal(value == 0, there == 0)  # of g the last 16
        assert_allclose(value, there, rtol=4 * eps)
    assert_allclose(found.log_mass, 0, atol=4 * eps)
    assert_array_equal(found.spread, 0)


@each
@pytest.mark.parametrize("within", [1e-3, 1, 5, 10])
def test_nodes_that_together_add_more_are_kept(kernel, dtype, within):
    eps = float(np.finfo(dtype).eps)
    below = np.log(eps / 144) + within
    found, R, v, g = at_distance(kernel, dtype, below)
    below = float(dtype(below))
    mass = 1 + 143 * np.exp(below)
    expected = np.full((256, 144), np.exp(below) / mass)
    expected[np.arange(256), PEAKS] = 1 / mass
    precision = 30 * eps
    assert_allclose(R, expected, rtol=precision)
    assert_allclose(v[:-1], expected.T, rtol=precision)
    assert_allclose(g, expected.sum(axis=0), rtol=precision)
    assert_allclose(found.log_mass, np.log(mass), atol=20 * eps)
    assert_allclose(found.spread, 143 * below * np.exp(below) / mass, rtol=precision, atol=20 * eps)


@each
def test_what_is_left_out_is_within_rounding(kernel, dtype):
    """Nodes at all distances, more and more of them beyond the bound."""
    logits = -np.linspace(0, 1, 144) * np.linspace(0, 200, 256)[:, None]
    logits = np.random.default_rng(0).permuted(logits, axis=1).astype(dtype)
    geometry, t = geometry_of_logits(logits)
    eps = float(np.finfo(dtype).eps)
    peak, log_mass, spread, R = of_rows(logits.astype(np.longdouble))
    found, given_ = softmax(load_kernel(kernel)(geometry, 256), t)
    assert_array_equal(given_ == 0, logits - peak[:, None].astype(dtype) <= np.log(eps / 144))
    kept = np.where(given_ > 0, R, 0).astype(float)
    assert_allclose(given_, kept, rtol=40 * eps)
    assert_allclose(found.log_mass, log_mass.astype(float), rtol=8 * eps, atol=4 * eps)
    assert_allclose(found.spread, spread.astype(float), rtol=20 * eps, atol=100 * eps)


@each
def test_a_row_does_not_see_the_rows_beside_it(kernel, dtype):
    rng = np.random.default_rng(0)
    geometry = random_geometry(7, 3, dtype, rng)
    t = (rng.normal(size=(512, 10)) * np.logspace(-2, 4, 512)[:, None]).astype(dtype)
    order = rng.permutation(512)
    one, R = softmax(load_kernel(kernel)(geometry, 512), t)
    other, permuted = softmax(load_kernel(kernel)(geometry, 512), t[order])
    rtol = 0 if kernel == "numba" else 20 * np.finfo(dtype).eps * np.abs(t).max()  # BLAS is no sum of lanes
    assert_allclose(permuted, R[order], rtol=rtol)
    assert_allclose(other.log_mass, one.log_mass[order], rtol=rtol)


@each
def test_buffers_serve_one_tile_after_the_other(kernel, dtype):
    rng = np.random.default_rng(0)
    geometry = random_geometry(6, 4, dtype, rng)
    tiles = [rng.normal(size=(n, 17)).astype(dtype) * 20 for n in (768, 256, 512)]
    shared = load_kernel(kernel)(geometry, 768)
    for t in tiles:
        alone = load_kernel(kernel)(geometry, len(t))
        weight = rng.random(len(t)).astype(dtype)
        assert_array_equal(softmax(shared, t)[1], softmax(alone, t)[1])
        for one, other in zip(
            shared.sums(t.copy(), weight)[1:], alone.sums(t.copy(), weight)[1:], strict=True
        ):
            assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_kernels_agree(dtype):
    X = load_digits().data.astype(dtype)
    model = initialize(moments_of(X, None), make_basis(16, 4, 0.3), regul=0.1, scale=None).model
    one, other = (e_step(X, None, model, kernel) for kernel in KERNELS)
    for name, value in vars(one).items():
        rtol = 1e-12 if dtype is float else 1e-5
        if value is not None:
            assert_allclose(getattr(other, name), value, rtol=rtol, atol=rtol * np.abs(value).max())


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fit_uses_and_records_one_kernel(kernel, monkeypatch):
    monkeypatch.setattr(fit, "best_kernel", lambda: kernel)
    X = load_digits().data
    igtm = IGTM(niter=5, tol=0).fit(X)
    assert igtm.kernel_ == kernel
    assert_allclose(igtm.log_likelihood_, -165.0, atol=2)


@pytest.mark.parametrize("missing", ["error", "marginalize"])
def test_a_fit_is_the_same_with_either_kernel(missing, monkeypatch):
    X = load_digits().data[:600, 1:32]
    if missing != "error":
        X[::5, 7] = np.nan
    fits = []
    for kernel in KERNELS:
        monkeypatch.setattr(fit, "best_kernel", lambda kernel=kernel: kernel)
        fits.append(IGTM(niter=20, tol=0, scale="center", missing=missing).fit(X))
    one, other = fits
    assert_allclose(other.beta_inv_, one.beta_inv_, rtol=1e-10)
    assert_allclose(other.history_, one.history_, rtol=1e-10)
    assert_allclose(other.centers_, one.centers_, atol=1e-7)
    assert_allclose(other.transform(X), one.transform(X), atol=1e-7)


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


NO_USE = {
    "NUMBA_DISABLE_JIT is set": ("", {"NUMBA_DISABLE_JIT": "1"}),
    "ImportError: needs another NumPy": ("raise ImportError('needs another NumPy')", {}),
    "OSError: no such library": ("raise OSError('no such library')", {}),
}


@pytest.mark.parametrize("reason", NO_USE)
def test_numba_that_is_of_no_use_is_warned_of_once(reason, tmp_path):
    broken, environ = NO_USE[reason]
    if broken:
        (tmp_path / "numba").mkdir()
        (tmp_path / "numba" / "__init__.py").write_text(broken)
    code = """
import warnings
import numpy as np
from dask_igtm import IGTM
from dask_igtm.posterior.kernels import load_kernel
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(2):
        igtm = IGTM(k=4, m=2, niter=2, scale="center").fit(np.random.default_rng(0).normal(size=(50, 3)))
assert igtm.kernel_ == "numpy"
print(*[warning.message for warning in caught if "numba" in str(warning.message)], sep="\\n")
load_kernel("numba")
"""
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path} | environ,
    )
    (warning,) = run.stdout.splitlines()
    assert reason in warning
    assert "NumPy computes instead" in warning
    assert re.search(rf"ModuleNotFoundError.*no numba.*{reason}.*on every worker", run.stderr)
