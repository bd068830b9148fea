"""L-BFGS in the metric of the M-step: evaluated models, the steps between them, and where these lead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import pinvh

from dask_igtm.model.arrays import Arrays, pack_sheet, unpack_sheet
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model, Prior
from dask_igtm.solvers.m_step import m_step
from dask_igtm.statistics.e_step import SufficientStatistics

Array = NDArray[np.float64]

MEMORY = 20  # secants kept
LEAST_CURVATURE = 0.1  # of a secant, as a share of the M-step's


@dataclass(frozen=True)
class Point:
    """A model that has been evaluated, and what its pass over the data says of the objective there.

    A position is the weights, row by row, and then ln beta_inv.

    Attributes
    ----------
    model : Model
    em_model : Model
        Its EM update.
    weight : float
        Sum of the sample weights.
    objective : float
        Penalised log-likelihood, summed over the rows; for weights that the rows determine, so many entries
        of X fewer vote on the noise.
    gradient : ndarray of shape (P,)
        Of the objective.
    metric : ndarray of shape (M + 1, M + 1)
        Curvature of the M-step's objective with respect to each column of the weights.
    inverse : ndarray of shape (M + 1, M + 1)
        Its inverse.
    """

    model: Model
    em_model: Model
    weight: float
    objective: float
    gradient: Array
    metric: Array
    inverse: Array

    @classmethod
    def of(cls, model: Model, statistics: SufficientStatistics, prior: Prior) -> Self:
        """Return what the statistics of a model say of it."""
        phi, beta_inv, weight = model.basis.phi, model.beta_inv, statistics.weight
        metric = (phi.T * statistics.g) @ phi / beta_inv + prior.regul * np.eye(phi.shape[1])
        by_weights = functions_of(model.basis).of_phi.T @ statistics.residual(model) / beta_inv
        by_weights -= prior.regul * (model.weights - prior.mean)
        n_free = weight * model.weights.shape[1] - prior.determined
        noise = 0.5 * prior.determined * math.log(beta_inv)
        return cls(
            model=model,
            em_model=m_step(statistics, model, prior),
            weight=weight,
            objective=statistics.log_likelihood + prior.log_density(model) + noise,
            gradient=np.append(by_weights, 0.5 * (statistics.distance_sum / beta_inv - n_free)),
            metric=metric,
            inverse=pinvh(metric),
        )

    def apply(self, matrix: Array, noise_factor: float, vector: Array) -> Array:
        """Multiply the weights' part of a vector by `matrix`, and the noise's by its own factor."""
        weights = matrix @ vector[:-1].reshape(self.model.weights.shape)
        return np.append(weights, noise_factor * vector[-1])

    @property
    def noise_curvature(self) -> float:
        """Curvature of the M-step's objective with respect to ln beta_inv."""
        return 0.5 * self.weight * float(self.model.weights.shape[1])

    def curve(self, step: Array) -> Array:
        """Return what the gradient would lose along a step if the M-step's objective were the objective."""
        return self.apply(self.metric, self.noise_curvature, step)

    def newton(self, gradient: Array) -> Array:
        """Return the step that inverts `curve`."""
        return self.apply(self.inverse, 1.0 / self.noise_curvature, gradient)

    def length(self, step: Array) -> float:
        """Length of a step in the metric of the M-step."""
        return math.sqrt(max(float(step @ self.curve(step)), 0.0))

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same point."""
        return {
            **pack_sheet("best", self.model),
            **pack_sheet("em", self.em_model),
            "weight": np.array(self.weight),
            "objective": np.array(self.objective),
            "gradient": self.gradient,
            "metric": self.metric,
            "inverse": self.inverse,
        }

    @classmethod
    def unpack(cls, arrays: Arrays, model: Model) -> Self:
        """Return the point that `pack` named; `model` lends what all models of a run share."""
        return cls(
            model=unpack_sheet("best", arrays, model),
            em_model=unpack_sheet("em", arrays, model),
            weight=float(arrays["weight"]),
            objective=float(arrays["objective"]),
            gradient=arrays["gradient"],
            metric=arrays["metric"],
            inverse=arrays["inverse"],
        )


@dataclass(frozen=True)
class Secant:
    """A step between two evaluated models and what the gradient of the objective lost along it."""

    step: Array
    loss: Array


def remember(secants: tuple[Secant, ...], start: Point, end: Point) -> tuple[Secant, ...]:
    """Add the secant between two points, its curvature made positive, and drop the oldest."""
    step = position_of(end.model) - position_of(start.model)
    loss, plain = start.gradient - end.gradient, start.curve(step)
    length = float(step @ plain)
    if not length > 0:
        return secants
    # Where the objective is convex, its curvature says how far the next step may go, not where to.
    curvature = float(step @ loss)
    wanted = max(abs(curvature), LEAST_CURVATURE * length)
    loss = loss + (wanted - curvature) / length * plain
    return (*secants, Secant(step, loss))[-MEMORY:]


def quasi_newton(gradient: Array, secants: tuple[Secant, ...], newton: Callable[[Array], Array]) -> Array:
    """Two-loop recursion of L-BFGS, in which `newton` starts the product with the inverse of a curvature."""
    vector, shares = gradient.copy(), []
    for secant in reversed(secants):
        share = float(secant.step @ vector) / float(secant.step @ secant.loss)
        vector -= share * secant.loss
        shares.append(share)
    direction = newton(vector)
    for secant, share in zip(secants, reversed(shares), strict=True):
        curvature = float(secant.step @ secant.loss)
        direction += (share - float(secant.loss @ direction) / curvature) * secant.step
    return direction


def position_of(model: Model) -> Array:
    """Return the weights, row by row, and then ln beta_inv."""
    return np.append(model.weights, np.log(model.beta_inv))
