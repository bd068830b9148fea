"""Rows in model coordinates, by NumPy and by the compiled sweep, from whatever array they come in."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.model.affine import Affine
from dask_igtm.posterior.coordinates import numba_forward, numpy_forward

FORWARD = {"numpy": numpy_forward, "numba": numba_forward}
KERNELS = list(FORWARD)
AFFINE = Affine(np.array([1e4, 0.0, -2.5]), np.array([3.0, 1e-3, 1e5]), standardised=True)
ROWS = arrays(float, st.tuples(st.integers(1, 40), st.just(3)), elements=st.floats(-1e6, 1e6, width=32))


def forward(kernel, X, dtype=np.float64, affine=AFFINE):
    """Return rows in model coordinates, above the row that no kernel may touch, and their norms."""
    Z = np.full((len(X) + 1, 3), 7, dtype)
    norms = FORWARD[kernel](X, affine, Z[:-1])
    assert norms.dtype == np.float64
    assert (Z[-1] == 7).all()
    return Z[:-1], norms


def unaligned(X):
    raw = np.empty(X.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(X.tobytes(), np.uint8)
    return raw.view(X.dtype).reshape(X.shape)


def read_only(X):
    X.flags.writeable = False
    return X


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_are_centred_and_scaled_in_float64(kernel, dtype):
    @settings(deadline=None, max_examples=40)
    @given(ROWS)
    def check(X):
        expected = (X - AFFINE.mean) / AFFINE.scale
        Z, norms = forward(kernel, X.astype(dtype), dtype)
        eps = np.finfo(dtype).eps
        assert_allclose(Z, expected, rtol=2 * eps)
        assert_allclose(norms, (Z.astype(float) ** 2).sum(axis=1), rtol=1e-14)

    check()


@pytest.mark.parametrize("kernel", KERNELS)
def test_rows_finer_than_the_result_are_centred_before_they_are_rounded(kernel):
    """As those are whose gaps were filled with means, which float32 has not."""
    affine = Affine(np.array([1e6 - 0.0025, 0.0, 1.0]), np.ones(3))
    Z, norms = forward(kernel, np.array([[1e6, 0.1, 1.0 + 1e-9]]), np.float32, affine)
    assert_allclose(Z[0], [0.0025, 0.1, 1e-9], rtol=1e-6)
    assert_allclose(norms, (Z.astype(float) ** 2).sum(axis=1), rtol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "as_other",
    [
        np.asfortranarray,
        unaligned,
        read_only,
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: np.broadcast_to(X[0], X.shape),
        lambda X: X.astype(">f8"),
        lambda X: X.astype(np.int64),
        lambda X: X.astype(np.float32),
        lambda X: X.astype(np.float16),
        lambda X: X > 0,
    ],
)
def test_arrays_of_any_kind(kernel, as_other):
    X = as_other(np.random.default_rng(0).normal(size=(50, 3), scale=100))
    Z, norms = forward(kernel, X)
    assert_allclose(Z, (X.astype(float) - AFFINE.mean) / AFFINE.scale, rtol=1e-15)
    assert_allclose(norms, (Z**2).sum(axis=1))


@pytest.mark.parametrize("kernel", KERNELS)
def test_entries_that_are_not_finite_stay_so(kernel):
    X = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [-np.inf, np.nan, 0], [0, 0, 0]])
    Z, norms = forward(kernel, X)
    assert_array_equal(np.isnan(Z), np.isnan(X))
    assert_array_equal(np.isinf(Z), np.isinf(X))
    assert_array_equal(np.isnan(norms), [True, False, True, False])
    assert norms[1] == np.inf


@pytest.mark.parametrize("kernel", KERNELS)
def test_principal_axes(kernel):
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 3)))[0]
    affine = Affine(np.arange(5.0), np.arange(1.0, 6.0), axes, standardised=True)
    X = np.random.default_rng(1).normal(size=(20, 5))
    Z, norms = forward(kernel, X, affine=affine)
    assert_allclose(Z, (X - affine.mean) / affine.scale @ axes)
    assert_allclose(norms, (Z**2).sum(axis=1))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_columns", [2, 4])
def test_rows_of_another_width_are_refused(kernel, n_columns):
    with pytest.raises(ValueError, match="broadcast"):
        forward(kernel, np.zeros((5, n_columns)))


def test_threads_may_be_the_first_to_compile():
    pytest.importorskip("numba")
    code = """if True:
        import threading
        import numpy as np
        from dask_igtm.model.affine import Affine
        from dask_igtm.posterior.coordinates import numba_forward
        from dask_igtm.posterior.kernels import load_kernel
        start, failed = threading.Barrier(4), []
        def work():
            start.wait()
            try:
                load_kernel("numba")
                numba_forward(np.ones((3, 2)), Affine(np.zeros(2), np.ones(2)), np.ones((3, 2)))
            except Exception as error:
                failed.append(error)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert not failed, failed
    """
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
