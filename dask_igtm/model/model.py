"""A map as a value: what an EM iteration reads and returns; and what a family of noise has to know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import Basis
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics

Array = NDArray[np.float64]
LookUp = Callable[[Any, Array, Array], tuple[Array, Array, bool]]
Rows = Any  # (n, D), as of `dask_igtm.posterior.tiles`


@dataclass(frozen=True, eq=False)
class Model:
    """A mixture whose components lie on a bent sheet.

    Attributes
    ----------
    basis : Basis
        Latent grid and RBF values.
    affine : Affine
        From the user's coordinates to those in which `weights` and `beta_inv` live.
    weights : ndarray of shape (M + 1, Q)
        Coefficients of the sheet: of its centres in model coordinates, or of the natural parameters of bits
        and counts.
    beta_inv : float or ndarray of shape (Q,)
        Noise variance, the same for every node: of all model coordinates, or of each. Bits and counts vary
        with their means alone, and have 1.
    noise : Noise
        What a row is drawn from, given its node.
    gaps : Gaps
        What it does with entries that are missing.
    names : tuple of str, or None
        What the user's columns are called, for comparisons and messages.
    """

    basis: Basis
    affine: Affine
    weights: Array
    beta_inv: Any
    noise: Noise
    gaps: Gaps = REFUSED
    names: tuple[str, ...] | None = None

    @property
    def centers(self) -> Array:
        """The sheet at the nodes, (K, Q): centres in model coordinates, or natural parameters."""
        return np.asarray(self.basis.phi @ self.weights)

    @property
    def means(self) -> Array:
        """Means of the rows of each node, (K, Q), in model coordinates."""
        return self.noise.means(self.centers)


@dataclass(frozen=True)
class Prior:
    """What a fit assumes of a model before it sees responsibilities.

    Attributes
    ----------
    regul : float
        Precision of the Gaussian prior over the weights, in inverse squared units of the model.
    mean : ndarray of shape (M + 1, Q)
        Its mean. ugtm shrinks the bias towards 0 in the data's own coordinates; in centred ones that
        is a prior mean of -(column means) in the bias row. Zero gives the fit that ignores offsets.
    noise_floor : float or ndarray of shape (Q,)
        Smallest noise variance a fit may reach, so that exact fits stay finite.
    limit : float
        Largest `regul` that the evidence may choose; see `initialize`.
    determined : float or ndarray of shape (Q,)
        Weights that the rows determine, so many entries of X fewer are left for the noise: all of them, or
        those of each column. Only the evidence counts them.
    """

    regul: float
    mean: Array
    noise_floor: Any
    limit: float = np.inf
    determined: Any = 0.0

    def log_density(self, model: Model) -> float:
        """Log prior density of the model's weights, up to a constant."""
        return float(-0.5 * self.regul * np.sum((model.weights - self.mean) ** 2))


class RowTerms(NamedTuple):
    """What some rows (n, Q) say under a model whatever the node."""

    rest: Array  # (n,) what logits lack of ln p of a row, but for a constant of the model
    size: Array  # (n,) what a logit adds up at most, by which it is rounded
    exposure: Array | None  # (n,) by which the normalisers of the nodes are multiplied; None where by 1
    saturated: Callable[[], Any]  # (n,) or a number: ln p under a node that is the row, without the constant


class Metric(Protocol):
    """Curvature of the M-step's objective by a position: weights, row by row, then those of the noise."""

    def curve(self, step: Array) -> Array:
        """Return what the gradient would lose along a step if that objective were the whole one."""
        ...

    def newton(self, gradient: Array) -> Array:
        """Return the step that inverts `curve`."""
        ...

    def pack(self) -> Arrays:
        """Return named arrays from which `Noise.metric_of` makes the same."""
        ...


