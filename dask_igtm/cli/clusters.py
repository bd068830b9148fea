"""Who computes a command: threads of this process, worker processes here, or a cluster elsewhere."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import signal
from collections.abc import Iterator
from typing import Any

import click

from dask_igtm.cli.base import DEBUG, hushed

PATIENCE = 10  # seconds, for a scheduler to say that it is one


@contextlib.contextmanager
def computing(scheduler: str | None, workers: int | None) -> Iterator[None]:
    """Compute by a scheduler somewhere, or by worker processes here, or else by threads."""
    if scheduler is not None and workers:
        raise click.UsageError("Give --scheduler or --workers, not both.")
    if scheduler is None and not workers:
        yield
        return
    from distributed import Client

    with contextlib.ExitStack() as stack:
        stack.enter_context(hushed(click.get_current_context().meta[DEBUG]))
        if workers:
            scheduler = stack.enter_context(_local_cluster(workers)).scheduler_address
        else:
            _check_scheduler(scheduler)
        client = stack.enter_context(Client(scheduler))
        logging.getLogger("dask_igtm").info("dashboard at %s", client.dashboard_link)
        with _losses_told(client):
            yield


def _local_cluster(n_workers: int) -> Any:
    import multiprocessing

    from dask.system import CPU_COUNT
    from distributed import LocalCluster

    threads = max(1, CPU_COUNT // n_workers)
    # A terminal sends Ctrl-C to the workers too; they are not to die of it, but to be closed.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        multiprocessing.Lock()  # which every process needs, and none says that it cannot have
        return LocalCluster(n_workers=n_workers, threads_per_worker=threads, dashboard_address=":0")
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"No worker processes can be started here: {str(error).rstrip('.')}. They need shared memory "
            "(/dev/shm), a folder for temporary files (TMPDIR) and some 30 open files each (ulimit -n). "
            "Without --workers, threads of this process compute."
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _losses_told(client: Any) -> Iterator[None]:
    """Say that the scheduler was lost, of which Dask tells as of a key that was cancelled."""
    try:
        yield
    except (concurrent.futures.CancelledError, asyncio.CancelledError) as error:
        lost = ConnectionError(
            f"The scheduler at {client.scheduler.address} was lost: {getattr(error, 'reason', error)}."
        )
        for note in getattr(error, "__notes__", ()):
            lost.add_note(note)
        raise lost from error


def _check_scheduler(address: Any) -> None:
    """Raise ConnectionError unless a scheduler answers soon; where nothing is said, a Client never ends."""
    try:
        kind = asyncio.run(asyncio.wait_for(_kind_of(address), PATIENCE))
        why = f"a {kind} does"
    except TimeoutError:
        kind, why = None, f"nobody does within {PATIENCE} s"
    except Exception as error:  # noqa: BLE001 - distributed raises what it likes of addresses
        kind, why = None, str(error)
    if kind != "Scheduler":
        raise ConnectionError(
            f"No Dask scheduler answers at {address!r}: {why}; give --scheduler the address of one that "
            "runs, such as tcp://host:8786."
        )


async def _kind_of(address: str) -> str:
    from distributed import rpc
    from distributed.security import Security

    arguments = Security().get_connection_args("client")
    async with rpc(address, connection_args=arguments) as server:
        return str((await server.identity())["type"])
