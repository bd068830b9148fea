"""How positive numbers are distributed, in an additive statistic of a few kilobytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS_PER_OCTAVE = 128  # a bin is 0.5 % wide
# 100 a decade of what lies above, which is where domains end.
SHARES = np.append(1.0 - np.logspace(0.0, -6.0, 601), 1.0)
PARTS = 32  # into which what lies between two quantiles is divided
SMALLEST, LARGEST = 2.0**-10, 2.0**1023  # what lies beyond shares the outermost bins


@dataclass(frozen=True)
class Histogram:
    """Weight, least and largest of the numbers in each bin that is not empty; bins grow geometrically.

    Attributes
    ----------
    low, high, weight : ndarrays of shape (B,)
        In ascending order.
    """

    low: Array
    high: Array
    weight: Array

    @classmethod
    def of(cls, values: Array, weight: Array) -> Histogram:
        """Count numbers >= 0, each times its weight."""
        counted = weight > 0
        return _merged(values[counted], values[counted], weight[counted])

    def __add__(self, other: Histogram) -> Histogram:
        pairs = ((self.low, other.low), (self.high, other.high), (self.weight, other.weight))
        return _merged(*(np.concatenate(pair) for pair in pairs))

    @classmethod
    def of_quantiles(cls, quantiles: Array, shares: Array) -> Histogram:
        """Return a histogram of weight 1 with these quantiles at ascending shares from 0 to 1, to a bin."""
        between = np.interp(
            np.arange(1, PARTS * (len(shares) - 1) + 1) / PARTS, np.arange(len(shares)), shares
        )
        weight = np.repeat(np.diff(shares) / PARTS, PARTS)
        return cls.of(np.interp(between, shares, quantiles), weight)

    def scaled(self, factor: float) -> Histogram:
        """Return the same numbers, each `factor` times as often; bins left without weight are dropped."""
        weight = factor * self.weight
        left = weight > 0
        return Histogram(self.low[left], self.high[left], weight[left])

    def quantiles(self, shares: Array) -> Array:
        """Return the numbers below or at which these shares of the weight lie.

        Exact where a bin holds one number, interpolated between the least and the largest of it otherwise.
        """
        reached = self.weight.cumsum()
        wanted = shares * reached[-1]
        i = np.searchsorted(reached, wanted * (1.0 - 1e-12))  # weights need not be whole numbers
        within = np.clip(1.0 - (reached[i] - wanted) / self.weight[i], 0.0, 1.0)
        between = np.minimum(self.low[i] + within * (self.high[i] - self.low[i]), self.high[i])
        return np.asarray(np.where(within < 1.0, between, self.high[i]))  # rounding may miss the end of a bin


NOTHING = Histogram(*np.empty((3, 0)))


def _merged(low: Array, high: Array, weight: Array) -> Histogram:
    bins = np.floor(np.log2(np.clip(low, SMALLEST, LARGEST)) * BINS_PER_OCTAVE).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    bins = bins[order]
    starts = np.flatnonzero(np.diff(bins, prepend=bins[:1] - 1))
    return Histogram(
        np.minimum.reduceat(low[order], starts),
        np.maximum.reduceat(high[order], starts),
        np.add.reduceat(weight[order], starts),
    )
