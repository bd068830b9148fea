"""Responsibilities of one tile of rows, computed in place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Below this exp() turns subnormal and several times slower; exp(-500) is far under any rounding error.
LOWEST_EXPONENT = -500.0


def softmax(logits: Array, out: Array) -> tuple[Array, Array]:
    """Write the softmax of each row of `logits` to `out`.

    Parameters
    ----------
    logits : ndarray of shape (n, K)
        Overwritten with `logits - peak`, floored at `LOWEST_EXPONENT`.
    out : ndarray of shape (n, K)
        Receives the responsibilities; rows sum to 1.

    Returns
    -------
    peak, log_mass : ndarrays of shape (n,)
        The row maximum and ln sum_k exp(logits - peak); their sum is the row's log-sum-exp.
    """
    peak = logits.max(axis=1)
    logits -= peak[:, None]
    np.maximum(logits, LOWEST_EXPONENT, out=logits)
    np.exp(logits, out=out)
    mass = out.sum(axis=1)
    out /= mass[:, None]
    return peak, np.log(mass)
