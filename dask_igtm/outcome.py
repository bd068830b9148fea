"""What a fit has come to, and what is warned of then."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from dask_igtm import em, evidence
from dask_igtm.initialize import Start
from dask_igtm.model import Model, Prior
from dask_igtm.progress import State
from dask_igtm.starting import REMEDY
from dask_igtm.statistics import Likelihood


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about.

    Attributes
    ----------
    model : Model
    likelihood : Likelihood or None
        Of the rows for `model`; None after an interruption.
    history : tuple of em.Iteration
    converged : bool
        Whether the solver stopped by its tolerance, on a map that has not collapsed.
    n_passes : int
        Passes over the data, without the one for the moments.
    kernel : str
        Name of the softmax that computed it.
    n_samples : float
        Sum of the weights of the rows.
    regul : float
        Ridge on the weights; where the evidence chose it, its last choice.
    """

    model: Model
    likelihood: Likelihood | None
    history: tuple[em.Iteration, ...]
    converged: bool
    n_passes: int
    kernel: str
    n_samples: float
    regul: float

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
    whole: bool = True,
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
    whole : bool
        Whether nothing cut the run.
    """
    prior, held = start.prior, False
    if isinstance(state, evidence.State):
        prior = state.prior(start.prior)
        held = whole and _held(state.result, prior)
    return Fit(
        model=state.result,
        likelihood=likelihood,
        history=state.history,
        converged=whole and state.converged and not held and not _collapsed(state.result, start),
        n_passes=len(state.history) + whole,
        kernel=kernel,
        n_samples=n_samples,
        regul=prior.regul,
    )


def _held(model: Model, prior: Prior) -> bool:
    """Whether the ridge ran away until it was held."""
    held = len(model.basis.nodes) > 1 and prior.regul >= prior.limit
    if held:
        warnings.warn(
            f"The evidence drives the ridge up without end and the map onto one point; it was held at "
            f"regul_={prior.regul:.3g}. To this map the rows look like noise without structure; give regul a "
            "number, or fit with scale='standard'.",
            stacklevel=6,
        )
    return held


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
