"""What a fit has come to, why it stopped, and what is warned of then."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dask_igtm.data.user_warnings import warn
from dask_igtm.fitting.collapse import warn_if_collapsed
from dask_igtm.model.model import Model, Prior
from dask_igtm.solvers.em import Iteration, State
from dask_igtm.solvers.initialize import Start
from dask_igtm.statistics.likelihood import Likelihood

CONVERGED = ("tolerance", "predicted gain")  # by what a solver stops of itself


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about.

    Attributes
    ----------
    model : Model
    likelihood : Likelihood or None
        Of the rows for `model`; None after an interruption.
    history : tuple of em.Iteration
    stopped_by : {"tolerance", "predicted gain", "iterations", "callback", "collapse", "interrupt"}
        "collapse" where the solver stopped by itself on a map that says nothing.
    n_iter : int
        Iterations over all rows.
    n_passes : float
        Passes over the data, without the one for the moments and with those that find the axes of wide rows
        and the start of bits and counts; those over a sample count as its share.
    kernel : str
        Name of the kernel that computed it.
    n_samples : float
        Sum of the weights of the rows.
    regul : float
        Ridge on the weights; where the evidence chose it, its last choice.
    collapsed : bool
        Whether the map says nothing, whatever stopped the solver.
    """

    model: Model
    likelihood: Likelihood | None
    history: tuple[Iteration, ...]
    stopped_by: str
    n_iter: int
    n_passes: float
    kernel: str
    n_samples: float
    regul: float
    collapsed: bool

    @property
    def converged(self) -> bool:
        """Whether the solver stopped by itself, on a map that has not collapsed."""
        return self.stopped_by in CONVERGED

    @property
    def log_likelihood(self) -> float:
        """Mean of ln p(x) over the rows, in the user's units; NaN after an interruption."""
        return self.likelihood.mean if self.likelihood else math.nan


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a fit; `fit` is what was reached."""

    def __init__(self, fit: Fit) -> None:
        super().__init__(f"interrupted after iteration {len(fit.history)}")
        self.fit = fit


def outcome(
    state: State,
    start: Start,
    n_samples: float,
    kernel: str,
    likelihood: Likelihood | None = None,
    *,
    stopped_by: str,
) -> Fit:
    """Return what a run that set out from `start` has come to; warn where its map says nothing.

    Parameters
    ----------
    state : State
    start : Start
    n_samples : float
        Sum of the weights of the rows.
    kernel : str
    likelihood : Likelihood, optional
        Of the rows, for the map that the run has reached.
    stopped_by : str
        As in `Fit`; whether the map has collapsed is found here.
    """
    prior, whole = state.prior(start.prior), stopped_by != "interrupt"
    held = whole and prior is not start.prior and _held(state.result, prior)
    growth = start.growth if prior is start.prior else math.inf  # that of a ridge which has moved is unknown
    nothing = held or (whole and warn_if_collapsed(state.result, prior, growth))
    if stopped_by in CONVERGED and nothing:
        stopped_by = "collapse"
    return Fit(
        model=state.result,
        likelihood=likelihood,
        history=state.history,
        stopped_by=stopped_by,
        n_iter=state.n_iter,
        n_passes=start.n_passes + sum(iteration.cost for iteration in state.history) + whole,
        kernel=kernel,
        n_samples=n_samples,
        regul=prior.regul,
        collapsed=nothing,
    )


def _held(model: Model, prior: Prior) -> bool:
    """Whether the ridge ran away until it was held."""
    held = len(model.basis.nodes) > 1 and prior.regul >= prior.limit
    if held:
        other = "" if model.affine.standardised else ", or fit with scale='standard'"
        warn(
            f"The evidence drives the ridge up without end and the map onto one point; it was held at "
            f"regul_={prior.regul:.3g}. To this map the rows look like noise without structure; give regul a "
            f"number{other}."
        )
    return held
