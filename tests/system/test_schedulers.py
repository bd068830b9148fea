"""The same call on every scheduler, picked the way Dask users pick one, with the same bits."""

import contextlib
import os
import subprocess
import sys
import time

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from distributed import Client, LocalCluster
from helpers.bits import bits
from helpers.data import correlated

from dask_igtm import IGTM

# 34 folds of 6 blocks, 5 sums of 8 folds, and their total: three levels.
SIZES = tuple(np.random.default_rng(1).integers(0, 40, 201).tolist())


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    X = correlated(sum(SIZES), 6)
    target = tmp_path_factory.mktemp("data") / "x.zarr"
    zarr.create_array(target, data=X, chunks=(50, 6))
    return str(target)


def uneven(path):
    return da.from_zarr(path).rechunk((SIZES, -1))


@pytest.fixture(scope="module")
def synchronous(path):
    with dask.config.set(scheduler="synchronous"):
        return bits(uneven(path))


def test_threads(path, synchronous):
    with dask.config.set(scheduler="threads", num_workers=3):
        assert bits(uneven(path)) == synchronous


def test_the_default_scheduler(path, synchronous):
    assert bits(uneven(path)) == synchronous


@pytest.mark.slow
def test_processes(path, synchronous):
    with dask.config.set(scheduler="processes", num_workers=2):
        assert bits(uneven(path)) == synchronous


@pytest.fixture
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_local_cluster_of_processes(path, synchronous, cluster):
    with Client(cluster):
        assert bits(uneven(path)) == synchronous
        assert bits(uneven(path).persist()) == synchronous


def transitions(dask_scheduler):
    """How many changes of tasks a scheduler has seen."""
    return dask_scheduler.transition_counter


@pytest.mark.slow
def test_data_in_memory_stay_here_with_an_active_client(cluster):
    X = correlated(500, 4)
    alone = IGTM(k=5, niter=3).fit(X)
    with Client(cluster) as client:
        before = client.run_on_scheduler(transitions)
        igtm = IGTM(k=5, niter=3).fit(X)
        assert isinstance(igtm.transform(X), np.ndarray)
        assert client.run_on_scheduler(transitions) == before
    assert igtm.log_likelihood_ == alone.log_likelihood_


@pytest.mark.slow
def test_a_fit_inside_a_task(path, cluster):
    with Client(cluster) as client:
        expected = bits(path)
        # More fits than threads: each gives its thread back while it waits.
        inside = [client.submit(bits, path, pure=False) for _ in range(4)]
        assert all(future.result(timeout=300) == expected for future in inside)
        in_memory = client.submit(lambda: IGTM(k=5, niter=2).fit(correlated(300, 4)).log_likelihood_)
        assert np.isfinite(in_memory.result(timeout=300))


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_a_fit_inside_a_local_task(path, scheduler):
    with dask.config.set(scheduler=scheduler):
        inside = dask.compute(*[dask.delayed(bits)(path, pure=False) for _ in range(3)])
    expected = bits(path)
    assert all(result == expected for result in inside)


@contextlib.contextmanager
def remote_scheduler(tmp_path, n_workers=2):
    """A scheduler and workers as processes of their own."""
    command = [sys.executable, "-m", "dask"]
    file = tmp_path / "scheduler.json"
    scheduler = [
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
        "--scheduler-file",
        file,
    ]
    worker = ["worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard"]
    worker += ["--local-directory", tmp_path, "--host", "127.0.0.1"]
    processes = []
    with open(tmp_path / "log", "wb") as log:
        try:
            for arguments in [scheduler, *[worker] * n_workers]:
                processes.append(subprocess.Popen([*command, *map(str, arguments)], stdout=log, stderr=log))
                while not file.exists():
                    assert processes[0].poll() is None, (tmp_path / "log").read_text()
                    time.sleep(0.1)
            yield str(file)
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                process.wait(30)


@pytest.mark.slow
def test_a_remote_scheduler(path, synchronous, tmp_path):
    with remote_scheduler(tmp_path) as file, Client(scheduler_file=file) as client:
        client.wait_for_workers(2, timeout=60)
        assert bits(uneven(path)) == synchronous


@pytest.mark.slow
def test_array_query_planning(path, synchronous, tmp_path):
    code = f"""
import dask, dask.array as da, numpy as np, zarr
from dask_igtm import IGTM, IGTMClassifier, IGTMSearch, landscape
from dask_igtm import quality, report
from dask_igtm.passes.graph import Parcel
stored = zarr.open_array({path!r}, mode="r")
X = da.from_array(np.asarray(stored), chunks=({SIZES!r}, -1))
igtm = IGTM(k=6, m=3, niter=3, tol=0).fit(X)
assert hasattr(X, "expr")
assert igtm.centers_.tobytes() == bytes.fromhex({synchronous[0].hex()!r})
assert igtm.transform(stored).compute().shape == stored.shape[:1] + (2,)
(described,) = dask.compute(igtm.describe(X, ("means", "node", "top_nodes")))
assert (described["means"] == igtm.transform(X).compute()).all()
assert [len(values) for values in described.values()] == [len(X)] * 3
assert [len(rows) for rows in igtm.transform_blocks(X)] == list(X.chunks[0])
assert igtm.applicability(X, 1.0).all().compute()
IGTMSearch(IGTM(niter=2, missing="mean"), {{"k": [3]}}, cv=2).fit(X)
held_out = []
def scoring(one, *rows, sample_weight):
    held_out.append([len(array.compute()) for array in (*rows, sample_weight)])
    return one.score(*rows, sample_weight=sample_weight)
y, groups = da.from_array(np.arange(len(X)) % 2, chunks=70), da.from_array(np.arange(len(X)) % 40, chunks=90)
for estimator in (IGTM(niter=2, solver="em"), IGTMClassifier(niter=2, solver="em")):
    grid = {{"k": [3], "scale": ["center", None]}}
    search = IGTMSearch(estimator, grid, cv=2, scoring=scoring, refit=False)
    search.fit(X, y, da.ones(len(X), chunks=50), groups=groups)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
assert held_out[0][0] + held_out[2][0] == len(X)
assert all(len(set(lengths)) == 1 for lengths in held_out)
import xarray as xr
lazy = da.from_array(np.asarray(stored).reshape(2, -1, stored.shape[1]), chunks=(1, 50, -1))
cube = xr.Dataset({{str(i): (("a", "b"), lazy[..., i]) for i in range(stored.shape[1])}}, {{"a": [0, 1]}})
assert hasattr(cube["0"].data, "expr")
on_cube = IGTM(k=6, m=3, niter=3, tol=0).fit(cube, sample_weight=cube["a"] + 1)
assert dask.compute(on_cube.transform(cube))[0].shape == (*lazy.shape[:2], 2)
assert dask.compute(on_cube.describe(cube))[0]["node"].dims == ("a", "b")
report(igtm, X, {str(tmp_path / "map.html")!r}, y=X[:, 0])
weight = da.from_array(np.arange(len(X)) % 3, chunks=7)
assert quality(igtm, X, weight, n_sample=20).n_samples == (np.arange(len(X)) % 3).sum()
landscape.compare(igtm, {{"a": X}}, {{"a": weight}})
landscape.markers(igtm, X, sample_weight=weight)
report(igtm, X, {str(tmp_path / "map.html")!r}, y=X[:, 0], sample_weight=weight)
"""
    planned = os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True"}
    subprocess.run([sys.executable, "-c", code], env=planned, check=True)
