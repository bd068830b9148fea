"""Gaussian noise of one variance, in all model coordinates: that of ugtm."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, pinvh
from scipy.linalg.lapack import dpocon

from dask_igtm.model import stored
from dask_igtm.model.affine import Affine
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import LookUp, Model, Noise, Prior, Rows, RowTerms
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics

Array = NDArray[np.float64]

# Of the variance of a coordinate. Nearer to the rows than its root centres are not moved for sure: along
# what the nodes of few rows hardly feel, rounding of the sums moves them as far.
NOISE_FLOOR = 128 * float(np.finfo(np.float64).eps)
LARGEST_LOG = 600.0  # of a noise variance, so that no extrapolation overflows
LARGEST_SHARE = 0.5  # of the entries of X that weights may use up, so that some are left for the noise
STARTS = (1.0, 4.0, 0.25)  # noises of the starts of a search, in that of the first


@dataclass(frozen=True)
class SharedMetric:
    """The same metric for the weights of all columns, and one number for the noise.

    Attributes
    ----------
    metric : ndarray of shape (M + 1, M + 1)
        Curvature of the M-step's objective with respect to each column of the weights.
    inverse : ndarray of shape (M + 1, M + 1)
        Its inverse.
    noise_curvature : float
        The same with respect to ln beta_inv.
    """

    metric: Array
    inverse: Array
    noise_curvature: float

    @classmethod
    def of(cls, metric: Array, noise_curvature: float) -> Self:
        """Return that of a metric."""
        return cls(metric, pinvh(metric), noise_curvature)

    def curve(self, step: Array) -> Array:
        """See `Metric`."""
        return self._apply(self.metric, self.noise_curvature, step)

    def newton(self, gradient: Array) -> Array:
        """See `Metric`."""
        return self._apply(self.inverse, 1.0 / self.noise_curvature, gradient)

    def _apply(self, matrix: Array, noise_factor: float, vector: Array) -> Array:
        weights = matrix @ vector[:-1].reshape(len(matrix), -1)
        return np.append(weights, noise_factor * vector[-1])

    def pack(self) -> Arrays:
        """See `Metric`; the curvature of the noise is that of the rows' weight."""
        return {"metric": self.metric, "inverse": self.inverse}


