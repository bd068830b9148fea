"""Who computes a pass, and with how many threads of BLAS."""

import pickle
import threading

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.lazy import computing
from threadpoolctl import threadpool_info, threadpool_limits

from dask_igtm import IGTM
from dask_igtm.passes.resources import single_threaded_blas


@pytest.fixture
def two_blas_threads():
    """More than one, where the process of these tests has been left one."""
    with threadpool_limits(2, "blas"):
        yield


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_concurrent_tasks_share_one_limit_of_blas_and_lift_it(two_blas_threads):
    before = blas_threads()
    assert set(before) == {2}
    entered, leave = threading.Barrier(2), threading.Event()

    def other():
        with single_threaded_blas:
            entered.wait()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    with single_threaded_blas:
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {1}
    leave.set()
    thread.join()
    assert blas_threads() == before
    with single_threaded_blas:
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_bits_of_wide_rows_do_not_depend_on_the_scheduler(two_blas_threads):
    wide = np.random.default_rng(0).normal(size=(1200, 784))
    lazy = da.from_array(wide, chunks=(1200, -1))
    fits = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            fits.append(IGTM(niter=2, tol=0, scale="center").fit(lazy))
    assert fits[0].centers_.tobytes() == fits[1].centers_.tobytes()
    in_memory = fits[0].transform(wide[:1200])
    assert (
        fits[0].transform(da.from_array(wide, chunks=(5000, -1))).compute().tobytes() == in_memory.tobytes()
    )


N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform", "score", "score_samples"])
def test_input_in_memory_never_meets_the_scheduler_of_dask_config(fitted, X, method):
    estimator = pickle.loads(pickle.dumps(fitted))
    with dask.config.set(scheduler=computing):
        result = getattr(estimator, method)(X)
    assert not isinstance(result, da.Array)
