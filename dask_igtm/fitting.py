"""The order of a fit: one pass for the moments, one per iteration, one for the final likelihood."""

from __future__ import annotations

import dataclasses
import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_igtm import __version__, archive, block, blocks, em
from dask_igtm.checkpoint import Checkpoint
from dask_igtm.initialize import Start
from dask_igtm.inputs import RowBlocks
from dask_igtm.model import Model
from dask_igtm.progress import Listener, State, teller
from dask_igtm.settings import SOLVERS, Settings
from dask_igtm.softmax import best_kernel
from dask_igtm.source import keep, prepare
from dask_igtm.starting import REMEDY, check_init, start_of
from dask_igtm.statistics import SufficientStatistics
from dask_igtm.workers import worth_keeping

logger = logging.getLogger("dask_igtm")


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about.

    Attributes
    ----------
    model : Model
    log_likelihood : float
        Mean of ln p(x) over the rows, in the user's units, for `model`; NaN after an interruption.
    history : tuple of em.Iteration
    converged : bool
        Whether the solver stopped by its tolerance, on a map that has not collapsed.
    n_passes : int
        Passes over the data, without the one for the moments.
    kernel : str
        Name of the softmax that computed it.
    n_samples : float
        Sum of the weights of the rows.
    """

    model: Model
    log_likelihood: float
    history: tuple[em.Iteration, ...]
    converged: bool
    n_passes: int
    kernel: str
    n_samples: float


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit; `fit` is what was reached."""

    def __init__(self, fit: Fit) -> None:
        super().__init__(f"interrupted after iteration {len(fit.history)}")
        self.fit = fit


def fit_map(
    rows: RowBlocks,
    settings: Settings,
    *,
    persist: bool | str = "auto",
    feature_names: Sequence[str] | None = None,
    checkpoint: archive.Path | None = None,
    init: Model | None = None,
    listeners: Sequence[Listener] = (),
) -> Fit:
    """Fit a map to the rows of all blocks.

    Parameters
    ----------
    rows : RowBlocks
    settings : Settings
    persist : {"auto", True, False}
        Whether to keep the blocks in the workers' memory, see `worth_keeping`.
    feature_names : sequence of str, optional
        Names of the columns, for messages.
    checkpoint : path or URL, optional
        Where to write the state after every iteration, and to go on from where there is a file.
    init : Model, optional
        Where to start, instead of at the plane of the principal axes.
    listeners : sequence of callable
        Told of each iteration, see `progress.teller`; any of them can stop the fit.

    Raises
    ------
    ValueError
        If X holds NaN or infinity, if no row has weight, if all rows are equal, or if the checkpoint
        belongs to another fit.
    Interrupted
        By Ctrl-C, once there is a model.
    """
    settings.check_columns(rows.X.shape[1])
    if init:
        check_init(init, settings, rows.X.shape[1])
    kernel = best_kernel()
    saved = None if checkpoint is None else Checkpoint(checkpoint, _fingerprint(rows, settings, kernel, init))
    if saved:
        saved.check()  # before the first pass, which may take hours
    source = prepare(rows)
    if worth_keeping(rows, persist):
        logger.info("keeping the blocks of X in the workers' memory during the fit")
        source = keep(source)
    moments, start = start_of(source, settings, feature_names, init)
    solver = SOLVERS[settings.solver]
    state: State = solver.State(start.model)
    if saved:
        saved = saved.of(moments)
        state = saved.resume(state)

    n_rows = rows.X.shape[0]
    announce = teller(listeners, settings.niter, moments.weight if math.isnan(n_rows) else n_rows)

    def tell(after: State) -> bool:
        nonlocal state
        if saved:
            saved.write(after)
        state = after  # only now, for a write that fails leaves the state before in the file
        return announce(after)

    def e_step(model: Model) -> SufficientStatistics:
        total: SufficientStatistics = blocks.reduce(
            source, block.statistics, model, kernel, label="igtm-estep"
        )
        return total

    try:
        solver.fit(state, start.prior, e_step, niter=settings.niter, tol=settings.tol, on_iteration=tell)
        total, weight = blocks.reduce(
            source, block.log_likelihood_sum, state.result, kernel, label="igtm-likelihood"
        )
    except KeyboardInterrupt as interrupt:
        raise Interrupted(_fit(state, start, moments.weight, np.nan, kernel)) from interrupt
    except Exception as error:
        if saved:
            error.add_note(saved.remedy(state))
        raise
    return _fit(state, start, moments.weight, float(total / weight), kernel)


def _fit(state: State, start: Start, n_samples: float, log_likelihood: float, kernel: str) -> Fit:
    whole = not np.isnan(log_likelihood)
    return Fit(
        model=state.result,
        log_likelihood=log_likelihood,
        history=state.history,
        converged=whole and state.converged and not _collapsed(state.result, start),
        n_passes=len(state.history) + whole,
        kernel=kernel,
        n_samples=n_samples,
    )


def _fingerprint(rows: RowBlocks, settings: Settings, kernel: str, init: Model | None) -> dict[str, Any]:
    """Name what decides the bits of a fit, beside the values of X."""
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if name != "niter"}
    start = archive.digest(archive.pack(init)) if init else None
    return {**rows.layout, **chosen, "init": start, "kernel": kernel, "version": __version__}


def _collapsed(model: Model, start: Start) -> bool:
    """Whether the noise explains all of the variance, so that every row lies at the same place."""
    collapsed = len(model.basis.nodes) > 1 and model.beta_inv >= 0.99 * start.variance
    if collapsed:
        warnings.warn(
            "The map has collapsed onto one point: its noise explains all of the variance, and every row "
            f"gets the same position; {REMEDY}.",
            stacklevel=6,
        )
    return collapsed
