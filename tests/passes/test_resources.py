"""Who computes a pass, and with how many threads of BLAS."""

import asyncio
import logging
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster, get_client, worker_client
from helpers.lazy import computing
from threadpoolctl import threadpool_info, threadpool_limits

from dask_igtm import IGTM, landscape
from dask_igtm.passes import resources
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


# Clusters


def cluster(**changed):
    """One of threads of this process."""
    chosen = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    return LocalCluster(**chosen | changed)


def lazy(X):
    return da.from_array(X, chunks=(50, 5))


def fit_to(X, **parameters):
    return igtm(**parameters).fit(lazy(X)).centers_.tobytes()


NEEDS_RESULTS = {
    "fit": lambda fitted, rows, _: igtm().fit(rows),
    "score": lambda fitted, rows, _: fitted.score(rows),
    "projection": lambda fitted, rows, folder: fitted.project_to_zarr(rows, folder / "map.zarr"),
    "landscape": lambda fitted, rows, _: landscape.density(fitted, rows),
    "estimate": lambda fitted, rows, _: igtm().estimate(rows),
}


def test_an_asynchronous_client_is_not_waited_for_in_its_own_loop(fitted, X, tmp_path):
    async def main():
        async with cluster(asynchronous=True) as here, Client(here, asynchronous=True):
            for call in NEEDS_RESULTS.values():
                with pytest.raises(RuntimeError, match=r"asynchronous client .* asyncio.to_thread"):
                    call(fitted, lazy(X), tmp_path)
            assert igtm().fit(X).centers_.tobytes() == fitted.centers_.tobytes()  # in memory
            assert isinstance(fitted.transform(lazy(X)), da.Array)
            for name, call in NEEDS_RESULTS.items():
                assert await asyncio.to_thread(call, fitted, lazy(X), tmp_path) is not None, name
            return await asyncio.to_thread(fit_to, X)

    assert asyncio.run(main()) == fit_to(X)
    assert [path.name for path in tmp_path.iterdir()] == ["map.zarr"]


def test_a_coroutine_beside_a_synchronous_client(X):
    async def main():
        return fit_to(X)

    with cluster() as here, Client(here):
        assert asyncio.run(main()) == fit_to(X)


def test_a_fit_is_a_task_of_the_one_thread_that_computes_it(X):
    def task(persist="auto"):
        return fit_to(X, persist=persist)

    def with_client():
        get_client()
        return task()

    def beside():
        with worker_client():
            return task()

    whole = fit_to(X)
    with cluster() as here, Client(here) as client:
        assert all(client.submit(one).result(60) == whole for one in (task, with_client, beside))
        assert client.gather(client.map(task, [True, False, "auto"])) == [whole] * 3


def test_a_cluster_without_workers_is_waited_for_and_told_of(X, monkeypatch, caplog):
    monkeypatch.setattr(resources, "PATIENCE", 0.05)
    told = threading.Event()
    caplog.handler.addFilter(lambda record: record.name != "dask_igtm" or told.set() or True)
    with cluster(n_workers=0) as here, Client(here), ThreadPoolExecutor() as pool:
        assert igtm().estimate(lazy(X)).n_threads == 1
        with caplog.at_level(logging.WARNING, "dask_igtm"):
            fit = pool.submit(fit_to, X)
            assert told.wait(30)
        here.scale(1)
        assert fit.result(60) == fit_to(X)
    (record,) = (record for record in caplog.records if record.name == "dask_igtm")
    assert "has no workers" in record.getMessage()
    assert "no-workers-timeout" in record.getMessage()
