"""A plan before the work: what a fit would read, hold and take."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from dask.system import CPU_COUNT
from numpy.typing import NDArray

from dask_igtm.data.row_blocks import RowBlocks, row_bytes
from dask_igtm.fitting.fill_values import PASSES
from dask_igtm.fitting.sampling import sampled_stages
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.wide_start import start_cost
from dask_igtm.model.basis import make_basis
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.passes.resources import single_threaded_blas, workers, worth_keeping
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.posterior.posterior import TILE_BYTES
from dask_igtm.solvers.initialize import initialize
from dask_igtm.solvers.leading_axes import MOST_AXES, random_block, width_for
from dask_igtm.solvers.spectrum import AXES, Spectrum
from dask_igtm.solvers.wide_spectrum import is_wide
from dask_igtm.statistics.covariance_images import WideMoments, wide_moments_of
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import Moments, moments_of

TRIAL_ROWS = 4096
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
        Threads that would share the work.
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
    n_rows, n_columns = rows.X.shape
    k, m = settings.sides(n_rows)
    n_nodes, item = k * k, rows.X.dtype.itemsize
    n_threads = CPU_COUNT if rows.in_memory else workers().n_threads
    kept = worth_keeping(rows, persist)
    total = n_rows * row_bytes(rows.X)
    others = 2 + PASSES.get(settings.missing, 0)
    start_passes, most_start_passes, start_bytes = start_cost(n_columns, settings)
    n_passes, typical = settings.niter + others + most_start_passes, float(TYPICAL[settings.solver])
    stages = sampled_stages(rows, settings)
    if settings.solver == "sampled":
        typical = TYPICAL["accelerated"]
    if stages:
        on_sample = TYPICAL_SEARCH * stages.search.stop + TYPICAL_POLISH * stages.polish.stop
        typical = TYPICAL["sampled"] + on_sample / n_rows
    per_block = max(rows.X.chunks[0]) * n_columns * item
    buffers = 2 * TILE_BYTES + 3 * n_nodes * (n_columns + 1) * 8 + start_bytes
    per_row, first = _seconds_a_row(n_columns, k, m, settings, rows.X.dtype.type)
    return Estimate(
        n_passes=n_passes,
        n_passes_typical=min(typical, settings.niter) + others + start_passes,
        bytes_read=0 if rows.in_memory else total * (1 if kept else n_passes),
        bytes_per_thread=per_block + buffers,
        bytes_kept=total if kept else 0,
        n_threads=n_threads,
        seconds=(per_row * (n_passes - 1) + first) * n_rows / min(n_threads, rows.X.numblocks[0]),
    )


def _seconds_a_row(
    n_columns: int, k: int, m: int, settings: Settings, dtype: type[np.generic]
) -> tuple[float, float]:
    """Time an E-step and moments of made-up rows: their cost depends on their number and not on their values.

    How many axes make up a share of the variance is not known before the moments: all, at most. The passes
    that find axes of wide rows cost what an E-step does.
    """
    n_axes = settings.n_components
    if n_axes is not None and n_axes < 1:
        n_axes = MOST_AXES if is_wide(n_columns, n_axes) else n_columns
    X = np.random.default_rng(0).normal(size=(TRIAL_ROWS, n_columns))
    basis, gaps = make_basis(k, m, settings.s), REFUSED
    if settings.missing == "marginalize":
        gaps = Gaps("marginalize")
    with single_threaded_blas:
        begun = time.perf_counter()
        moments, spectrum = _moments(X, n_axes)
        first = (time.perf_counter() - begun) / len(X)
    start = initialize(
        moments, basis, regul=0.1, scale=None, n_components=n_axes, gaps=gaps, spectrum=spectrum
    )
    if gaps.marginal:
        X[:, 0] = np.nan  # one gap in a tile costs what many do
    X = X.astype(dtype if dtype is np.float32 else np.float64)

    def trial() -> float:
        begun = time.perf_counter()
        e_step(X, None, start.model, best_kernel())
        return time.perf_counter() - begun

    with single_threaded_blas:
        return min(trial() for _ in range(4)) / TRIAL_ROWS, first  # the first one may compile


def _moments(X: NDArray[np.float64], n_axes: float | None) -> tuple[Moments | WideMoments, Spectrum | None]:
    """Return moments as a fit makes them, and a spectrum as good as any where they have no scatter."""
    n_columns = X.shape[1]
    if not is_wide(n_columns, n_axes):
        return moments_of(X, None), None
    spectrum = Spectrum(np.ones(int(n_axes or AXES)), np.eye(n_columns, int(n_axes or AXES)), 1.0)
    return wide_moments_of(X, None, random_block(n_columns, width_for(n_axes))), spectrum


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.3g} GB"
