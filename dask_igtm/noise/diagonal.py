"""Gaussian noise of a variance a column, for columns of which one is measured well and the next badly."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from dask_igtm.model import stored
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model, Prior
from dask_igtm.model.remember import remembered
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.noise.isotropic import ISOTROPIC, LARGEST_LOG, LARGEST_SHARE, Isotropic, make_prior

Array = NDArray[np.float64]

NOISE_FLOOR = 1e-6  # of the variance of a column: one that the map can follow exactly would have none
LEAST_START = 0.1  # noise of a start, of the variance of a column


@dataclass(frozen=True)
class DiagonalMetric:
    """A metric for each column: the same matrix over the noise of the column, and the ridge.

    Attributes
    ----------
    g : ndarray of shape (K,)
    phi : ndarray of shape (K, M + 1)
    beta_inv : ndarray of shape (Q,)
    regul : float
    noise_curvature : float
        With respect to ln beta_inv of each column.
    """

    g: Array
    phi: Array
    beta_inv: Array
    regul: float
    noise_curvature: float

    def curve(self, step: Array) -> Array:
        """See `Metric`."""
        weights, noise = self._parts(step)
        gram = (self.phi.T * self.g) @ self.phi
        return np.append(gram @ weights / self.beta_inv + self.regul * weights, self.noise_curvature * noise)

    def newton(self, gradient: Array) -> Array:
        """See `Metric`."""
        weights, noise = self._parts(gradient)
        values, vectors = _eigen((self.phi.T * self.g) @ self.phi)
        stiff = values[:, None] / self.beta_inv + self.regul
        found = vectors @ _divided(vectors.T @ weights, stiff)
        return np.append(found, noise / self.noise_curvature)

    def _parts(self, vector: Array) -> tuple[Array, Array]:
        n = len(self.beta_inv)
        return vector[:-n].reshape(-1, n), vector[-n:]

    def pack(self) -> Arrays:
        """See `Metric`."""
        return {"metric": self.g, "ridge": np.array(self.regul)}


@dataclass(frozen=True)
class Diagonal(Isotropic):
    """See `dask_igtm.model.model.Noise`: isotropic noise of 1 in coordinates divided by the noise."""

    name: ClassVar[str] = "diagonal"
    curved: ClassVar[bool] = False
    by_column: ClassVar[bool] = True

    def check(self, asked: Any) -> None:
        """See `Noise`."""
        if asked.n_components is not None:
            raise ValueError(
                "noise='diagonal' gives each column a noise of its own, and n_components maps axes that mix "
                "the columns; give noise='isotropic', or n_components=None."
            )

    def seen(self, model: Model) -> Model:
        """See `Noise`."""
        return whitened(model)

    def log_constant(self, model: Model, gaps: NDArray[np.floating[Any]] | None = None) -> Any:
        """See `Noise`."""
        return ISOTROPIC.log_constant(whitened(model), gaps)

    def m_step(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Model:
        """See `Noise`; the ridge differs by column, and one eigendecomposition serves all."""
        phi, functions, beta_inv = model.basis.phi, functions_of(model.basis), model.beta_inv
        values, vectors = _eigen((phi.T * statistics.g) @ phi)
        ridge = prior.regul * beta_inv
        right = functions.of_phi.T @ statistics.functions_rx + ridge * prior.mean
        weights = vectors @ _divided(vectors.T @ right, values[:, None] + ridge)
        move = phi @ weights - model.centers
        squares = (
            _column_squares(statistics)
            - 2.0 * np.sum((functions.values.T @ move) * statistics.residual(model), axis=0)
            + statistics.g @ move**2
        )
        n_free = statistics.weight - prior.determined
        beta_inv = np.maximum(squares / n_free, prior.noise_floor)
        return dataclasses.replace(model, weights=weights, beta_inv=beta_inv)

    def gradient(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Array:
        """See `Noise`."""
        by_weights = functions_of(model.basis).of_phi.T @ statistics.residual(model) / model.beta_inv
        by_weights -= prior.regul * (model.weights - prior.mean)
        n_free = statistics.weight - prior.determined
        by_noise = 0.5 * (_column_squares(statistics) / model.beta_inv - n_free)
        return np.append(by_weights, by_noise)

    def metric(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Any:
        """See `Noise`."""
        return self._metric(statistics.g, model, prior.regul)

    def metric_of(self, arrays: Arrays, model: Model) -> Any:
        """See `Noise`."""
        metric = stored.floats(arrays, "metric", len(model.basis.nodes))
        return self._metric(metric, model, stored.number(arrays, "ridge"))

    def _metric(self, g: Array, model: Model, regul: float) -> DiagonalMetric:
        return DiagonalMetric(g, model.basis.phi, model.beta_inv, regul, 0.5 * float(g.sum()))

    def determined(self, statistics: SufficientStatistics, model: Model, regul: float) -> Any:
        """See `Noise`."""
        values, _ = _eigen((model.basis.phi.T * statistics.g) @ model.basis.phi)
        precision = values[:, None] / model.beta_inv
        per_column = _divided(precision, precision + regul).sum(axis=0)
        return np.minimum(per_column, LARGEST_SHARE * statistics.weight)

    def log_noise(self, model: Model, determined: Any) -> float:
        """See `Noise`."""
        return float(0.5 * determined @ np.log(model.beta_inv))

    def moved(self, model: Model, weights: Array, position: Array, prior: Prior) -> Model:
        """See `Noise`."""
        beta_inv = np.maximum(np.exp(np.minimum(position, LARGEST_LOG)), prior.noise_floor)
        return dataclasses.replace(model, weights=weights, beta_inv=beta_inv)

    def expected_squares(self, model: Model) -> Any:
        """See `Noise`."""
        return np.mean(model.centers**2, axis=0) + model.beta_inv

    def squares(self, statistics: SufficientStatistics, model: Model) -> Any:
        """See `Noise`."""
        return _column_squares(statistics) + _less_of_squares(statistics, model)

    def of_squares(
        self, statistics: SufficientStatistics, squares: Any, model: Model
    ) -> SufficientStatistics:
        """See `Noise`."""
        spread = np.maximum(squares - _less_of_squares(statistics, model), 0.0)
        return dataclasses.replace(statistics, column_squares=spread)

    def of_plane(self, model: Model, prior: Prior, variances: Array) -> tuple[Model, Prior]:
        """See `Noise`: each column begins with what the plane leaves of its variance."""
        scale = np.where(variances > 0, variances, variances.mean())
        left = scale - model.centers.var(axis=0)
        prior = dataclasses.replace(prior, noise_floor=NOISE_FLOOR * scale)
        return dataclasses.replace(model, beta_inv=np.maximum(left, LEAST_START * scale), noise=self), prior

    def prior_of(
        self, statistics: SufficientStatistics, squares: Any, model: Model, regul: float, scale: str | None
    ) -> Prior:
        """See `Noise`."""
        mean = functions_of(model.basis).of_phi[:, -1] @ statistics.functions_rx  # by the constant
        variances = np.maximum(squares - mean**2, 0.0)
        prior = make_prior(model.affine, model.weights.shape, regul=regul, scale=scale, variance=0.0)
        return self.of_plane(model, prior, variances)[1]

    def pack(self) -> Arrays:
        """See `Noise`."""
        return {"noise": np.array(self.name)}


@remembered
def whitened(model: Model) -> Model:
    """Return the model with its noise as the unit of each column."""
    deviation = np.sqrt(model.beta_inv)
    affine = dataclasses.replace(model.affine, scale=model.affine.scale * deviation)
    weights = model.weights / deviation
    return dataclasses.replace(model, affine=affine, weights=weights, beta_inv=1.0, noise=ISOTROPIC)


def _column_squares(statistics: SufficientStatistics) -> Array:
    return np.asarray(statistics.column_squares)  # which an E-step of noise by column has


def _less_of_squares(statistics: SufficientStatistics, model: Model) -> Array:
    """Return by how much squares of the rows exceed those of their distances, in each column."""
    centers = model.centers
    crossed = statistics.functions_rx * (functions_of(model.basis).values.T @ centers)
    return np.asarray(2.0 * crossed.sum(axis=0) - statistics.g @ centers**2)


def _eigen(gram: Array) -> tuple[Array, Array]:
    """Return eigenvalues, 0 where they are but rounding, and eigenvectors of a Gram matrix."""
    values, vectors = eigh(gram)
    least = len(gram) * np.finfo(np.float64).eps * values[-1]
    return np.where(values > least, values, 0.0), vectors


def _divided(values: Array, by: Array) -> Array:
    """Divide, by 0 to 0: what nothing determines stays where the shortest solution has it."""
    return np.asarray(np.where(by > 0, values, 0.0) / np.where(by > 0, by, 1.0))
