"""The order of a fit: one pass for the moments, one per iteration, one for the final likelihood."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import Any

from dask_igtm import __version__, archive, block, blocks
from dask_igtm.checkpoint import Checkpoint
from dask_igtm.inputs import RowBlocks
from dask_igtm.model import Model
from dask_igtm.outcome import Fit, Interrupted, outcome
from dask_igtm.progress import Listener, State, teller
from dask_igtm.settings import Settings
from dask_igtm.softmax import best_kernel
from dask_igtm.source import keep, prepare
from dask_igtm.starting import check_init, start_of
from dask_igtm.statistics import SufficientStatistics
from dask_igtm.workers import worth_keeping

logger = logging.getLogger("dask_igtm")


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
    solver = settings.loop
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
        likelihood = blocks.reduce(source, block.likelihood, state.result, kernel, label="igtm-likelihood")
    except KeyboardInterrupt as interrupt:
        raise Interrupted(outcome(state, start, moments.weight, kernel, whole=False)) from interrupt
    except Exception as error:
        if saved:
            error.add_note(saved.remedy(state))
        raise
    return outcome(state, start, moments.weight, kernel, likelihood)


def _fingerprint(rows: RowBlocks, settings: Settings, kernel: str, init: Model | None) -> dict[str, Any]:
    """Name what decides the bits of a fit, beside the values of X."""
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if name != "niter"}
    start = archive.digest(archive.pack(init)) if init else None
    return {**rows.layout, **chosen, "init": start, "kernel": kernel, "version": __version__}
