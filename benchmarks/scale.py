"""Measure what an iteration costs by row, byte and task, and extrapolate to a large cluster.

python benchmarks/scale.py [--tiny]
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster

from dask_igtm import eIGTM
from dask_igtm.data.opened_files import Hdf5Rows
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.model.model import Model
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import FAN_IN, folds_per_task, reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.statistics.e_step import e_step

COLUMNS, FUNCTIONS, HEIGHT = 50, 17, 10_000


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median time of a call; the first one does not count."""

    def once() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return statistics.median([once() for _ in range(1 + repeats)][1:])


def workers(n_workers: int) -> LocalCluster:
    """Return that many processes of one thread each."""
    return LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=None)


def by_workers(folder: Path, model: Model, n_rows: int, repeats: int, counts: tuple[int, ...]) -> None:
    """Print iterations per second on so many workers."""
    path = folder / "x"
    stored = zarr.create_array(path, shape=(n_rows, COLUMNS), chunks=(HEIGHT, COLUMNS), dtype="f4")
    stored[...] = np.random.default_rng(0).normal(size=(n_rows, COLUMNS))
    print(f"\n| workers | iterations per second, {n_rows:,} x {COLUMNS} float32 in Zarr |\n| --- | --- |")
    for n_workers in counts:
        with workers(n_workers) as cluster, Client(cluster):
            source = prepare(row_blocks(path))
            shared = (e_step, model, best_kernel())
            pass_ = median_seconds(lambda: reduce(source, *shared, label="igtm-estep"), repeats)  # noqa: B023
        print(f"| {n_workers} | {1 / pass_:.2f} |", flush=True)


def row_cost(model: Model, repeats: int) -> float:
    """Seconds of one thread for the E-step of one row."""
    X = np.random.default_rng(0).normal(size=(HEIGHT, COLUMNS)).astype("f4")
    with single_threaded_blas:
        return median_seconds(lambda: e_step(X, None, model, best_kernel()), 5 * repeats) / HEIGHT


def byte_cost(folder: Path, repeats: int) -> float:
    """Seconds of one thread to read a byte of a chunk that the disk cache holds."""
    stored = zarr.open_array(folder / "x", mode="r")
    return median_seconds(lambda: stored[:HEIGHT], 5 * repeats) / (4 * HEIGHT * COLUMNS)


def nothing(X: np.ndarray, sample_weight: None, n_nodes: int) -> SufficientStatistics:  # noqa: ARG001
    """Return sums of the right size at no cost."""
    return SufficientStatistics(np.zeros(n_nodes), np.zeros((FUNCTIONS, COLUMNS)), 0.0, 0.0, 0.0)


def empty(block_info: object = None) -> np.ndarray:  # noqa: ARG001
    """Rows that take neither memory nor time."""
    return np.broadcast_to(np.zeros(1, "f4"), (HEIGHT, COLUMNS))


class EmptyStore(Hdf5Rows):
    """A store that is read at once."""

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        """Return rows that take neither memory nor time."""
        return np.broadcast_to(np.zeros(1, "f4"), (index[0].stop - index[0].start, COLUMNS))


def tasks(n_blocks: int) -> da.Array:
    """Return that many chunks, each of them a task."""
    chunks = ((HEIGHT,) * n_blocks, (COLUMNS,))
    return da.map_blocks(empty, chunks=chunks, dtype="f4", meta=np.empty((0, 0), "f4"))


def store(n_blocks: int) -> EmptyStore:
    """Return that many chunks of a store."""
    return EmptyStore("", "", (n_blocks * HEIGHT, COLUMNS), np.dtype("f4"), (HEIGHT, COLUMNS))


def pass_cost(
    X: da.Array | EmptyStore, n_blocks: int, blocks_per_fold: int | None, repeats: int
) -> tuple[float, int]:
    """Seconds of a pass over blocks of empty work on the workers, and its number of tasks."""
    source = prepare(row_blocks(X, n_blocks=n_blocks), blocks_per_fold)
    leaves = math.ceil(len(source.folds) / folds_per_task(source))
    pass_ = median_seconds(lambda: reduce(source, nothing, 256, label="igtm-estep"), repeats)
    return pass_, leaves + leaves // (FAN_IN - 1)


def task_cost(n_blocks: int, repeats: int) -> tuple[float, float]:
    """Seconds that a task costs the scheduler, and a block the two processes, from folds of two sizes.

    There are not so many folds that a task would walk several.
    """
    many, n_many = pass_cost(tasks(n_blocks), n_blocks, 40, repeats)
    few, n_few = pass_cost(tasks(n_blocks), n_blocks, 320, repeats)
    per_task = (many - few) / (n_many - n_few)
    return per_task, (few - n_few * per_task) / n_blocks


def main() -> None:
    """Print the costs and what they make of 10^9 rows on 32 workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="small sizes, once")
    tiny = parser.parse_args().tiny
    repeats = 1 if tiny else 5
    model = eIGTM(niter=2, tol=0).fit(np.random.default_rng(0).normal(size=(5000, COLUMNS))).model_
    with tempfile.TemporaryDirectory() as folder:
        counts = (1, 2) if tiny else (1, 2, 4)
        by_workers(Path(folder), model, 40_000 if tiny else 1_000_000, repeats, counts)
        per_row, per_byte = row_cost(model, repeats), byte_cost(Path(folder), repeats)
    with workers(2) as cluster, Client(cluster):
        per_task, per_block = task_cost(256 if tiny else 10_000, repeats)
        print(
            f"\nper row {1e6 * per_row:.2f} us, per byte {1e9 * per_byte:.2f} ns, "
            f"per task {1e3 * per_task:.2f} ms, per block {1e3 * per_block:.3f} ms"
        )
        n_blocks = 300 if tiny else 100_000
        for what, X in (("tasks", tasks(n_blocks)), ("parts of a store", store(n_blocks))):
            scheduling, n_tasks = pass_cost(X, n_blocks, None, 1 if tiny else 3)
            print(
                f"{n_blocks:,} blocks of empty work, {what}, in {n_tasks:,} tasks on 2 processes: "
                f"{scheduling:.2f} s a pass",
                flush=True,
            )
    n_rows, n_workers = 10**9, 32
    arithmetic, reading = n_rows * per_row / n_workers, n_rows * COLUMNS * 4 * per_byte / n_workers
    print(
        f"10^9 x {COLUMNS} float32 on {n_workers} workers of one thread: {arithmetic:.1f} s of arithmetic, "
        f"{reading:.1f} s of reading, and at most {scheduling:.1f} s of scheduling beside them, an iteration"
    )


if __name__ == "__main__":
    main()
