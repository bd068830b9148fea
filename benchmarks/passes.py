"""Show where the time of a pass goes, on one thread, beside the least that this machine could take for it.

    python benchmarks/passes.py [--tiny] [--repeats N]

Each stage of the E-step of one block is timed by itself, tile by tile in buffers that stay in cache, then all
of it; "the rest" is the difference. A cell has microseconds a row, measured / at least. The least is that of
the bytes that come from memory, at the speed of a large copy, or of the multiplications and additions, at the
speed of a product of two matrices of 1,000 x 1,000, whichever is more.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import dask
import numpy as np
from run import KINDS, Kind
from timing import Size, processor, seconds

from dask_igtm import eIGTM
from dask_igtm.data.convert import convert
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.model.model import Model
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.posterior.geometry import geometry_of
from dask_igtm.posterior.kernels import best_kernel, load_kernel
from dask_igtm.posterior.posterior import (
    SINGLE_ERROR,
    Observed,
    Scores,
    Workspace,
    _height,
    weighted_sum,
)
from dask_igtm.posterior.tiles import row_tiles
from dask_igtm.statistics.e_step import e_step

COLUMNS = {50: 40_000, 300: 20_000, 2000: 4_000}  # and how many rows of them
GRAPH_ROWS = 200_000
# Of a fused multiply and add a lane: the polynomial of 2^x, and what else is done to an exponential.
EXP_STEPS = {"float64": 10 + 10, "float32": 5 + 10}


@dataclass(frozen=True)
class Machine:
    """What one thread can do in a second: bytes moved, and multiplications and additions by precision."""

    bytes: float
    operations: dict[str, float]

    @staticmethod
    def measured(tiny: bool) -> Machine:
        """Measure this one."""
        a = np.ones(2**22 if tiny else 2**26)
        b = np.empty_like(a)
        copied = 2 * a.nbytes / min(seconds(lambda: np.copyto(b, a)) for _ in range(7))
        n, operations = 1000, {}
        for dtype in EXP_STEPS:
            c = np.ones((n, n), dtype)
            out = np.empty_like(c)
            operations[dtype] = 2 * n**3 / min(seconds(lambda: np.matmul(c, c, out=out)) for _ in range(7))  # noqa: B023
        return Machine(copied, operations)

    def least(self, dtype: str, n_bytes: float = 0, operations: float = 0) -> float:
        """Return the least seconds for so many bytes and operations."""
        return max(n_bytes / self.bytes, operations / self.operations[dtype])


class Stages:
    """The stages of the E-step of one block, each by itself."""

    def __init__(self, X: np.ndarray, model: Model) -> None:
        self.X, self.model, self.geometry = X, model, geometry_of(model, X.dtype.type)
        kernel = load_kernel(best_kernel())
        height = _height(self.geometry, kernel, len(X), X.shape[1])
        self.workspace = Workspace(model, kernel, self.geometry, height)
        self.weight = np.ones(height, X.dtype)
        self.tiles = [self._tile(where, tile) for where, tile in row_tiles(X, height)]

    def _tile(self, where: slice, X: np.ndarray) -> tuple[Observed, np.ndarray, tuple[object, ...]]:
        """Return a tile as each stage finds it; rows in model coordinates are in one buffer for all tiles."""
        observed = self.workspace.observe(where, X)
        if self.workspace.error(observed) > SINGLE_ERROR and X.dtype == np.float32:
            raise RuntimeError("Rows of float32 are multiplied in float64 here; there is no such table.")
        t = self.workspace._meet(observed)
        return observed, t.copy(), self.workspace.kernel.sums(t, self.weight[: len(t)])

    def coordinates(self) -> None:
        """Take the rows to model coordinates."""
        for observed, _, _ in self.tiles:
            self.workspace.forward(self.X[observed.rows], self.model.affine, observed.Z)

    def products(self) -> None:
        """Multiply them by the slopes."""
        for observed, t, _ in self.tiles:
            self.workspace.kernel.meet(observed.Z, self.workspace.t[: len(t)])

    def order(self) -> None:
        """Put the rows in the order of the map where that pays."""
        for _, t, _ in self.tiles:
            self.workspace.kernel._order(t, None)

    def sweep(self) -> None:
        """Make logits, exponentials, and sums of these by the functions of the map."""
        for _, t, _ in self.tiles:
            self.workspace.kernel.sums(t, self.weight[: len(t)])

    def sums(self) -> None:
        """Multiply those by the rows."""
        for observed, _, (_, v, *_) in self.tiles:
            self.workspace.kernel.add_up(v, observed.Z)

    def scores(self) -> None:
        """Work out likelihoods and distances, and add them up."""
        for observed, _, (found, *_) in self.tiles:
            scores = Scores(observed, found, self.model)
            for values in (scores.distance, scores.log_likelihood, scores.log_mass):
                weighted_sum(values, None)

    def whole(self) -> None:
        """Do the E-step."""
        e_step(self.X, None, self.model, best_kernel())


def medians(stages: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the seconds of each stage, of rounds in which each has its turn; the first does not count."""
    rounds = [[seconds(stage) for stage in stages.values()] for _ in range(1 + repeats)][1:]
    return dict(zip(stages, map(statistics.median, zip(*rounds, strict=True)), strict=True))


