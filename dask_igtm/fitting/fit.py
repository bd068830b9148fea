"""The order of a fit: a pass for the moments, some for axes of wide rows, one an iteration, a last one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dask_igtm._version import __version__
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.whole_outputs import Path
from dask_igtm.fitting.checkpoint import Checkpoint, fingerprint
from dask_igtm.fitting.checkpoint_file import AnotherWriterError
from dask_igtm.fitting.map_size import check_rows
from dask_igtm.fitting.progress import Listener, teller
from dask_igtm.fitting.result import Fit, Interrupted, outcome
from dask_igtm.fitting.sampling import draw_of
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.start import check_init, prepare_fit, start_of, steps_of
from dask_igtm.fitting.unchanged import Seen, checked_e_step
from dask_igtm.model.arrays import digest, pack
from dask_igtm.model.model import Model
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.solvers.em import State, run
from dask_igtm.solvers.sample import Sample
from dask_igtm.statistics.likelihood import likelihood_of
from dask_igtm.statistics.row_sample import Draw


def fit(
    rows: RowBlocks,
    settings: Settings,
    *,
    persist: bool | str = "auto",
    feature_names: Sequence[str] | None = None,
    checkpoint: Path | None = None,
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
        If X holds NaN or infinity, if no row has weight, if all rows are equal, if X changes between two
        passes, or if the checkpoint belongs to another fit, or another writes to it.
    Interrupted
        By Ctrl-C, once there is a model.
    """
    check_rows(settings, rows)
    if init:
        check_init(init, settings, rows.X.shape[1], feature_names)
    kernel, draw, saved = best_kernel(), draw_of(rows, settings), None
    if checkpoint is not None:  # before the first pass, which may take hours
        saved = Checkpoint.open(checkpoint, _fingerprint(rows, settings, draw, kernel, init, feature_names))
    source = prepare_fit(rows, persist)
    moments, start, drawn = start_of(source, rows.X.shape[1], settings, feature_names, init, draw)
    seen = Seen.of(moments, start, feature_names, in_memory=source.in_memory)
    sample = None if drawn is None else Sample(drawn, moments.n_rows, moments.weight, kernel)
    state = settings.begin(start.model, sample, search=init is None)
    if saved:
        saved = saved.of(moments, seen, start.model.affine)
        state = saved.resume(state)
    asked = False  # by a listener, to stop

    n_rows = rows.n_rows
    announce = teller(listeners, settings.niter, moments.weight if math.isnan(n_rows) else n_rows)

    def tell(states: list[State]) -> bool:
        nonlocal state, asked
        (after,) = states
        if saved:
            saved.write(after)
        state = after  # only now, for a write that fails leaves the state before in the file
        asked = announce(after)
        return asked

    def pass_over(models: dict[int, Model]) -> list[SufficientStatistics]:
        (model,) = models.values()
        if sample is not None and state.sample is not None:
            with single_threaded_blas:
                return [sample.e_step(state.sample, model)]
        step = reduce(source, checked_e_step, model, kernel, label="igtm-estep")
        return [seen.check(step, model)]

    try:
        with steps_of(settings.family):
            run([state], [start.prior], pass_over, niter=settings.niter, tol=settings.tol, on_pass=tell)
        likelihood = reduce(source, likelihood_of, state.result, kernel, label="igtm-likelihood")
        seen.check_weight(likelihood)
    except KeyboardInterrupt as interrupt:
        reached = outcome(state, start, moments.weight, kernel, stopped_by="interrupt")
        raise Interrupted(reached) from interrupt
    except AnotherWriterError:
        raise
    except Exception as error:
        if saved:
            error.add_note(saved.remedy(state))
        raise
    stopped_by = "callback" if asked and not state.converged else state.stopped_by
    return outcome(state, start, moments.weight, kernel, likelihood, stopped_by=stopped_by)


def _fingerprint(
    rows: RowBlocks,
    settings: Settings,
    draw: Draw | None,
    kernel: str,
    init: Model | None,
    names: Sequence[str] | None,
) -> dict[str, Any]:
    start = digest(pack(init)) if init else None
    known = {"init": start, "kernel": kernel, "version": __version__}
    return fingerprint(rows, settings, names, drawn=draw is not None) | known
