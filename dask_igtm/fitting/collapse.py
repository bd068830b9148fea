"""Maps that fall onto one point: what is likely before the fit, what is seen at its end, and what helps."""

from __future__ import annotations

import math

import numpy as np

from dask_igtm.data.user_warnings import warn
from dask_igtm.model.model import Model, Prior
from dask_igtm.solvers.initialize import Start

# Growth of a small map below which, in trials, two far clusters kept a large one, and single columns.
SHRINKING = 0.5
# Variance of the centres over that of the noise below which rows hardly differ in position; and, times what
# the ridge takes of a small map in an iteration, below which it shrinks further.
COLLAPSED, SMALL = 0.01, 0.25


def warn_of_likely_collapse(start: Start) -> None:
    """Warn before a fit of a ridge under which few maps hold; moments do not tell which."""
    model = start.model
    if min(len(model.basis.nodes), model.weights.shape[1]) > 1 and start.growth < SHRINKING:
        warn(
            f"The map may collapse onto one point: the ridge shrinks a small map to {start.growth:.2g} "
            f"of its size in an iteration; {_remedy(model, start.prior)}."
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
    noise = np.atleast_2d(model.noise.variances(model)).mean(axis=0)
    spread = float((model.means.var(axis=0) / np.maximum(noise, np.finfo(np.float64).tiny)).sum())
    if len(model.basis.nodes) == 1 or spread >= max(COLLAPSED, SMALL * (1.0 - growth)):
        return False
    state = "has collapsed" if spread < COLLAPSED else "will collapse"
    warn(
        f"The map {state} onto one point: its centres lie within the noise and get no farther, so that every "
        f"row has the same position; {_remedy(model, prior)}."
    )
    return True


def _remedy(model: Model, prior: Prior) -> str:
    """Say what can be changed of the settings at hand."""
    in_units = model.affine.standardised or model.noise.natural
    remedies = [] if in_units else ['scale="standard"']
    if prior.regul > 0:
        remedies.append(f"a smaller regul (than {prior.regul:.3g})")
    if not remedies:
        return "these columns may hold no structure, or drown it"
    return f"fit with {', or with '.join(remedies)}"
