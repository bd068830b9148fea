"""What cannot work says so soon, loses nothing, and works once it is put right."""

import contextlib
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask.array as da
import numpy as np
import psutil
import pytest
import zarr
from distributed import Client
from helpers.cluster import end, free_port, running, worker_pids
from helpers.data import correlated

import dask_igtm
from dask_igtm import IGTM

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

X = correlated(20_000, 10)


@pytest.fixture
def path(tmp_path):
    zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(500, 10))
    return tmp_path / "x.zarr"


@contextlib.contextmanager
def soon():
    """Hold that what is inside ends within 30 s."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < 30


def estimator(**changed):
    return IGTM(**({"k": 6, "m": 3, "niter": 3, "tol": 0, "solver": "em"} | changed))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk to fill: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_during_a_projection(path, small_disk):
    igtm = estimator().fit(path)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(150_000))
    lazy = da.from_zarr(path)
    with soon(), pytest.raises(OSError, match="No space left"):
        igtm.project_to_zarr(lazy, small_disk / "map.zarr")
    half = zarr.open_group(small_disk / "map.zarr", mode="r")
    assert half.attrs["dask_igtm"]["complete"] is False
    there = ~np.isnan(half["log_likelihood"][:])
    assert 0 < there.sum() < len(X)
    np.testing.assert_array_equal(half["means"][:][there], igtm.transform(lazy).compute()[there])
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=3m", small_disk], check=True)
    whole = igtm.project_to_zarr(lazy, small_disk / "map.zarr")
    np.testing.assert_array_equal(whole["means"][:], igtm.transform(lazy).compute())


def test_a_full_disk_during_a_fit(path, small_disk):
    estimator(niter=1).fit(path, checkpoint=small_disk / "fit.npz")
    before = (small_disk / "fit.npz").read_bytes()
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(400_000))
    with soon(), pytest.raises(OSError, match="No space") as caught:
        estimator().fit(path, checkpoint=small_disk / "fit.npz")
    assert any("The 2 iterations" in note or "The 1 iterations" in note for note in caught.value.__notes__)
    assert (small_disk / "fit.npz").read_bytes() == before
    filler.unlink()
    igtm = estimator().fit(path, checkpoint=small_disk / "fit.npz")
    assert igtm.log_likelihood_ == estimator().fit(path).log_likelihood_


def test_a_read_only_target(path, small_disk):
    igtm = estimator().fit(path)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with soon(), pytest.raises(OSError, match="Read-only file system"):
        igtm.project_to_zarr(path, small_disk / "map.zarr")
    with soon(), pytest.raises(PermissionError, match="cannot be written"):
        estimator().fit(path, checkpoint=small_disk / "fit.npz")
    assert not any(small_disk.iterdir())
    subprocess.run(["mount", "-o", "remount,rw,size=3m", small_disk], check=True)
    igtm.project_to_zarr(path, small_disk / "map.zarr")
    estimator().fit(path, checkpoint=small_disk / "fit.npz")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.mark.parametrize("damage", ["garbage", "cut", "lost"])
def test_a_damaged_chunk(path, tmp_path, cluster, damage):
    good = estimator().fit(path)
    chunk = path / "c" / "7" / "0"
    kept = chunk.read_bytes()
    if damage == "lost":
        chunk.unlink()
    else:
        chunk.write_bytes(b"garbage" * 100 if damage == "garbage" else kept[: len(kept) // 2])
    with cluster.client(2):
        for work in (
            lambda: estimator(n_blocks=40).fit(path, checkpoint=tmp_path / "fit.npz"),
            lambda: good.project_to_zarr(path, tmp_path / "map.zarr"),
        ):
            with soon(), pytest.raises(Exception) as caught:  # noqa: PT011
                work()
            notes = " ".join(caught.value.__notes__)
            assert "rows 3500:4000 of X" in notes or "rows 0:20000 of X" in notes
        chunk.write_bytes(kept)
        again = estimator(n_blocks=40).fit(path, checkpoint=tmp_path / "fit.npz")
        group = good.project_to_zarr(path, tmp_path / "map.zarr")
    assert np.isfinite(again.log_likelihood_)
    np.testing.assert_allclose(group["means"][:], good.transform(X), atol=1e-9)


def test_a_lazy_transform_of_a_damaged_chunk(path):
    igtm = estimator().fit(path)
    positions = igtm.transform(path)
    (path / "c" / "7" / "0").unlink()
    with pytest.raises(FileNotFoundError, match="not stored"):
        positions.compute()


def in_a_world_of_its_own(cluster, command):
    """Start a worker after a command, in a mount namespace that nobody else sees."""
    worker = [sys.executable, "-m", "dask", "worker", cluster.address, "--no-dashboard", "--nthreads", "1"]
    worker += ["--host", "127.0.0.1", "--local-directory", str(cluster.folder)]
    script = " && ".join([*command, "exec " + " ".join(worker)])
    with open(cluster.folder / "log", "ab") as log:
        unshared = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
        return subprocess.Popen(unshared, stdout=log, stderr=log, start_new_session=True)


def test_workers_that_do_not_see_the_path(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    zarr.create_array(data / "x.zarr", data=X, chunks=(500, 10))
    igtm = estimator().fit(X)
    (tmp_path / "cluster").mkdir()
    with running(tmp_path / "cluster", n_workers=0) as cluster:
        blind = in_a_world_of_its_own(cluster, [f"mount -t tmpfs tmpfs {data}"])
        cluster.workers.append(blind)
        try:
            client = cluster.client(1)
        except TimeoutError:
            if "unshare" in cluster.log() or "mount:" in cluster.log():
                pytest.skip(f"no worker can be blinded here: {cluster.log()}")
            raise
        with client:
            with soon(), pytest.raises(FileNotFoundError, match="every worker sees"):
                estimator().fit(data / "x.zarr")
            with soon(), pytest.raises(FileNotFoundError, match="every worker sees"):
                igtm.project_to_zarr(da.from_array(X, chunks=(500, 10)), data / "map.zarr")
            end(blind)
            cluster.start_workers(1)
            client.wait_for_workers(1, timeout=60)
            group = igtm.project_to_zarr(da.from_array(X, chunks=(500, 10)), data / "map.zarr")
    np.testing.assert_allclose(group["means"][:], igtm.transform(X), atol=1e-12)


def test_workers_with_another_release(path, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(Path(dask_igtm.__file__).parent, other / "dask_igtm")
    version = other / "dask_igtm" / "_version.py"
    version.write_text('__version__ = "0.0.7"\n')
    igtm = estimator().fit(path)
    with running(tmp_path, n_workers=0) as cluster:
        cluster.start_workers(1, env={"PYTHONPATH": str(other)})
        with cluster.client(1):
            message = rf"driver has dask_igtm {dask_igtm.__version__}, and .* has 0\.0\.7; install the same"
            with soon(), pytest.raises(RuntimeError, match=message):
                estimator().fit(path)
            with soon(), pytest.raises(RuntimeError, match=message):
                igtm.transform(path).compute()
            with soon(), pytest.raises(RuntimeError, match=message):
                igtm.project_to_zarr(path, tmp_path / "map.zarr")
            cluster.kill_workers()
            cluster.start_workers(1)
            assert estimator().fit(path).log_likelihood_ == igtm.log_likelihood_


def test_nobody_at_the_address():
    with soon(), pytest.raises(OSError, match="Timed out trying to connect"):
        Client(f"tcp://127.0.0.1:{free_port()}", timeout=5)


def test_a_fit_outgrows_the_memory_of_its_workers(tmp_path):
    """4 GB on two workers of 512 MB, with nobody killed or paused."""
    n_rows, height = 20_000_000, 100_000
    part = correlated(height, 50).astype("f4")
    layout = {"chunks": (height, 50), "dtype": "float32", "compressors": None}
    stored = zarr.create_array(tmp_path / "x.zarr", shape=(n_rows, 50), **layout)
    for start in range(0, n_rows, height):
        stored[start : start + height] = part
    with running(tmp_path, n_workers=2, memory_limit="512MB") as cluster, cluster.client(2) as client:
        pids, peaks = worker_pids(client), {}
        watching = threading.Event()

        def watch():
            while not watching.wait(0.2):
                for pid in pids:
                    peaks[pid] = max(peaks.get(pid, 0), psutil.Process(pid).memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        igtm = IGTM(niter=2, tol=0).fit(tmp_path / "x.zarr")
        watching.set()
        watcher.join()
        assert worker_pids(client) == pids
    log = cluster.log()
    shutil.rmtree(tmp_path / "x.zarr")
    print(f"peaks of the workers: {sorted(round(peak / 1e6) for peak in peaks.values())} MB")
    assert "Pausing" not in log
    assert "Restarting" not in log
    assert igtm.log_likelihood_ > igtm.history_[0]
