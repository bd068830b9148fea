"""Counts: a rate a column at each node, for all rows or for each unit of what a row is exposed to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, xlogy

from dask_igtm.model.model import Model, Rows
from dask_igtm.model.stored import Arrays
from dask_igtm.noise.natural import Natural
from dask_igtm.noise.newton import Normaliser
from dask_igtm.noise.row_entries import entries_of, refuse_entries, row_sums, with_entries

Array = NDArray[np.float64]

EXPOSURES = (None, "total")
LARGEST_COUNT = np.float32(2.0**53)  # up to which float64 has all whole numbers; float16 has no such number
LARGEST_LOG = 300.0  # of a rate, so that a step too far has a likelihood


def _rate(theta: Array) -> Array:
    return np.asarray(np.exp(np.minimum(theta, LARGEST_LOG)))


def _moments(theta: Array) -> tuple[Array, Array]:
    rate = _rate(theta)
    return rate, rate


@dataclass(frozen=True)
class Poisson(Natural):
    """See `dask_igtm.model.model.Noise`; natural parameters are log rates.

    Attributes
    ----------
    exposure : {None, "total"}
        What a row is exposed to: the same as all others, or its own sum.
    mean_exposure : float
        Of the rows of a fit.
    """

    name: ClassVar[str] = "poisson"
    exposure: str | None = None
    mean_exposure: float = 1.0
    normaliser: ClassVar[Normaliser] = Normaliser(_rate, _rate, _moments)
    table: ClassVar[Array] = gammaln(np.arange(1.0, 2.0**12 + 1))
    flat_columns: ClassVar[str] = "all entries of a column are 0"

    @property
    def exposed(self) -> bool:
        """See `Noise`."""
        return self.exposure is not None

    def check(self, asked: Any) -> None:
        """See `Noise`."""
        super().check(asked)
        if self.exposure is not None and asked.missing == "marginalize":
            raise ValueError(
                "exposure='total' takes the sum of a row, which is unknown where entries are missing; give "
                "exposure=None, or missing='constant'."
            )

    def with_exposure(self, mean: float) -> Poisson:
        """Return the same for rows of another mean exposure."""
        return dataclasses.replace(self, mean_exposure=mean)

    def check_entries(self, X: Rows, names: Any) -> None:
        """See `Noise`."""
        entries = entries_of(X)
        if entries.dtype.kind == "b":
            return
        wrong = (entries < 0) | (entries > LARGEST_COUNT)
        if entries.dtype.kind == "f":
            wrong |= entries != np.floor(entries)
        refuse_entries(X, wrong, "are no counts", self.name, "Round or drop them", names)

    def exposure_of(self, total: Array) -> Array | None:
        """See `Natural`."""
        return None if self.exposure is None else total

    def base(self, entries: NDArray[Any]) -> Array:
        """See `Natural`: ln x!."""
        return np.asarray(gammaln(entries + 1.0))

    def saturated(self, Z: Any) -> Array:
        """See `RowTerms`: of rates that are the counts themselves."""
        return row_sums(Z, lambda x: xlogy(x, x) - x - gammaln(x + 1.0))

    def plane_rows(self, X: Rows, names: Any = None) -> Rows:
        """See `Noise`: logarithms of what rows would count at the same exposure, and one more."""
        self.check_entries(X, names)
        if self.exposure is None:
            # Of a byte NumPy's logarithm is float16.
            return with_entries(X, lambda x, _: np.log1p(x, dtype=np.result_type(x, np.float32)))
        total = np.asarray(X.sum(axis=1, dtype=np.float64)).ravel()
        per_unit = self.mean_exposure / np.where(total > 0, total, 1.0)
        return with_entries(X, lambda entries, row: np.log1p(entries * per_unit[row]))

    def variances(self, model: Model) -> Array:
        """See `Noise`; for each unit of a row of typical exposure."""
        return super().variances(model) / self.mean_exposure

    def parameter_of(self, total: Array, exposed: float) -> Array:
        """See `Natural`; half an event in the exposure of a row."""
        return np.log((total + 0.5) / (exposed + self.mean_exposure))

    def without_optimum(self, total: Array, weight: float) -> NDArray[np.bool_]:
        """See `Natural`."""
        return np.asarray(total <= 1e-9 * weight)

    def draw(self, model: Model, nodes: NDArray[np.intp], random: np.random.RandomState) -> Array:
        """See `Noise`; of rows of typical exposure."""
        rates = self.mean_exposure * model.means[nodes]
        return np.asarray(random.poisson(rates).astype(np.float64))

    def pack(self) -> Arrays:
        """See `Noise`."""
        exposure = {} if self.exposure is None else {"exposure": np.array(self.exposure)}
        return {**super().pack(), **exposure, "mean_exposure": np.array(self.mean_exposure)}
