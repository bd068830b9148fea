"""Bits: a probability a column at each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from dask_igtm.model.model import Model, Rows
from dask_igtm.noise.natural import Natural
from dask_igtm.noise.newton import Normaliser
from dask_igtm.noise.row_entries import entries_of, refuse_entries

Array = NDArray[np.float64]


def _softplus(theta: Array) -> Array:
    return np.asarray(np.maximum(theta, 0.0) + np.log1p(np.exp(-np.abs(theta))))


def _moments(theta: Array) -> tuple[Array, Array]:
    """Return chances, and their variances, which must not vanish before the chances are 1."""
    small = np.exp(-np.abs(theta))
    likelier = 1.0 / (1.0 + small)
    return np.where(theta > 0, likelier, small * likelier), small * likelier**2


@dataclass(frozen=True)
class Bernoulli(Natural):
    """See `dask_igtm.model.model.Noise`; natural parameters are log odds."""

    name: ClassVar[str] = "bernoulli"
    normaliser: ClassVar[Normaliser] = Normaliser(_softplus, expit, _moments)
    table: ClassVar[Array] = np.zeros(2)
    flat_columns: ClassVar[str] = "all entries of a column are 0, or all are 1"

    def check_entries(self, X: Rows, names: Any) -> None:
        """See `Noise`."""
        entries = entries_of(X)
        if entries.dtype == bool:
            return
        wrong, remedy = (entries != 0) & (entries != 1), "Make bits of them, as X > 0 does"
        refuse_entries(X, wrong, "are neither 0 nor 1", self.name, remedy, names)

    def exposure_of(self, total: Array) -> None:
        """See `Natural`."""

    def base(self, entries: NDArray[Any]) -> Array:
        """See `Natural`."""
        return np.zeros(entries.shape)

    def saturated(self, Z: Any) -> float:  # noqa: ARG002
        """See `RowTerms`: a node can be sure of every bit."""
        return 0.0

    def plane_rows(self, X: Rows, names: Any = None) -> Rows:
        """See `Noise`."""
        self.check_entries(X, names)
        return X

    def parameter_of(self, total: Array, exposed: float) -> Array:
        """See `Natural`."""
        return np.log((total + 0.5) / (exposed - total + 0.5))

    def without_optimum(self, total: Array, weight: float) -> NDArray[np.bool_]:
        """See `Natural`."""
        least = 1e-9 * weight
        return np.asarray((total <= least) | (total >= weight - least))

    def draw(self, model: Model, nodes: NDArray[np.intp], random: np.random.RandomState) -> Array:
        """See `Noise`."""
        chances = model.means[nodes]
        return np.asarray((random.uniform(size=chances.shape) < chances).astype(np.float64))
