"""A forked process works on, whatever threads of its parent were doing."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")

HEAD = """
import multiprocessing, threading
import dask.array as da, numpy as np
from threadpoolctl import threadpool_info
from dask_igtm import IGTM
from dask_igtm.model.remember import remembered
from dask_igtm.passes.resources import single_threaded_blas

X = np.random.default_rng(0).normal(size=(12000, 4)) * [3, 2, 1, 1]
lazy = da.from_array(X, chunks=(3000, -1))

def igtm():
    return IGTM(k=4, m=2, niter=2, tol=0, scale="center")

def in_child(function):
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(function()))
    child.start()
    child.join(30)
    hangs = child.is_alive()
    child.kill()
    assert not hangs, "the child hangs"
    return queue.get()
"""
FIT_AND_FORK = """
work = {
    "memory": lambda: igtm().fit(X).centers_.tobytes(),
    "lazy": lambda: igtm().fit(lazy).centers_.tobytes(),
    "positions": lambda: parent.transform(lazy)[::100].compute().tobytes(),
    "in a thread": lambda: in_thread(lambda: igtm().fit(X).centers_.tobytes()),
}

def in_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]

parent = igtm().fit(X)
for name, function in work.items():
    assert in_child(function) == function(), name
assert in_thread(lambda: (igtm().fit(X), in_child(work["memory"]))[1]) == work["memory"]()
"""
HELD_BY_THREADS = """
def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

working, go_on = threading.Event(), threading.Event()

@remembered
def slow(value):
    working.set()
    go_on.wait()
    return "slow"

class Value:
    pass

def within():
    with single_threaded_blas:
        slow(Value())

def child():
    free = blas_threads()
    go_on.set()
    with single_threaded_blas:
        limited = blas_threads()
    return free, limited, blas_threads(), slow(Value())

before = blas_threads()
thread = threading.Thread(target=within)
thread.start()
working.wait()
assert set(blas_threads()) == {1}
free, limited, after, found = in_child(child)
assert (free, set(limited), after, found) == (before, {1}, before, "slow"), (free, limited, after, found)
go_on.set()
thread.join()
assert blas_threads() == before
"""


@pytest.mark.parametrize("what", [FIT_AND_FORK, HELD_BY_THREADS], ids=["fits", "locks"])
def test_a_forked_process_works_on(what):
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + what],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "2"},
    )
    assert run.returncode == 0, run.stderr