class Noise(ABC):
    """A family of distributions: what an entry of a row is drawn from, given the node, each by itself.

    Each is an exponential family whose natural parameters lie on the sheet. A logit is
    `row @ slope_k - exposure * normaliser_k`, and what else is in ln p no node changes.

    Attributes
    ----------
    name : str
    natural : bool
        Whether the sheet is one of natural parameters. Its start takes a pass, by `plane_rows` and `begin`.
    curved : bool
        Whether `solvers.curvature` knows how the objective bends.
    by_column : bool
        Whether an E-step adds up squared residuals of each column.
    """

    name: ClassVar[str]
    natural: ClassVar[bool] = False
    curved: ClassVar[bool] = False
    by_column: ClassVar[bool] = False

    @abstractmethod
    def n_parameters(self, model: Model) -> int:
        """Return how many parameters of the noise a fit finds."""

    @property
    def gaps_by(self) -> str:
        """What rows with gaps may be fitted with, for messages."""
        return "'marginalize' or 'median'"

    @property
    def exposed(self) -> bool:
        """Whether rows have exposures, which are their sums."""
        return False

    @property
    def mean_exposure(self) -> float:
        """Of the rows of a fit; 1 where they have none."""
        return 1.0

    @abstractmethod
    def check(self, asked: Any) -> None:
        """Raise ValueError unless a fit can have what `Settings` ask for."""

    # The nodes.

    @abstractmethod
    def means(self, sheet: Array) -> Array:
        """Return means of rows, in model coordinates, of nodes where the sheet has these values, (K, Q)."""

    @abstractmethod
    def steepness(self, sheet: Array) -> Any:
        """Return the derivatives of these means by the sheet, (K, Q) or one number."""

    @abstractmethod
    def variances(self, model: Model) -> Array:
        """Return their variances, (K, Q), or (Q,) where those of all nodes are equal."""

    @abstractmethod
    def draw(self, model: Model, nodes: NDArray[np.intp], random: np.random.RandomState) -> Array:
        """Draw a row from each of some nodes, (n, Q), in model coordinates."""

    # An E-step.

    @abstractmethod
    def seen(self, model: Model) -> Model:
        """Return the model as an E-step works on it, in coordinates where it is simplest."""

    @abstractmethod
    def slopes(self, model: Model, functions: Array) -> Array:
        """Return what rows are multiplied by, (Q, F), in terms of functions (K, F) at the nodes."""

    @abstractmethod
    def normalisers(self, model: Model) -> Array:
        """Return what is taken off the logits of each node, (K,)."""

    @abstractmethod
    def entry_normalisers(self, model: Model) -> Array:
        """Return what of these an entry that is missing gives back, (K, Q)."""

    @abstractmethod
    def largest_term(self, model: Model) -> float:
        """Return what a logit of a typical row adds up at most."""

    @abstractmethod
    def check_entries(self, X: Rows, names: Any) -> None:
        """Raise ValueError naming the columns unless all entries of some rows are of the family."""

    @abstractmethod
    def terms(self, rows: Callable[[], Any], squared_norm: Array, model: Model, look_up: LookUp) -> RowTerms:
        """Return the terms of rows, which have entries of the family.

        Parameters
        ----------
        rows : callable
            Returns them, (n, Q), in model coordinates: dense with 0 in gaps, or sparse as they are.
        squared_norm : ndarray of shape (n,)
        model : Model
        look_up : callable
            Makes sums over their columns, see `noise.row_entries`.

        Raises ValueError as `check_entries`.
        """

    @abstractmethod
    def log_constant(self, model: Model, gaps: NDArray[np.floating[Any]] | None = None) -> Any:
        """Return what ln p(x) in the user's units has beside logits and the terms of rows.

        A number; or (n,) for rows whose `gaps`, (n, Q), are 1 where an entry is missing and 0 elsewhere.
        """

    @abstractmethod
    def distances(self, squared_norm: Array, expected_logit: Array, n_missing: Any, model: Model) -> Any:
        """Return the expected squared distance of rows to the nodes, (n,); 0 where nobody needs it."""

    # An M-step, and climbing without one.

    @abstractmethod
    def m_step(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Model:
        """Return the next model of an EM iteration."""

    @abstractmethod
    def gradient(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Array:
        """Return the gradient of the penalised log-likelihood by the position."""

    @abstractmethod
    def metric(self, statistics: SufficientStatistics, model: Model, prior: Prior) -> Metric:
        """Return the metric at a model."""

    @abstractmethod
    def metric_of(self, arrays: Arrays, model: Model) -> Metric:
        """Return what `Metric.pack` named."""

    @abstractmethod
    def position(self, model: Model) -> Array:
        """Return the noise's part of a position."""

    @abstractmethod
    def moved(self, model: Model, weights: Array, position: Array, prior: Prior) -> Model:
        """Return the model at a position."""

    def determined(self, statistics: SufficientStatistics, model: Model, regul: float) -> Any:
        """Return how many weights the rows determine rather than the prior, of noise with an evidence.

        That is gamma, of all columns or of each, by the curvature of the M-step, which takes
        responsibilities, and entries that stand in for gaps, as given. Each direction of the weights counts
        by the share of its precision that is the rows'. At most half of the entries of X count, so that rows
        fewer than weights leave noise.
        """
        raise NotImplementedError

    def log_noise(self, model: Model, determined: Any) -> float:
        """Return by what the objective grows where so many entries fewer vote on the noise."""
        raise NotImplementedError

    # Streams: sums of squares that do not depend on the centres, and back.

    @abstractmethod
    def expected_squares(self, model: Model) -> Any:
        """Return what `squares` are of a row, as the model has them."""

    @abstractmethod
    def squares(self, statistics: SufficientStatistics, model: Model) -> Any:
        """Return the sums of squares of the rows themselves that an M-step needs."""

    @abstractmethod
    def of_squares(
        self, statistics: SufficientStatistics, squares: Any, model: Model
    ) -> SufficientStatistics:
        """Return statistics with these, for the centres of a model."""

    # Where a fit sets out.

    def with_exposure(self, mean: float) -> Noise:  # noqa: ARG002
        """Return the same for rows of such a mean exposure."""
        return self

    @abstractmethod
    def plane_rows(self, X: Rows, names: Any = None) -> Rows:
        """Return rows in whose principal plane a map begins.

        Raises ValueError where an entry is none of this noise.
        """

    @abstractmethod
    def of_plane(self, model: Model, prior: Prior, variances: Array) -> tuple[Model, Prior]:
        """Return start and prior, of those of isotropic noise and the variances (Q,) of the rows."""

    @abstractmethod
    def begin(self, plane: Model, statistics: SufficientStatistics, regul: float) -> tuple[Model, Prior]:
        """Return start and prior, of sums of the rows themselves by the responsibilities of a plane.

        Raises ValueError where there is no optimum.
        """

    @abstractmethod
    def prior_of(
        self, statistics: SufficientStatistics, squares: Any, model: Model, regul: float, scale: str | None
    ) -> Prior:
        """Return the prior of a stream, of averages of which `squares` are those of the rows."""

    @abstractmethod
    def starts(self, model: Model) -> list[Model]:
        """Return starts of a search, that of the ordinary way first."""

    @abstractmethod
    def pack(self) -> Arrays:
        """Return named arrays from which `noise.families.unpack` makes the same; none of isotropic noise."""