@dataclass(frozen=True)
class Isotropic(Noise):
    """See `dask_igtm.model.model.Noise`; natural parameters are the centres over the noise variance."""

    name: ClassVar[str] = "isotropic"
    curved: ClassVar[bool] = True

    def n_parameters(self, model: Model) -> int:
        """See `Noise`."""
        return len(self.position(model))

    def check(self, asked: Any) -> None:
        """See `Noise`."""

    def means(self, sheet: Array) -> Array:
        """See `Noise`."""
        return sheet

    def steepness(self, sheet: Array) -> float:  # noqa: ARG002
        """See `Noise`."""
        return 1.0

    def variances(self, model: Model) -> Array:
        """See `Noise`."""
        return np.broadcast_to(np.asarray(model.beta_inv, float), model.weights.shape[1:])

    def draw(self, model: Model, nodes: NDArray[np.intp], random: np.random.RandomState) -> Array:
        """See `Noise`."""
        centers = model.centers[nodes]
        return np.asarray(centers + np.sqrt(model.beta_inv) * random.normal(size=centers.shape))

    def seen(self, model: Model) -> Model:
        """See `Noise`."""
        return model

    def slopes(self, model: Model, functions: Array) -> Array:
        """See `Noise`."""
        return np.asarray(model.centers.T @ functions / model.beta_inv)

    def normalisers(self, model: Model) -> Array:
        """See `Noise`: |y|^2 / (2 beta_inv) of each centre."""
        return np.asarray(0.5 / model.beta_inv * _squared_norms(model.centers))

    def entry_normalisers(self, model: Model) -> Array:
        """See `Noise`."""
        return np.asarray(0.5 / model.beta_inv * model.centers**2)

    def largest_term(self, model: Model) -> float:
        """See `Noise`."""
        return float(_squared_norms(model.centers).max() / (2.0 * model.beta_inv))

    def check_entries(self, X: Rows, names: Any) -> None:
        """See `Noise`: any number."""

    def terms(
        self,
        rows: Callable[[], Any],  # noqa: ARG002
        squared_norm: Array,
        model: Model,
        look_up: LookUp,  # noqa: ARG002
    ) -> RowTerms:
        """See `Noise`; logits lack -|x|^2 / (2 beta_inv)."""
        size = 0.5 * squared_norm / model.beta_inv
        return RowTerms(-size, size, None, lambda: 0.0)

    def log_constant(self, model: Model, gaps: NDArray[np.floating[Any]] | None = None) -> Any:
        """See `Noise`."""
        n_columns: Any = model.weights.shape[1]
        log_volume: Any = model.affine.log_volume
        if gaps is not None:
            n_columns = n_columns - gaps.sum(axis=1, dtype=np.float64)
            log_volume = log_volume - gaps @ np.log(model.affine.scale)
        log_gaussian = -0.5 * n_columns * np.log(2.0 * np.pi * model.beta_inv)
        return log_gaussian - np.log(len(model.basis.nodes)) - log_volume

    def distances(self, squared_norm: Array, expected_logit: Array, n_missing: Any, model: Model) -> Any:
        """See `Noise`; an entry that is missing lies off by the noise."""
        distance = np.maximum(squared_norm - 2.0 * model.beta_inv * expected_logit, 0.0)
        return distance + n_missing * model.beta_inv

    def m_step(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Model:
        """See `Noise`.

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

    def gradient(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Array:
        """See `Noise`."""
        by_weights = functions_of(model.basis).of_phi.T @ statistics.residual(model) / model.beta_inv
        by_weights -= prior.regul * (model.weights - prior.mean)
        n_free = statistics.weight * model.weights.shape[1] - prior.determined
        return np.append(by_weights, 0.5 * (statistics.distance_sum / model.beta_inv - n_free))

    def metric(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> SharedMetric:
        """See `Noise`."""
        phi = model.basis.phi
        metric = (phi.T * statistics.g) @ phi / model.beta_inv + prior.regul * np.eye(phi.shape[1])
        return SharedMetric.of(metric, self._noise_curvature(statistics.weight, model))

    def metric_of(self, arrays: Arrays, model: Model) -> Any:
        """See `Noise`."""
        curvature = self._noise_curvature(stored.number(arrays, "weight"), model)
        n = len(model.weights)
        metric, inverse = (stored.floats(arrays, name, n, n) for name in ("metric", "inverse"))
        return SharedMetric(metric, inverse, curvature)

    def _noise_curvature(self, weight: float, model: Model) -> float:
        return 0.5 * weight * float(model.weights.shape[1])

    def determined(self, statistics: SufficientStatistics, model: Model, regul: float) -> Any:
        """See `Noise`."""
        phi, n_columns = model.basis.phi, model.weights.shape[1]
        precision = np.linalg.eigvalsh((phi.T * statistics.g) @ phi / model.beta_inv)
        precision = precision[precision > 0]  # others are 0 but for rounding
        per_column = float(np.sum(precision / (precision + regul)))
        return float(n_columns * min(per_column, LARGEST_SHARE * statistics.weight))

    def log_noise(self, model: Model, determined: Any) -> float:
        """See `Noise`."""
        return float(0.5 * determined * math.log(model.beta_inv))

    def position(self, model: Model) -> Array:
        """See `Noise`: ln beta_inv."""
        return np.atleast_1d(np.log(model.beta_inv))

    def moved(self, model: Model, weights: Array, position: Array, prior: Prior) -> Model:
        """See `Noise`."""
        beta_inv = max(math.exp(min(position[0], LARGEST_LOG)), prior.noise_floor)
        return dataclasses.replace(model, weights=weights, beta_inv=beta_inv)

    def expected_squares(self, model: Model) -> Any:
        """See `Noise`."""
        n_nodes, n_columns = model.centers.shape
        return float(np.sum(model.centers**2) / n_nodes + n_columns * model.beta_inv)

    def squares(self, statistics: SufficientStatistics, model: Model) -> Any:
        """See `Noise`."""
        centers = model.centers
        return (
            statistics.distance_sum
            + 2.0 * np.sum(statistics.functions_rx * (functions_of(model.basis).values.T @ centers))
            - statistics.g @ np.einsum("kq,kq->k", centers, centers)
        )

    def of_squares(
        self, statistics: SufficientStatistics, squares: Any, model: Model
    ) -> SufficientStatistics:
        """See `Noise`."""
        centers = model.centers
        spread = (
            squares
            - 2.0 * np.sum(statistics.functions_rx * (functions_of(model.basis).values.T @ centers))
            + statistics.g @ np.einsum("kq,kq->k", centers, centers)
        )
        return dataclasses.replace(statistics, distance_sum=max(float(spread), 0.0))

    def plane_rows(self, X: Rows, names: Any = None) -> Rows:  # noqa: ARG002
        """See `Noise`."""
        return X

    def of_plane(self, model: Model, prior: Prior, variances: Array) -> tuple[Model, Prior]:  # noqa: ARG002
        """See `Noise`."""
        return model, prior

    def begin(self, plane: Model, statistics: SufficientStatistics, regul: float) -> tuple[Model, Prior]:
        """See `Noise`; a plane is a start already."""
        raise NotImplementedError

    def prior_of(
        self, statistics: SufficientStatistics, squares: Any, model: Model, regul: float, scale: str | None
    ) -> Prior:
        """See `Noise`."""
        mean = functions_of(model.basis).of_phi[:, -1] @ statistics.functions_rx  # by the constant
        variance = float(squares - mean @ mean) / len(mean)
        return make_prior(model.affine, model.weights.shape, regul=regul, scale=scale, variance=variance)

    def starts(self, model: Model) -> list[Model]:
        """See `Noise`: of several noises."""
        return [dataclasses.replace(model, beta_inv=noise * model.beta_inv) for noise in STARTS]

    def pack(self) -> Arrays:
        """See `Noise`."""
        return {}


ISOTROPIC = Isotropic()


def make_prior(
    affine: Affine, shape: tuple[int, ...], *, regul: float, scale: str | None, variance: float
) -> Prior:
    """Return the prior of weights of that shape; `variance` is that of a model coordinate."""
    mean = np.zeros(shape)
    if scale is None:
        mean[-1] = affine.forward(np.zeros((1, len(affine.mean))))[0]  # the user's origin
    return Prior(regul, mean, NOISE_FLOOR * variance)


def _squared_norms(rows: Array) -> Array:
    norms: Array = np.einsum("nq,nq->n", rows, rows)
    return norms


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
