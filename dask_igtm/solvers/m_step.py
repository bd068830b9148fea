"""The M-step: sufficient statistics and the model that they belong to, in; the next model, out."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, pinvh
from scipy.linalg.lapack import dpocon

from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model, Prior
from dask_igtm.statistics.e_step import SufficientStatistics

Array = NDArray[np.float64]


def m_step(statistics: SufficientStatistics, model: Model, prior: Prior) -> Model:
    """Return the next model of an EM iteration.

    Parameters
    ----------
    statistics : SufficientStatistics
        Of all rows, from the E-step of `model`.
    model : Model
    prior : Prior

    Notes
    -----
    Bishop, Svensén & Williams (1998), eqs. 2.14 and 2.15, with the ridge scaled by the old noise. The
    noise is exact without a second pass: the squared distances to the old centres, moved to the new
    ones through `g` and `functions_rx`.
    """
    phi, functions = model.basis.phi, functions_of(model.basis)
    ridge = prior.regul * model.beta_inv
    gram = (phi.T * statistics.g) @ phi + ridge * np.eye(phi.shape[1])
    weights = _solve(gram, functions.of_phi.T @ statistics.functions_rx + ridge * prior.mean)
    move = phi @ weights - model.centers
    distance_sum = (
        statistics.distance_sum
        - 2.0 * np.sum((functions.values.T @ move) * statistics.residual(model))
        + statistics.g @ np.einsum("kq,kq->k", move, move)
    )
    beta_inv = distance_sum / (statistics.weight * weights.shape[1] - prior.determined)
    return dataclasses.replace(model, weights=weights, beta_inv=float(max(beta_inv, prior.noise_floor)))


def _solve(gram: Array, right: Array) -> Array:
    """Solve a symmetric system; one that is singular but for rounding by its shortest solution.

    With `regul=0` that happens where few nodes hold rows, or there are fewer nodes than RBFs.
    """
    try:
        factor, lower = cho_factor(gram)
    except LinAlgError:
        return np.asarray(pinvh(gram) @ right)
    reciprocal_condition, _ = dpocon(factor, np.linalg.norm(gram, 1))
    if reciprocal_condition < len(gram) * np.finfo(np.float64).eps:
        return np.asarray(pinvh(gram) @ right)
    return np.asarray(cho_solve((factor, lower), right))
