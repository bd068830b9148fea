"""Workers of this machine that come and go while something is computed."""

import contextlib
import threading
import time

from distributed import Client, LocalCluster


@contextlib.contextmanager
def elastic():
    """A cluster that has up to three processes while there is work, and none at first."""
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=None) as cluster:
        cluster.adapt(minimum=0, maximum=3, interval="100ms", wait_count=1)
        with Client(cluster):
            yield


@contextlib.contextmanager
def unsettled(cluster, client, delay):
    """Kill a worker while it starts, one as soon as it is there, and one some time after that.

    Dask gives a block up that has lost four workers.
    """

    cluster.kill_workers()  # before there is work, so that it does not count

    def unsettle():
        cluster.start_workers(1)
        time.sleep(delay)
        for wait in (0, delay):
            cluster.kill_workers()
            cluster.start_workers(1)
            client.wait_for_workers(1, timeout=60)
            time.sleep(wait)
        cluster.kill_workers()
        time.sleep(delay)
        cluster.start_workers(2)

    thread = threading.Thread(target=unsettle)
    thread.start()
    try:
        yield
    finally:
        thread.join()
