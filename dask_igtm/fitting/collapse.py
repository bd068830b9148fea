"""Maps that fall onto one point: what is certain before the fit, what is seen at its end, and what helps."""

from __future__ import annotations

import math

import numpy as np

from dask_igtm.data.user_warnings import warn
from dask_igtm.model.model import Model, Prior
from dask_igtm.solvers.initialize import Start
from dask_igtm.statistics.moments import Moments

# Variance of the centres over that of the noise below which rows hardly differ in position; and, times what
# the ridge takes of a small map in an iteration, below which it shrinks further.
COLLAPSED, SMALL = 0.01, 0.25


def warn_of_certain_collapse(start: Start, moments: Moments) -> None:
    """Warn before a fit whose ridge is so strong that no responsibilities could unfold the map."""
    if len(start.model.basis.nodes) > 1 and not start.model.gaps.marginal and _certain(start, moments):
        warn(
            "The map will collapse onto one point: the ridge is too strong for any map of these rows; "
            f"{_remedy(start.model, start.prior)}."
        )


def warn_if_collapsed(model: Model, prior: Prior, growth: float = math.inf) -> bool:
    """Warn of centres that lie at one point but for a little of the noise, or will; return whether they do.

    How much the noise explains says nothing: of many columns that spread alike a sound map explains little.

    Parameters
    ----------
    model : Model
    prior : Prior
    growth : float
        As in `Start`, where it is known.
    """
    spread = float(model.centers.var(axis=0).sum()) / model.beta_inv
    if len(model.basis.nodes) == 1 or spread >= max(COLLAPSED, SMALL * (1.0 - growth)):
        return False
    state = "has collapsed" if spread < COLLAPSED else "will collapse"
    warn(
        f"The map {state} onto one point: its centres lie within the noise and get no farther, so that every "
        f"row has the same position; {_remedy(model, prior)}."
    )
    return True


def _certain(start: Start, moments: Moments) -> bool:
    """Whether EM ends at one point, whatever the rows with these moments are.

    With X taken from the prior mean, v its mean square, b the noise over v, and r the largest |phi_k|, an
    M-step solves A W = phi^T R^T X with A >= regul b v I, and |phi^T R^T X|^2 <= N r^2 |X|^2. So the noise
    that follows is at least 1 - c / b with c = 2 N r^2 / (regul v), which for c < 1/4 goes to the larger root
    of b = 1 - c / b from above the smaller one; and the variance of the centres is at most D v (c / 2 b)^2.
    """
    model, prior = start.model, start.prior
    n_columns = model.weights.shape[1]
    offset = model.affine.forward(moments.mean[None])[0] - prior.mean[-1]
    square = start.variance + float(offset @ offset) / n_columns
    radius = float(np.max(np.sum(model.basis.phi**2, axis=1)))
    strength = prior.regul * square
    if strength <= 8.0 * moments.weight * radius:
        return False
    c = 2.0 * moments.weight * radius / strength
    root = math.sqrt(1.0 - 4.0 * c)
    low, high = 0.5 * (1.0 - root), 0.5 * (1.0 + root)
    return bool(model.beta_inv > low * square and n_columns * (0.5 * c / high) ** 2 < COLLAPSED * high)


def _remedy(model: Model, prior: Prior) -> str:
    """Say what can be changed of the settings at hand."""
    remedies = [] if model.affine.standardised else ['scale="standard"']
    if prior.regul > 0:
        remedies.append(f"a smaller regul (than {prior.regul:.3g})")
    if not remedies:
        return "these columns may hold no structure, or drown it"
    return f"fit with {', or with '.join(remedies)}"
