"""Who computes lazy data, and what they can keep in memory meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass

import dask
import dask.local
import dask.threaded
from dask.system import CPU_COUNT
from distributed.system import MEMORY_LIMIT

from dask_igtm.inputs import RowBlocks, planned, row_bytes


@dataclass(frozen=True)
class Workers:
    """Who would compute lazy data now: how many threads, with how much memory for blocks, in bytes."""

    n_threads: int
    memory: int


def workers() -> Workers:
    """Ask the scheduler that Dask would take now."""
    get = dask.base.get_scheduler()
    client = getattr(get, "__self__", None)
    if client is not None and hasattr(client, "scheduler_info"):
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        memory = sum(worker["memory_limit"] or 0 for worker in known)
        return Workers(sum(worker["nthreads"] for worker in known), memory)
    n_threads = dask.config.get("num_workers", None) or CPU_COUNT
    if get is dask.local.get_sync:
        return Workers(1, MEMORY_LIMIT)
    # Processes hand every block back to the driver, which would send it out again in each pass.
    return Workers(n_threads, MEMORY_LIMIT if get in (None, dask.threaded.get) else 0)


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
    if rows.in_memory or persist != "auto":
        return bool(persist) and not rows.in_memory
    n_bytes = rows.X.shape[0] * row_bytes(rows.X)
    return not math.isnan(n_bytes) and n_bytes <= workers().memory / 2
