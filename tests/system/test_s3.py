"""Data, checkpoints, models and projections in an object store, also in one that is often too busy."""

import gc
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.cluster import end, free_port, running
from helpers.data import correlated

from dask_igtm import IGTM, load

s3fs = pytest.importorskip("s3fs")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SERVER = Path(__file__).parents[1] / "helpers" / "s3_server.py"
X = correlated(4000, 6)


@pytest.fixture(params=[0, 5], ids=["calm", "busy"])
def bucket(request, tmp_path, monkeypatch):
    """A bucket of a server of this test's own; `busy` answers every fifth request with 503."""
    port = free_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    command = [sys.executable, str(SERVER), str(port), str(request.param)]
    with open(tmp_path / "s3.log", "wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "s3.log").read_text()
                time.sleep(0.1)
        s3fs.S3FileSystem().mkdir("s3://data")
        yield "s3://data"
        assert ("503 " in (tmp_path / "s3.log").read_text()) is bool(request.param)
    finally:
        end(server)
        s3fs.S3FileSystem.clear_instance_cache()
        gc.collect()  # sessions that s3fs leaves open warn here, and not in a later test


def estimator(**changed):
    return IGTM(**({"k": 6, "m": 3, "niter": 6, "tol": 0} | changed))


def bits(igtm, group):
    arrays = (igtm.centers_, igtm.history_, *(group[name][:] for name in sorted(group.array_keys())))
    return [array.tobytes() for array in arrays] + [igtm.log_likelihood_]


def test_in_and_out_with_the_bits_of_a_disk(bucket, tmp_path):
    zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(200, 6))
    zarr.create_array(f"{bucket}/x.zarr", data=X, chunks=(200, 6))
    here = estimator(n_blocks=20).fit(tmp_path / "x.zarr")
    expected = bits(here, here.project_to_zarr(tmp_path / "x.zarr", tmp_path / "map.zarr"))

    estimator(n_blocks=20, niter=3).fit(f"{bucket}/x.zarr", checkpoint=f"{bucket}/fit.npz")
    there = estimator(n_blocks=20).fit(f"{bucket}/x.zarr", checkpoint=f"{bucket}/fit.npz")
    assert there.n_iter_ == 6
    group = there.project_to_zarr(f"{bucket}/x.zarr", f"{bucket}/map.zarr")
    assert bits(there, group) == expected
    again = there.project_to_zarr(f"{bucket}/x.zarr", f"{bucket}/map.zarr")
    assert bits(there, again) == expected
    there.save(f"{bucket}/model.npz")
    assert load(f"{bucket}/model.npz").centers_.tobytes() == here.centers_.tobytes()


def test_on_a_cluster(bucket, tmp_path):
    zarr.create_array(f"{bucket}/x.zarr", data=X, chunks=(200, 6))
    here = estimator(n_blocks=20).fit(X)
    with running(tmp_path) as cluster, cluster.client(2):
        igtm = estimator(n_blocks=20).fit(f"{bucket}/x.zarr", checkpoint=f"{bucket}/fit.npz")
        group = igtm.project_to_zarr(f"{bucket}/x.zarr", f"{bucket}/map.zarr")
    assert igtm.centers_.tobytes() == here.centers_.tobytes()
    np.testing.assert_array_equal(
        group["means"][:], here.transform(da.from_array(X, chunks=(4000, 6))).compute()
    )


def test_what_is_not_there_is_said(bucket):
    with pytest.raises(FileNotFoundError, match="no Zarr array"):
        estimator().fit(f"{bucket}/nothing.zarr")
    with pytest.raises(FileNotFoundError, match="no file"):
        load(f"{bucket}/nothing.npz")
    s3fs.S3FileSystem().pipe("data/other/file", b"precious")
    with pytest.raises(FileExistsError, match="give another path"):
        estimator().fit(X).project_to_zarr(X, f"{bucket}/other")
    assert s3fs.S3FileSystem().cat("data/other/file") == b"precious"


def test_of_several_runs_at_one_url_one_is_certified(bucket):
    """The store itself is asked to make the label only where none is."""
    lazy = da.from_array(X, chunks=(400, 6))
    maps = [estimator(niter=niter).fit(X) for niter in (2, 5)]
    for number in range(3):
        url, barrier = f"{bucket}/{number}.zarr", threading.Barrier(2)

        def run(igtm, url=url, barrier=barrier):
            barrier.wait()
            try:
                return igtm.project_to_zarr(lazy, url, ("means",))["means"][:]
            except ValueError as error:
                return str(error)

        with ThreadPoolExecutor(2) as pool:
            one, other = pool.map(run, maps)
        (lost,) = (said for said in (one, other) if isinstance(said, str))
        assert "is another one: model was" in lost
        winner = maps[0] if isinstance(other, str) else maps[1]
        found = zarr.open_group(url, mode="r")
        np.testing.assert_array_equal(found["means"][:], winner.transform(lazy).compute())
        assert found.attrs["dask_igtm"]["complete"]
