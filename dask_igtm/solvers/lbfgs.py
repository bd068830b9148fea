"""L-BFGS in the metric of the M-step: evaluated models, the steps between them, and where these lead."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model import stored
from dask_igtm.model.arrays import pack_sheet, unpack_sheet
from dask_igtm.model.model import Metric, Model, Prior
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics

Array = NDArray[np.float64]

MEMORY = 20  # secants kept
LEAST_CURVATURE = 0.1  # of a secant, as a share of the M-step's


@dataclass(frozen=True)
class Point:
    """A model that has been evaluated, and what its pass over the data says of the objective there.

    A position is the weights, row by row, and then what the noise has, ln beta_inv.

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
    metric : Metric
        Curvature of the M-step's objective.
    """

    model: Model
    em_model: Model
    weight: float
    objective: float
    gradient: Array
    metric: Metric

    @classmethod
    def of(cls, model: Model, statistics: SufficientStatistics, prior: Prior) -> Self:
        """Return what the statistics of a model say of it."""
        noise = model.noise.log_noise(model, prior.determined) if np.any(prior.determined) else 0.0
        return cls(
            model=model,
            em_model=model.noise.m_step(statistics, model, prior),
            weight=statistics.weight,
            objective=statistics.log_likelihood + prior.log_density(model) + noise,
            gradient=model.noise.gradient(statistics, model, prior),
            metric=model.noise.metric(statistics, model, prior),
        )

    def length(self, step: Array) -> float:
        """Length of a step in the metric of the M-step."""
        return math.sqrt(max(float(step @ self.metric.curve(step)), 0.0))

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same point."""
        return {
            **pack_sheet("best", self.model),
            **pack_sheet("em", self.em_model),
            "weight": np.array(self.weight),
            "objective": np.array(self.objective),
            "gradient": self.gradient,
            **self.metric.pack(),
        }

    @classmethod
    def unpack(cls, arrays: Arrays, model: Model) -> Self:
        """Return the point that `pack` named; `model` lends what all models of a run share."""
        best = unpack_sheet("best", arrays, model)
        return cls(
            model=best,
            em_model=unpack_sheet("em", arrays, model),
            weight=float(stored.positive(arrays, "weight")),
            objective=stored.number(arrays, "objective", finite=False),
            gradient=stored.floats(arrays, "gradient", len(position_of(best)), finite=False),
            metric=model.noise.metric_of(arrays, best),
        )


@dataclass(frozen=True)
class Secant:
    """A step between two evaluated models and what the gradient of the objective lost along it."""

    step: Array
    loss: Array


def remember(secants: tuple[Secant, ...], start: Point, end: Point) -> tuple[Secant, ...]:
    """Add the secant between two points, its curvature made positive, and drop the oldest."""
    step = position_of(end.model) - position_of(start.model)
    loss, plain = start.gradient - end.gradient, start.metric.curve(step)
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
    """Return the weights, row by row, and then what the noise has."""
    return np.append(model.weights, model.noise.position(model))
