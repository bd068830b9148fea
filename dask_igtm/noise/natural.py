"""What bits and counts have in common: natural parameters on the sheet itself, and no noise of their own."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from dask_igtm.model import stored
from dask_igtm.model.affine import Affine
from dask_igtm.model.checks import name_columns
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import LookUp, Model, Noise, Prior, RowTerms
from dask_igtm.model.remember import remembered
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.noise.newton import Normaliser, climb, newton_step
from dask_igtm.noise.row_entries import row_sums

Array = NDArray[np.float64]

STEPS = 2  # of Newton in an M-step
FIRST_STEPS = 12  # and in the first, which sets out from columns that are independent
SCALED = ("center", "standard")
FILLED = ("mean", "median")  # by what is no bit and no count


@dataclass(frozen=True)
class NaturalMetric:
    """A metric for each column, by the curvature of its normaliser at the nodes.

    Attributes
    ----------
    exposed : ndarray of shape (K,)
    phi : ndarray of shape (K, M + 1)
    curvature : ndarray of shape (K, Q)
    regul : float
    """

    exposed: Array
    phi: Array
    curvature: Array
    regul: float

    def curve(self, step: Array) -> Array:
        """See `Metric`."""
        weights = step.reshape(self.phi.shape[1], -1)
        return np.ravel(self.phi.T @ (self.curvature * (self.phi @ weights)) + self.regul * weights)

    def newton(self, gradient: Array) -> Array:
        """See `Metric`; a few columns at a time, so that the matrices of all need not be held."""
        weights = gradient.reshape(self.phi.shape[1], -1)
        return np.ravel(newton_step(self.phi, self.curvature, self.regul, weights))

    def pack(self) -> Arrays:
        """See `Metric`."""
        return {"metric": self.exposed, "ridge": np.array(self.regul)}


@dataclass(frozen=True)
class Sheet:
    """The natural parameters of a model without what all nodes share, so that large rows meet small numbers.

    Attributes
    ----------
    bent : ndarray of shape (K, Q)
        What the nodes have beside the means of the natural parameters over the nodes.
    of_rows : ndarray of shape (Q, 3)
        These means, the largest |bent| of each column, and ones: what rows are multiplied by beside slopes.
    normaliser : float
        Mean of the normalisers of the nodes.
    normalisers : ndarray of shape (K,)
        What the nodes have beside that.
    """

    bent: Array
    of_rows: Array
    normaliser: float
    normalisers: Array


@remembered
def sheet_of(model: Model) -> Sheet:
    """Return the sheet of a model of bits or counts."""
    theta = model.centers
    shared = theta.mean(axis=0)
    bent = theta - shared
    with np.errstate(over="ignore", invalid="ignore"):  # of a step too far, whose likelihood is no number
        normalisers = model.noise.entry_normalisers(model).sum(axis=1)
        mean = float(normalisers.mean())
        of_rows = np.column_stack([shared, np.abs(bent).max(axis=0), np.ones(len(shared))])
        return Sheet(bent, of_rows, mean, normalisers - mean)


class Natural(Noise):
    """See `dask_igtm.model.model.Noise`; a family adds its normaliser, its entries and how rows are drawn."""

    natural: ClassVar[bool] = True
    normaliser: ClassVar[Normaliser]
    table: ClassVar[Array]  # `base` of the entries 0, 1, ... that are frequent
    flat_columns: ClassVar[str]  # what columns are that drive a sheet without ridge beyond all bounds

    def check(self, asked: Any) -> None:
        """See `Noise`."""
        if asked.scale in SCALED:
            raise ValueError(
                f"scale={asked.scale!r} moves and divides columns, and noise={self.name!r} is one of whole "
                "numbers as they are; give scale='auto' or None."
            )
        if asked.n_components is not None:
            raise ValueError(
                f"n_components maps principal axes, and noise={self.name!r} is one of whole numbers, which "
                "these do not have; give n_components=None, or noise='isotropic'."
            )
        if asked.missing in FILLED:
            raise ValueError(
                f"missing={asked.missing!r} fills gaps with numbers that noise={self.name!r} does not have; "
                f"give missing={self.gaps_by}."
            )
        if asked.regul == "auto":
            raise ValueError(
                f"regul='auto' rests on Gaussian noise, and this is noise={self.name!r}; give regul a "
                "number, and compare the score of rows kept back for a few of them."
            )

    @property
    def gaps_by(self) -> str:
        """See `Noise`."""
        return "'most_frequent' or 'constant'" if self.exposed else "'marginalize' or 'most_frequent'"

    def n_parameters(self, model: Model) -> int:  # noqa: ARG002
        """See `Noise`."""
        return 0

    def means(self, sheet: Array) -> Array:
        """See `Noise`."""
        return self.normaliser.mean(sheet)

    def steepness(self, sheet: Array) -> Array:
        """See `Noise`."""
        return self.normaliser.moments(sheet)[1]

    def variances(self, model: Model) -> Array:
        """See `Noise`."""
        return self.normaliser.moments(model.centers)[1]

    def seen(self, model: Model) -> Model:
        """See `Noise`."""
        return model

    def slopes(self, model: Model, functions: Array) -> Array:
        """See `Noise`."""
        return np.asarray(sheet_of(model).bent.T @ functions)

    def normalisers(self, model: Model) -> Array:
        """See `Noise`."""
        return sheet_of(model).normalisers

    def entry_normalisers(self, model: Model) -> Array:
        """See `Noise`."""
        return self.normaliser.value(model.centers)

    def largest_term(self, model: Model) -> float:
        """See `Noise`; what gaps give back is as large as the normalisers are with what the nodes share."""
        sheet = sheet_of(model)
        return float(np.abs(sheet.normalisers + (sheet.normaliser if model.gaps.marginal else 0.0)).max())

    def terms(
        self,
        rows: Callable[[], Any],
        squared_norm: Array,  # noqa: ARG002
        model: Model,
        look_up: LookUp,
    ) -> RowTerms:
        """See `Noise`."""
        sheet, Z = sheet_of(model), rows()
        products, base, known = look_up(Z, sheet.of_rows, self.table)
        if not known:
            self.check_entries(Z, model.names)
            base = row_sums(Z, self.base)
        shared, size, total = products.T
        exposure = self.exposure_of(total)
        exposed = 1.0 if exposure is None else exposure
        rest = shared - exposed * sheet.normaliser - base
        if exposure is not None:
            rest += xlogy(total, exposure)
        size = size + exposed * float(np.abs(sheet.normalisers).max())
        return RowTerms(rest, size, exposure, lambda: self.saturated(Z))

    def log_constant(self, model: Model, gaps: NDArray[np.floating[Any]] | None = None) -> Any:  # noqa: ARG002
        """See `Noise`."""
        return -float(np.log(len(model.basis.nodes)))

    def distances(self, squared_norm: Array, expected_logit: Array, n_missing: Any, model: Model) -> Any:  # noqa: ARG002
        """See `Noise`."""
        return np.zeros(len(squared_norm))

    def m_step(
        self, statistics: SufficientStatistics, model: Model, prior: Prior, steps: int = STEPS
    ) -> Model:
        """See `Noise`.

        Notes
        -----
        Kabán & Girolami (2001), A combined latent class and trait model for the analysis and visualization of
        discrete data, IEEE Trans. Pattern Anal. Mach. Intell. 23, 859-872, with Newton's steps in place of
        theirs: a regression of each column on the K nodes, with the sums of the responsibilities as weights.
        """
        weights = climb(
            model.basis.phi,
            model.weights,
            functions_of(model.basis).of_phi.T @ statistics.functions_rx,
            statistics.exposed,
            prior.regul,
            prior.mean,
            self.normaliser,
            steps,
        )
        return dataclasses.replace(model, weights=weights)

    def gradient(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Array:
        """See `Noise`."""
        by_weights = functions_of(model.basis).of_phi.T @ statistics.residual(model)
        return np.ravel(by_weights - prior.regul * (model.weights - prior.mean))

    def metric(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> NaturalMetric:
        """See `Noise`."""
        return self._metric(statistics.exposed, model, prior.regul)

    def metric_of(self, arrays: Arrays, model: Model) -> NaturalMetric:
        """See `Noise`."""
        metric = stored.floats(arrays, "metric", len(model.basis.nodes))
        return self._metric(metric, model, stored.number(arrays, "ridge"))

    def _metric(self, exposed: Array, model: Model, regul: float) -> NaturalMetric:
        curvature = exposed[:, None] * self.normaliser.moments(model.centers)[1]
        return NaturalMetric(exposed, model.basis.phi, curvature, regul)

    def position(self, model: Model) -> Array:  # noqa: ARG002
        """See `Noise`."""
        return np.empty(0)

    def moved(self, model: Model, weights: Array, position: Array, prior: Prior) -> Model:  # noqa: ARG002
        """See `Noise`."""
        return dataclasses.replace(model, weights=weights)

    def expected_squares(self, model: Model) -> Any:  # noqa: ARG002
        """See `Noise`."""
        return 0.0

    def squares(self, statistics: SufficientStatistics, model: Model) -> Any:  # noqa: ARG002
        """See `Noise`."""
        return 0.0

    def of_squares(
        self,
        statistics: SufficientStatistics,
        squares: Any,  # noqa: ARG002
        model: Model,  # noqa: ARG002
    ) -> SufficientStatistics:
        """See `Noise`."""
        return statistics

    def prior_of(
        self,
        statistics: SufficientStatistics,
        squares: Any,  # noqa: ARG002
        model: Model,
        regul: float,
        scale: str | None,  # noqa: ARG002
    ) -> Prior:
        """See `Noise`; its mean is the map on which columns are independent."""
        mean = np.zeros((model.basis.phi.shape[1], statistics.functions_rx.shape[1]))
        total = functions_of(model.basis).of_phi[:, -1] @ statistics.functions_rx  # by the constant
        mean[-1] = self.parameter_of(total, float(statistics.exposed.sum()))
        return Prior(regul, mean, 0.0)

    def of_plane(self, model: Model, prior: Prior, variances: Array) -> tuple[Model, Prior]:  # noqa: ARG002
        """See `Noise`: `begin` is what leaves the plane."""
        return model, prior

    def begin(self, plane: Model, statistics: SufficientStatistics, regul: float) -> tuple[Model, Prior]:
        """See `Noise`."""
        n_columns = statistics.functions_rx.shape[1]
        affine = Affine(np.zeros(n_columns), np.ones(n_columns))
        prior = self.prior_of(statistics, 0.0, plane, regul, None)
        self._check_optimum(plane, statistics, regul)
        model = dataclasses.replace(plane, affine=affine, weights=prior.mean, beta_inv=1.0, noise=self)
        return self.m_step(statistics, model, prior, FIRST_STEPS), prior

    def _check_optimum(self, model: Model, statistics: SufficientStatistics, regul: float) -> None:
        if regul > 0:
            return
        total = functions_of(model.basis).of_phi[:, -1] @ statistics.functions_rx
        flat = np.flatnonzero(self.without_optimum(total, statistics.weight))
        if len(flat):
            raise ValueError(
                f"With regul=0 a fit has no optimum where {self.flat_columns}: "
                f"{name_columns(flat, model.names)}; give regul > 0, or drop what is all the same."
            )

    def starts(self, model: Model) -> list[Model]:
        """See `Noise`."""
        return [model]

    def pack(self) -> Arrays:
        """See `Noise`."""
        return {"noise": np.array(self.name)}

    # What a family adds.

    @abstractmethod
    def parameter_of(self, total: Array, exposed: float) -> Array:
        """Return natural parameters of columns with these sums, and half an event more."""

    @abstractmethod
    def without_optimum(self, total: Array, weight: float) -> NDArray[np.bool_]:
        """Say of columns with these sums whether their natural parameter is infinite."""

    @abstractmethod
    def exposure_of(self, total: Array) -> Array | None:
        """Return the exposures of rows with these sums; None where they are 1."""

    @abstractmethod
    def base(self, entries: NDArray[Any]) -> Array:
        """Return what ln p of entries lacks that no parameter changes: ln x! of counts."""

    @abstractmethod
    def saturated(self, Z: Any) -> Any:
        """See `RowTerms`."""
