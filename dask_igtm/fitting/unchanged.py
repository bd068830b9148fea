"""What is known of the rows after the first pass, and whether others are the same but for rounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model import stored
from dask_igtm.model.affine import Affine
from dask_igtm.model.checks import name_columns
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.tiles import Rows
from dask_igtm.solvers.initialize import Start
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.likelihood import Likelihood
from dask_igtm.statistics.moments import ColumnMoments, deviation

Array = NDArray[np.float64]

EPS, SINGLE_EPS = (float(np.finfo(real).eps) for real in (np.float64, np.float32))
# A sum that grows by one row after the other may be off by as many roundings. So many rows are added up
ADDITIONS = 1024  # by BLAS, in the precision of the rows, before it begins anew,
TILE_ADDITIONS = 8192  # and at most in a mean of the moments, in float64.
STAY = "store X first and fit the stored rows, or keep them in memory with persist=True"


@dataclass(frozen=True)
class EStep:
    """Sufficient statistics, and the unit of rounding of the coarsest numbers that went into them."""

    statistics: SufficientStatistics
    eps: float

    def __add__(self, other: EStep) -> EStep:
        return EStep(self.statistics + other.statistics, max(self.eps, other.eps))


def checked_e_step(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> EStep:
    """E-step of one block; raises ValueError where a row or a weight is none that a model takes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistics = e_step(X, sample_weight, model, kernel)
    if not np.isfinite(statistics.log_likelihood):  # of such a weight, or of a model too far from the rows
        check_weights(sample_weight)
    return EStep(statistics, EPS if X.dtype == np.float64 else SINGLE_EPS)


@dataclass(frozen=True)
class Seen:
    """What the first pass has seen of the rows, in the user's coordinates.

    Attributes
    ----------
    weight : float
        Sum of the sample weights.
    mean, deviation : ndarray of shape (D,)
        Of each column.
    names : sequence of str or None
        Of the columns, for messages.
    in_memory : bool
        Whether the user holds the rows, for messages.
    """

    weight: float
    mean: Array
    deviation: Array
    names: Sequence[str] | None = None
    in_memory: bool = False

    @classmethod
    def of(
        cls, moments: ColumnMoments, start: Start, names: Sequence[str] | None, *, in_memory: bool
    ) -> Self:
        """Return what the moments and the start of a fit say."""
        mean, spread = start.columns or (moments.mean, deviation(moments))
        return cls(moments.weight, mean, spread, names, in_memory)

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same."""
        return {
            "rows_weight": np.array(self.weight),
            "rows_mean": self.mean,
            "rows_deviation": self.deviation,
        }

    @classmethod
    def unpack(cls, arrays: Arrays, n_columns: int) -> Self | None:
        """Return what `pack` named of so many columns; None of files that lack it."""
        if "rows_weight" not in arrays:
            return None
        mean, deviation = (stored.floats(arrays, f"rows_{name}", n_columns) for name in ("mean", "deviation"))
        return cls(stored.number(arrays, "rows_weight"), mean, deviation)

    def differs(self, now: Seen) -> str:
        """Say how other rows differ from these; nothing if they do not, but for rounding."""
        changes = self._of_weight(now.weight, EPS)
        rounding = TILE_ADDITIONS * EPS * (np.abs(self.mean) + self.deviation)
        for name, before, after in (
            ("mean", self.mean, now.mean),
            ("standard deviation", self.deviation, now.deviation),
        ):
            change = np.abs(after - before)
            if (change > rounding).any():
                worst = self._worst(change)
                column = name_columns([worst], now.names)
                changes.append(f"the {name} of {column} was {before[worst]:.17g} and is {after[worst]:.17g}")
        return " and ".join(changes)

    def check(self, step: EStep, model: Model) -> SufficientStatistics:
        """Return the statistics of an E-step of `model`; raise ValueError if it has seen other rows.

        Means cannot be told where gaps are marginal: each iteration puts something else in their place.
        Sums that are no numbers are those of a model too far from the rows, and their solver's to deal with,
        unless no row is left in them.
        """
        statistics = step.statistics
        if self.weight > 0 and statistics.weight == 0:
            raise ValueError(
                "No row of X has a probability under the map, whose centres lie beyond all numbers: the init "
                "or the checkpoint that it comes from is none of these rows; go on without it."
            )
        if np.isfinite(statistics.log_likelihood):
            changes = self._of_weight(statistics.weight, step.eps)
            if statistics.weight > 0 and not model.gaps.marginal:
                changes += self._of_means(step, model)
            self._refuse(changes)
        return statistics

    def check_weight(self, likelihood: Likelihood) -> None:
        """Raise ValueError if a likelihood is one of rows of another weight."""
        self._refuse(self._of_weight(likelihood.weight, EPS))

    def _refuse(self, changes: list[str]) -> None:
        if changes:
            stay = "" if self.in_memory else f"{STAY}, and "
            raise ValueError(
                f"X has changed since the first pass: {' and '.join(changes)}. A fit reads X in every pass "
                f"and needs the same rows each time: {stay}change nothing of X before fit returns."
            )

    def _of_weight(self, weight: float, eps: float) -> list[str]:
        if abs(weight - self.weight) <= ADDITIONS * eps * self.weight:
            return []
        return [f"the weight of all rows was {self.weight:.10g} and is {weight:.10g}"]

    def _of_means(self, step: EStep, model: Model) -> list[str]:
        total = functions_of(model.basis).of_phi[:, -1] @ step.statistics.functions_rx  # by the constant
        before = model.affine.forward(self.mean[None])[0]
        move = total / step.statistics.weight - before
        if (np.abs(move) <= self.rounding_of_means(model.affine, step.eps)).all():
            return []
        move = model.affine.inverse_linear(move[None])[0]
        worst = self._worst(np.abs(move))
        mean, column = self.mean[worst], name_columns([worst], self.names)
        if model.affine.axes is not None:
            return [f"the mean on the principal axes has moved, by {move[worst]:.3g} in {column}"]
        return [f"the mean of {column} was {mean:.10g} and is {mean + move[worst]:.10g}"]

    def _worst(self, change: Array) -> int:
        """Return the column whose change is largest, in its own standard deviations."""
        return int(np.argmax(change / np.maximum(self.deviation, np.finfo(np.float64).tiny)))

    def rounding_of_means(self, affine: Affine, eps: float) -> Array:
        """Return how far rounding may move each mean of an E-step, in model coordinates.

        Parameters
        ----------
        affine : Affine
        eps : float
            Unit of rounding of the rows.
        """
        spread = self.deviation / affine.scale
        offset = (np.abs(self.mean) + np.abs(affine.mean)) / affine.scale
        if affine.axes is not None:  # which mix the columns
            spread, offset = (
                np.full(affine.axes.shape[1], np.linalg.norm(each)) for each in (spread, offset)
            )
        spread = spread + np.abs(affine.forward(self.mean[None])[0])
        return np.asarray(ADDITIONS * eps * spread + TILE_ADDITIONS * EPS * offset)
