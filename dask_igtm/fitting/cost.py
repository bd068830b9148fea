"""A plan before the work: what a fit would read, hold and take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from dask_igtm.data.csr_rows import csr_of_parts
from dask_igtm.data.row_blocks import INDEX_BYTES, RowBlocks
from dask_igtm.fitting.fill_values import PASSES
from dask_igtm.fitting.map_size import check_rows, map_bytes
from dask_igtm.fitting.sampling import sampled_stages
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.wide_start import start_cost
from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import make_basis
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.model.model import Model
from dask_igtm.passes.resources import single_threaded_blas, workers, worth_keeping
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.posterior.posterior import TILE_BYTES
from dask_igtm.posterior.tiles import is_sparse
from dask_igtm.solvers.leading_axes import MOST_AXES, random_block, width_for
from dask_igtm.solvers.wide_spectrum import is_wide
from dask_igtm.statistics.covariance_images import wide_moments_of
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

TRIAL_ROWS, TRIAL_NUMBERS = 4096, 2**22  # of made-up rows, at most
# Passes until a fit stops by itself, medians over the data sets of benchmarks/solvers.py: of "sampled" those
# over all rows with the curvature, and how often it goes over its smaller and its larger sample.
TYPICAL = {"em": 170, "accelerated": 57, "sampled": 15}
TYPICAL_SEARCH, TYPICAL_POLISH = 240, 25


@dataclass(frozen=True)
class Estimate:
    """What a fit would cost at most.

    Attributes
    ----------
    n_passes : int
        Passes over the data if no iteration is saved: what fills gaps, the moments, the axes of wide rows,
        `niter` iterations, the likelihood.
    n_passes_typical : float
        Those after which fits of rows of many kinds have stopped by themselves, half of them sooner and half
        of them later; what is done on a sample counts as its share.
    bytes_read : int
        From storage; one pass where the blocks are kept in memory.
    bytes_per_thread : int
        Peak memory of one thread of a worker: its block, the buffers of its products, and its sums.
    bytes_kept : int
        What the blocks take in the workers' memory during the fit, all workers together.
    n_threads : int
        Threads that would share the work; 1 where a cluster has no workers yet.
    seconds : float
        Time of the arithmetic, from a timed tile of rows in this process. Reading comes on top.
    """

    n_passes: int
    n_passes_typical: float
    bytes_read: int
    bytes_per_thread: int
    bytes_kept: int
    n_threads: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.n_passes_typical:.0f} passes as a rule, at most {self.n_passes} passes, "
            f"{_size(self.bytes_read)} read, "
            f"{_size(self.bytes_per_thread)} for each of {self.n_threads} threads, "
            f"{_size(self.bytes_kept)} kept in memory, {self.seconds:.3g} s of arithmetic"
        )


def estimate(rows: RowBlocks, settings: Settings, *, persist: bool | str) -> Estimate:
    """Plan a fit of `rows`, of known sizes, from their shape and from the time of made-up rows.

    It looks at who would compute now, and reads none of the rows.
    """
    check_rows(settings, rows)
    n_rows, n_columns = rows.X.shape
    k, m = settings.sides(n_rows)
    n_threads = CPU_COUNT if rows.in_memory else max(1, workers().n_threads)  # some worker has to come
    kept = worth_keeping(rows, persist)
    total = n_rows * rows.row_bytes
    noise = settings.family
    others = 2 + PASSES.get(settings.missing, 0) + noise.natural + noise.exposed
    start_passes, most_start_passes, start_bytes = start_cost(n_columns, settings)
    n_passes, typical = settings.niter + others + most_start_passes, float(TYPICAL[settings.solver])
    stages = sampled_stages(rows, settings)
    if settings.solver == "sampled":
        typical = TYPICAL["accelerated"]
    if stages:
        on_sample = TYPICAL_SEARCH * stages.search.stop + TYPICAL_POLISH * stages.polish.stop
        typical = TYPICAL["sampled"] + on_sample / n_rows
    per_block = max(rows.X.chunks[0]) * rows.row_bytes
    buffers = 2 * TILE_BYTES + map_bytes(k, m, n_columns) + start_bytes
    per_row, first = _seconds_a_row(rows, k, m, settings)
    return Estimate(
        n_passes=n_passes,
        n_passes_typical=min(typical, settings.niter) + others + start_passes,
        bytes_read=0 if rows.in_memory else total * (1 if kept else n_passes),
        bytes_per_thread=per_block + buffers,
        bytes_kept=total if kept else 0,
        n_threads=n_threads,
        seconds=(per_row * (n_passes - 1) + first) * n_rows / min(n_threads, rows.X.numblocks[0]),
    )


def _seconds_a_row(rows: RowBlocks, k: int, m: int, settings: Settings) -> tuple[float, float]:
    """Time an E-step and moments of made-up rows: their cost depends on their number and not on their values.

    The passes that find axes of wide rows cost about what an E-step does.
    """
    n_columns, n_components = rows.X.shape[1], settings.n_components
    X, model = _made_up_rows(rows), _made_up_map(n_columns, k, m, settings)
    if settings.family.natural:  # which bits are, and counts too
        X = (X > 0).astype(X.dtype)
    if is_wide(n_columns, n_components):
        block = random_block(n_columns, width_for(n_components))
        first = _seconds(lambda: wide_moments_of(X, None, block))
    else:
        first = _seconds(lambda: moments_of(X, None))
    if model.gaps.marginal:
        X = X.toarray() if is_sparse(X) else X
        X[:, 0] = np.nan  # one gap in a tile costs what many do
    trials = [_seconds(lambda: e_step(X, None, model, best_kernel())) for _ in range(4)]  # one may compile
    return min(trials) / X.shape[0], first / X.shape[0]


def _seconds(work: Callable[[], object]) -> float:
    with single_threaded_blas:
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun


def _made_up_rows(rows: RowBlocks) -> Any:
    """Return some rows of the kind; lazy sparse ones, of whose entries nothing is known, are full."""
    n_columns, random = rows.X.shape[1], np.random.default_rng(0)
    n_rows = max(1, min(TRIAL_ROWS, TRIAL_NUMBERS // n_columns))
    dtype = np.float32 if rows.X.dtype == np.float32 else np.float64
    if not is_sparse(rows.X._meta):
        return random.normal(size=(n_rows, n_columns)).astype(dtype)
    n_entries = max(1, min(n_columns, rows.row_bytes // (rows.X.dtype.itemsize + INDEX_BYTES)))
    spread = np.arange(n_entries) * (n_columns // n_entries)
    columns = np.sort((random.integers(n_columns, size=(n_rows, 1)) + spread) % n_columns)
    ends = n_entries * np.arange(n_rows + 1)
    return csr_of_parts(random.random(columns.size).astype(dtype), columns.ravel(), ends, n_columns)


def _made_up_map(n_columns: int, k: int, m: int, settings: Settings) -> Model:
    """Return a map of such columns.

    How many axes make up a share of the variance is not known before the moments: all, or the most there are.
    """
    n_axes, axes = settings.n_components, None
    if n_axes is not None:
        most = MOST_AXES if is_wide(n_columns, n_axes) else n_columns
        axes = np.eye(n_columns, int(n_axes) if n_axes >= 1 else min(n_columns, most))
    affine = Affine(np.zeros(n_columns), np.ones(n_columns), axes)
    shape = (m * m + 1, n_columns if axes is None else axes.shape[1])
    weights = np.random.default_rng(1).normal(size=shape) / np.sqrt(n_columns)
    noise = settings.family
    beta_inv = np.ones(shape[1]) if noise.by_column else 1.0
    gaps = Gaps("marginalize") if settings.missing == "marginalize" else REFUSED
    return Model(make_basis(k, m, settings.s), affine, weights, beta_inv, noise, gaps)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB"