def reading_time(X: np.ndarray, repeats: int) -> float:
    """Return the seconds to read the rows from Zarr as `convert` writes it, in the disk cache."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", X)
        stored = convert(f"{folder}/x.npy", f"{folder}/x.zarr")
        starts = range(0, len(X), stored.chunks[0])

        def read() -> None:
            for start in starts:
                stored[start : start + stored.chunks[0]]

        return medians({"": read}, repeats)[""]


def nothing(X: np.ndarray, sample_weight: None, n_nodes: int, n_functions: int) -> SufficientStatistics:  # noqa: ARG001
    """Return sums of the right size at no cost."""
    return SufficientStatistics(np.zeros(n_nodes), np.zeros((n_functions, X.shape[1])), 0.0, 0.0, 0.0)


def graph_time(dtype: str, n_columns: int, sizes: tuple[int, int], repeats: int) -> float:
    """Return the seconds a row of a pass over blocks of 5,000 rows that does nothing with them."""
    X = np.broadcast_to(np.zeros(1, dtype), (GRAPH_ROWS, n_columns))  # takes no memory
    source = prepare(row_blocks(X))
    with dask.config.set(scheduler="synchronous"):
        times = medians({"": lambda: reduce(source, nothing, *sizes, label="igtm-estep")}, repeats)
    return times[""] / GRAPH_ROWS


def table(kind: Kind, n_columns: int, dtype: str, machine: Machine, size: Size) -> dict[str, str]:
    """Return the cells of one column of the table."""
    X = kind.make(COLUMNS[n_columns] // (10 if size.tiny else 1), n_columns)
    model = eIGTM(niter=kind.niter, tol=0).fit(X).model_
    X = X.astype(dtype)
    stages = Stages(X, model)
    names = ["coordinates", "products", "order", "sweep", "sums", "scores", "whole"]
    with single_threaded_blas:
        times = medians({name: getattr(stages, name) for name in names}, size.repeats)
    order = times.pop("order")
    times["sweep"] -= order  # which is a part of it
    whole = times.pop("whole")
    rest = whole - sum(times.values()) - order
    k, q = stages.geometry.axis.shape
    n_nodes, n_functions, width = k * k, q * q + 1, X.itemsize * n_columns
    to_nodes = k * q * q + n_nodes * (q + 1)
    sweep = 2 * (2 * to_nodes + n_nodes * (2 + EXP_STEPS[dtype]))
    product = machine.least(dtype, 0, 2 * n_columns * n_functions)
    least = {
        "coordinates": max(machine.least(dtype, width), machine.least("float64", 0, 6 * n_columns)),
        "products": product,
        # Of exponentials that are 0 none is worked out, and how many these are nobody counted.
        "sweep": np.nan if len(stages.geometry.cells) else machine.least(dtype, 0, sweep),
        "sums": product,
    }
    n = len(X)
    return {
        "rows to model coordinates": cell(times["coordinates"] / n, least["coordinates"]),
        "products with the slopes": cell(times["products"] / n, least["products"]),
        "order of the map": cell(order / n),
        "sweep: logits, exponentials, sums by functions": cell(times["sweep"] / n, least["sweep"]),
        "products of those sums with the rows": cell(times["sums"] / n, least["sums"]),
        "likelihoods and distances": cell(times["scores"] / n),
        "the rest": cell(rest / n),
        "**E-step of a block**": cell(whole / n, sum(least.values())),
        "graph and tree, a block of 5,000 rows a task": cell(
            graph_time(dtype, n_columns, (n_nodes, n_functions), size.repeats)
        ),
        "reading from Zarr": cell(reading_time(X, size.repeats) / n, machine.least(dtype, width)),
    }


def cell(measured: float, least: float = np.nan) -> str:
    """Write seconds a row in microseconds."""
    return f"{1e6 * measured:.3f} / {'-' if np.isnan(least) else f'{1e6 * least:.3f}'}"


def tables(machine: Machine, size: Size) -> Iterator[str]:
    """Yield the lines of a table for each kind of rows."""
    for kind in KINDS:
        columns = {
            f"{n_columns:,} x {dtype}": table(kind, n_columns, dtype, machine, size)
            for n_columns in COLUMNS
            for dtype in EXP_STEPS
        }
        title = kind.suffix.removeprefix(", ") or "Gaussian rows"
        yield f"\n| {title} | {' | '.join(columns)} |"
        yield "| --- |" + " --- |" * len(columns)
        for name in next(iter(columns.values())):
            yield f"| {name} | {' | '.join(cells[name] for cells in columns.values())} |"


def main() -> None:
    """Measure the machine, then the stages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="a tenth of the rows, once")
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    if best_kernel() != "numba":
        sys.exit("The stages are those of the compiled kernel; install numba.")
    size = Size(1 if arguments.tiny else arguments.repeats, arguments.tiny)
    with single_threaded_blas:
        machine = Machine.measured(arguments.tiny)
    speeds = ", ".join(
        f"{1e-9 * speed:.1f} GFLOP/s in {dtype}" for dtype, speed in machine.operations.items()
    )
    print(
        f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}, numpy {np.__version__}"
    )
    print(f"One thread: a copy reads and writes {1e-9 * machine.bytes:.1f} GB/s, a product does {speeds}.")
    for line in tables(machine, size):
        print(line, flush=True)


if __name__ == "__main__":
    main()
