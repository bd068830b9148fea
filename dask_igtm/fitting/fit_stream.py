"""A fit that goes on with every block of a stream."""

from __future__ import annotations

from collections.abc import Sequence

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.fitting.collapse import warn_if_collapsed
from dask_igtm.fitting.map_size import check_rows
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.start import LARGEST_VALUE, check_init, start_of
from dask_igtm.passes.graph import keep, prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT, invalid_message, large_message, refused_entries
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.solvers import stepwise
from dask_igtm.statistics.e_step import e_step_with_deviances


def advance(
    rows: RowBlocks, settings: Settings, state: stepwise.State | None, feature_names: Sequence[str] | None
) -> tuple[stepwise.State, float | None]:
    """Return the state after one more block, and the mean of ln p(x) of its rows before, if any has weight.

    Parameters
    ----------
    rows : RowBlocks
        All of it is one step. What is lazy is read once and kept in the workers' memory meanwhile.
    settings : Settings
        Of these, `niter`, `tol` and `solver` are those of a fit, and not used; `regul` is a number.
    state : State or None
        None starts from the moments of these rows, as a fit does.
    feature_names : sequence of str or None
        For messages.
    """
    check_rows(settings, rows)
    source = prepare(rows)
    if not rows.in_memory:
        source = keep(source)
    if state is None:
        start = start_of(source, rows.X.shape[1], settings, feature_names)[1]
        state = stepwise.begin(start.model)
    else:
        check_init(state.model, settings, rows.X.shape[1])
        invalid, large = reduce(source, refused_entries, state.model.gaps, LARGEST_VALUE, label="igtm-check")
        if invalid.any():
            raise ValueError(invalid_message(invalid, feature_names, state.model.noise))
        if large.any():
            raise ValueError(large_message(large, f"has values beyond {LARGEST_VALUE:.0e}", feature_names))
    model = state.model
    prior = state.prior(float(settings.regul), settings.plane_scale)
    total, deviance = reduce(source, e_step_with_deviances, model, best_kernel(), label="igtm-estep").each
    if total.weight < LEAST_WEIGHT:
        return state, None
    state = stepwise.step(state, total, deviance, prior)
    warn_if_collapsed(state.model, prior)
    return state, total.log_likelihood / total.weight
