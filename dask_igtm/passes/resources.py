"""Who computes a pass, with what memory and how many threads of BLAS."""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dask
import dask.local
import dask.threaded
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT
from threadpoolctl import ThreadpoolController

from dask_igtm._version import __version__
from dask_igtm.data.planning import planned
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.model.forks import after_fork

logger = logging.getLogger("dask_igtm")

MEMORY_HERE = MEMORY_LIMIT  # bytes that this process may take
PATIENCE = 10.0  # seconds after which a wait for workers is told of


def scheduler_for(in_memory: bool) -> dict[str, str]:
    """Scheduler of a compute: the user's choice, except that arrays in memory stay in this process.

    Raises
    ------
    RuntimeError
        If that is an asynchronous client, in its own event loop.
    """
    if not in_memory:
        _scheduler()
        return {}
    chosen = dask.config.get("scheduler", None)
    synchronous = chosen in ("sync", "synchronous", "single-threaded")
    return {"scheduler": "synchronous" if synchronous else "threads"}


@dataclass(frozen=True)
class Workers:
    """Who would compute lazy data now: how many threads, with how much memory for blocks, in bytes."""

    n_threads: int
    memory: int


def workers() -> Workers:
    """Ask the scheduler that Dask would take now; of a cluster there may be no workers yet."""
    get = _scheduler()
    client = _client_of(get)
    if client is not None:
        # Not scheduler_info, which a heartbeat may empty of its workers meanwhile.
        known = client.sync(client.scheduler.identity, n_workers=-1)["workers"].values()
        memory = sum(worker["memory_limit"] or 0 for worker in known)
        return Workers(sum(worker["nthreads"] for worker in known), memory)
    n_threads = dask.config.get("num_workers", None) or CPU_COUNT
    if get is dask.local.get_sync:
        return Workers(1, MEMORY_LIMIT)
    # Processes hand every block back to the driver, which would send it out again in each pass.
    return Workers(n_threads, MEMORY_LIMIT if get in (None, dask.threaded.get) else 0)


def _scheduler() -> Any:
    """Return what Dask would compute by now, and say what to do where nobody could wait for it."""
    try:
        return dask.base.get_scheduler()
    except RuntimeError as error:
        if "asynchronous" not in str(error):
            raise
        raise RuntimeError(
            "Lazy data would be computed by an asynchronous client of Dask, whose event loop stands still "
            "while it is waited for here. Call this in a thread, as `await asyncio.to_thread(igtm.fit, X)`, "
            "or give Dask a client that is not asynchronous."
        ) from error


def _client_of(get: Any) -> Any:
    """Return the client of a cluster whose `get` that is, if it is one's."""
    client = getattr(get, "__self__", None)
    return client if hasattr(client, "scheduler_info") else None


@contextlib.contextmanager
def telling_of_a_wait(in_memory: bool) -> Iterator[None]:
    """Say so, once, where a cluster has had no workers for some time, and a compute waits for them."""
    client = None if in_memory else _client_of(_scheduler())
    if client is None:
        yield
        return
    done = threading.Event()
    threading.Thread(target=_tell_of_a_wait, args=(client, done), daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _tell_of_a_wait(client: Any, done: threading.Event) -> None:
    with contextlib.suppress(Exception):  # of a client that ends; whoever waits for it hears of that
        while not done.wait(PATIENCE):
            if not client.nthreads():
                logger.warning(
                    "the cluster at %s has no workers, and is waited for; start some, or let waits end by "
                    "Dask's setting distributed.scheduler.no-workers-timeout",
                    client.scheduler.address,
                )
                return


def worth_keeping(rows: RowBlocks, persist: bool | str) -> bool:
    """Say whether the blocks of `rows` should stay in the workers' memory during a fit.

    Parameters
    ----------
    rows : RowBlocks
    persist : {"auto", True, False}
        "auto" keeps blocks of known size that fit in half of the workers' memory.
    """
    if planned(rows.X):
        return False  # its arrays cannot be made from a graph
    if rows.in_memory and rows.view is None:
        return False  # for it is kept by whoever gave it
    if persist != "auto":
        return bool(persist)
    n_bytes = rows.n_rows * (rows.row_bytes + (rows.view.row_bytes if rows.view else 0))
    memory = MEMORY_HERE if rows.in_memory else workers().memory
    return not math.isnan(n_bytes) and n_bytes <= memory / 2


def check_version(version: str) -> None:
    """Raise RuntimeError unless this process has the version of the driver."""
    if version != __version__:
        raise RuntimeError(
            f"The driver has dask_igtm {version}, and {socket.gethostname()} has {__version__}; install the "
            "same version on every worker."
        )


class SingleThreadedBlas:
    """Context manager that limits this process's BLAS to one thread, for tasks to enter.

    The limit is the process's: the first of several concurrent tasks sets it and the last one lifts it.
    One BLAS thread also keeps the bits of a product independent of who computes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._controller: ThreadpoolController | None = None
        self._limit: Any = None
        after_fork(self._renew)

    def _renew(self) -> None:
        """Forget the tasks of the parent, none of which will leave here."""
        self._lock = threading.Lock()
        if self._users:
            self._users = 1
            self.__exit__()

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._controller = self._controller or ThreadpoolController()
                self._let_any_thread_decide()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._let_any_thread_decide()
                self._limit.restore_original_limits()
                self._let_any_thread_decide()

    def _let_any_thread_decide(self) -> None:
        """Undo that threadpoolctl >= 3.8 heeds only the first thread that set a limit."""
        for library in self._controller.lib_controllers if self._controller else ():
            clear = getattr(library, "clear_controlling_thread", None)
            if clear is not None:
                clear(force=True)


single_threaded_blas = SingleThreadedBlas()


def renew_pools() -> None:
    """Let Dask make its threads anew: a pool of the parent has none here, and never ends what it is given."""
    dask.threaded.default_pool = None
    dask.threaded.pools.clear()
    dask.threaded.pools_lock = threading.Lock()


after_fork(renew_pools)
