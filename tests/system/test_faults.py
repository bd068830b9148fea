"""Every fault is caused for real, and the bits are those of an undisturbed run."""

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.cluster import HERE, end, running, slowed, worker_pids
from helpers.data import correlated

from dask_igtm import IGTM, IGTMAtlas, load

pytestmark = [
    pytest.mark.slow,
    # What distributed says of broken connections, while it deals with them.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

N_ROWS, HEIGHT, NITER = 96_000, 1000, 4
PHASES = ("moments", "EM", "likelihood", "projection")
REPEATS = int(os.environ.get("FAULT_REPEATS", "1"))  # of each phase, at other moments


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    target = tmp_path_factory.mktemp("data") / "x.zarr"
    zarr.create_array(target, data=correlated(N_ROWS, 20), chunks=(HEIGHT, 20))
    return str(target)


def data(path):
    """96 blocks of 20 ms, so that a pass takes a second on two workers."""
    return da.from_zarr(path).map_blocks(slowed, dtype=float, meta=np.empty((0, 0)))


def estimator(**changed):
    return IGTM(**({"k": 8, "m": 3, "niter": NITER, "tol": 0, "solver": "em", "persist": False} | changed))


def bits(igtm, group):
    arrays = (igtm.centers_, igtm.history_, *(group[name][:] for name in sorted(group.array_keys())))
    return [array.tobytes() for array in arrays] + [igtm.beta_inv_, igtm.log_likelihood_]


@pytest.fixture(scope="module")
def undisturbed(path, tmp_path_factory):
    target = tmp_path_factory.mktemp("undisturbed") / "map.zarr"
    with dask.config.set(scheduler="synchronous"):
        igtm = estimator().fit(path_as_blocks(path))
        return bits(igtm, igtm.project_to_zarr(path_as_blocks(path), target))


def path_as_blocks(path):
    return da.from_zarr(path)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@contextlib.contextmanager
def at_iteration(number, action):
    """Do something once an iteration is over; 0 is the start."""

    class Listener(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith(f"iteration {number:4d}"):
                action()

    listener, logger = Listener(), logging.getLogger("dask_igtm")
    before = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    if number == 0:
        action()
    try:
        yield
    finally:
        logger.removeHandler(listener)
        logger.setLevel(before)


@pytest.mark.parametrize("repeat", range(REPEATS))
@pytest.mark.parametrize("phase", PHASES)
def test_a_worker_dies(path, cluster, undisturbed, tmp_path, phase, repeat):
    chance = random.Random(f"{phase} {repeat}")
    with cluster.client(2) as client:
        victim = chance.choice(worker_pids(client))
        delay = chance.uniform(0.05, 0.9)
        killer = threading.Timer(delay, os.kill, (victim, signal.SIGKILL))
        after = {"moments": 0, "EM": chance.randrange(1, NITER), "likelihood": NITER}.get(phase)
        with at_iteration(-1 if after is None else after, killer.start):
            igtm = estimator().fit(data(path))
        if phase == "projection":
            killer.start()
        group = igtm.project_to_zarr(data(path), tmp_path / "map.zarr")
        killer.join()
        assert not alive(victim)
        assert bits(igtm, group) == undisturbed


def alive(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_all_workers_go_and_come_back(path, undisturbed, tmp_path):
    with running(tmp_path) as cluster, cluster.client(2):

        def absence():
            cluster.kill_workers()
            time.sleep(30)
            cluster.start_workers(2)

        gone = threading.Thread(target=absence)
        with at_iteration(2, gone.start):
            igtm = estimator().fit(data(path))
        group = igtm.project_to_zarr(data(path), tmp_path / "map.zarr")
        gone.join()
        assert bits(igtm, group) == undisturbed


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_the_scheduler_dies_and_the_fit_goes_on_from_its_checkpoint(path, tmp_path, solver, undisturbed):
    niter = {"em": NITER, "accelerated": 14}[solver]
    cut = niter - 2
    igtm = estimator(solver=solver, niter=niter)
    with running(tmp_path) as cluster, cluster.client(2):
        died = []

        def kill():
            died.append(time.monotonic())
            cluster.kill_scheduler()

        with at_iteration(cut, threading.Timer(0.3, kill).start), pytest.raises(Exception) as caught:  # noqa: PT011
            igtm.fit(data(path), checkpoint=tmp_path / "fit.npz")
        assert time.monotonic() - died[0] < 30
        assert any("fit.npz" in note and "fit again" in note for note in caught.value.__notes__)
    (tmp_path / "again").mkdir()
    with running(tmp_path / "again") as cluster, cluster.client(2), no_iteration_up_to(cut):
        igtm.fit(data(path), checkpoint=tmp_path / "fit.npz")
        group = igtm.project_to_zarr(data(path), tmp_path / "map.zarr")
    if solver == "accelerated":
        undisturbed = whole(path, tmp_path, solver=solver, niter=niter)
    assert bits(igtm, group) == undisturbed


def whole(path, tmp_path, **changed):
    igtm = estimator(**changed).fit(path_as_blocks(path))
    return bits(igtm, igtm.project_to_zarr(path_as_blocks(path), tmp_path / "whole.zarr"))


@contextlib.contextmanager
def no_iteration_up_to(number):
    seen = []
    with contextlib.ExitStack() as stack:
        for n in range(1, number + 1):
            stack.enter_context(at_iteration(n, lambda n=n: seen.append(n)))
        yield
    assert not seen


DRIVER = """
import logging, sys, time
import dask.array as da
import numpy as np
from distributed import Client
from system.test_faults import data, estimator
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
logging.getLogger("distributed").setLevel(logging.CRITICAL)
address, path, folder = sys.argv[1:]
with Client(address):
    igtm = estimator().fit(data(path), checkpoint=f"{folder}/fit.npz")
    print("fitted", flush=True)
    igtm.project_to_zarr(data(path), f"{folder}/map.zarr")
    igtm.save(f"{folder}/model.npz")
    print("done", flush=True)
"""


@pytest.mark.parametrize(("line", "delay"), [("iteration    2", 0.3), ("projecting to", 0.5)])
def test_the_driver_dies_and_a_rerun_goes_on(path, cluster, undisturbed, tmp_path, line, delay):
    command = [sys.executable, "-c", DRIVER, cluster.address, path, str(tmp_path)]
    environment = os.environ | HERE | {"PYTHONUNBUFFERED": "1"}

    def start():
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )

    first = start()
    for said in first.stdout:
        if said.startswith(line):
            break
    time.sleep(delay)
    end(first)
    second = start()
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert "iteration    1" not in output
    if line.startswith("projecting"):
        assert "iteration" not in output.replace("after iteration", "")
        assert f"{96 // 3} of" not in output  # some parts were there
    group = zarr.open_group(tmp_path / "map.zarr", mode="r")
    assert group.attrs["dask_igtm"]["complete"] is True
    assert bits(load(tmp_path / "model.npz"), group) == undisturbed


@pytest.mark.parametrize(("n_workers", "nthreads"), [(1, 1), (1, 4), (2, 1), (4, 1)])
def test_any_number_of_workers(path, undisturbed, tmp_path, n_workers, nthreads):
    with running(tmp_path, n_workers, nthreads) as cluster, cluster.client(n_workers):
        igtm = estimator().fit(path_as_blocks(path))
        group = igtm.project_to_zarr(path_as_blocks(path), tmp_path / "map.zarr")
    assert bits(igtm, group) == undisturbed


def of_atlas(atlas):
    """Return all bits of an atlas."""
    arrays = [(m.centers_.tobytes(), m.history_.tobytes(), m.beta_inv_) for m in atlas.maps_]
    return arrays, [own.shares.tobytes() for own in atlas.tree_.maps], repr(atlas.trials_)


@pytest.mark.parametrize("persist", [True, False])
def test_a_worker_killed_between_the_levels_of_an_atlas(path, cluster, persist, caplog):
    def grow(X, *callbacks):
        atlas = IGTMAtlas(estimator(persist=persist, niter=2), n_regions=2, min_samples=1000)
        return atlas.fit(X[:24_000], callbacks=callbacks)

    with dask.config.set(scheduler="synchronous"):
        undisturbed = grow(path_as_blocks(path))
    assert len(undisturbed.tree_) > 1
    killed = []

    class Listener(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("level "):
                killed.append(worker_pids(client)[0])
                os.kill(killed[-1], signal.SIGKILL)

    listener, log = Listener(), logging.getLogger("dask_igtm")
    caplog.set_level(logging.INFO, "dask_igtm")
    with cluster.client(2) as client:
        log.addHandler(listener)
        try:
            found = grow(data(path))
        finally:
            log.removeHandler(listener)
        assert len(killed) == max(name.count("/") for name in (t.name for t in found.trials_))
    assert of_atlas(found) == of_atlas(undisturbed)
