"""A scheduler and workers as processes of their own on this machine, to be broken by tests."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client

HERE = {"PYTHONPATH": str(Path(__file__).parents[1])}  # where workers find `slowed`


def slowed(block):
    """Return a block, but not at once."""
    time.sleep(0.02)
    return block


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster:
    """`dask scheduler` and `dask worker`; a worker runs under a nanny, which replaces it when it dies."""

    def __init__(self, folder, memory_limit="1GiB"):
        self.folder, self.memory_limit = Path(folder), memory_limit
        self.port = free_port()
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = None
        self.workers = []

    def start(self, *arguments, env=None):
        command = [sys.executable, "-m", "dask", *map(str, arguments)]
        options = {"env": os.environ | HERE | (env or {}), "cwd": self.folder}
        # A session of its own, so that a worker dies with its nanny.
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options)

    def start_scheduler(self):
        # Even without a dashboard it serves pages, on a port that other tests need.
        pages = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", self.port, *pages)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.scheduler.poll() is None, self.log()
            time.sleep(0.1)
        raise TimeoutError(self.log())

    def start_workers(self, count, nthreads=1, env=None):
        options = ["--host", "127.0.0.1", "--nthreads", nthreads, "--no-dashboard"]
        options += ["--local-directory", self.folder, "--memory-limit", self.memory_limit]
        self.workers += [self.start("worker", self.address, *options, env=env) for _ in range(count)]

    def client(self, n_workers=0, **kwargs):
        client = Client(self.address, **kwargs)
        if n_workers:
            client.wait_for_workers(n_workers, timeout=60)
        return client

    def kill_workers(self):
        """Take all workers away, nannies and all."""
        for worker in self.workers:
            end(worker)
        self.workers.clear()

    def kill_scheduler(self):
        end(self.scheduler)

    def log(self):
        return (self.folder / "log").read_text()

    def stop(self):
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                end(process)


def end(process):
    """SIGKILL a process that was started here, and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@contextlib.contextmanager
def running(folder, n_workers=2, nthreads=1, **kwargs):
    """A cluster that has started, and is stopped in the end."""
    cluster = Cluster(folder, **kwargs)
    try:
        cluster.start_scheduler()
        cluster.start_workers(n_workers, nthreads)
        yield cluster
    finally:
        cluster.stop()


def worker_pids(client):
    """Process ids of the workers, without their nannies."""
    return sorted(client.run(os.getpid).values())
