"""Newton's method for many small concave problems at once: one for each column of a map of bits or counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

CHUNK_NUMBERS = 2**23  # of the matrices of the columns that are worked on at a time
FARTHEST = 16.0  # of a step, in natural parameters: from the flat tails of a sigmoid Newton's has no bounds
HALVINGS = 40  # of a step that lowers the objective, before it is given up
ROUNDING = 64.0 * float(np.finfo(np.float64).eps)  # of an objective, by which it does not count as lower


@dataclass(frozen=True)
class Normaliser:
    """What makes an exponential family of natural parameters: A, and its first two derivatives."""

    value: Callable[[Array], Array]
    mean: Callable[[Array], Array]
    moments: Callable[[Array], tuple[Array, Array]]  # both derivatives, from one exponential


def climb(
    phi: Array,
    weights: Array,
    targets: Array,
    exposed: Array,
    regul: float,
    prior: Array,
    normaliser: Normaliser,
    steps: int,
) -> Array:
    """Return weights (M + 1, Q) that raise, or leave, the objective of each column.

    That is `w @ target - exposed @ A(phi @ w) - regul / 2 * |w - prior|^2`: a penalised log-likelihood of K
    pseudo-rows.

    Parameters
    ----------
    phi : ndarray of shape (K, M + 1)
    weights, targets, prior : ndarrays of shape (M + 1, Q)
    exposed : ndarray of shape (K,)
    regul : float
    normaliser : Normaliser
        A.
    steps : int
        Steps of Newton at most. Each is cut, and halved where it would lower the objective of its column: far
        from the peak plain steps go beyond all bounds.
    """
    found = np.empty_like(weights)
    pairs = _pairs(phi)
    for columns in _chunks(weights.shape[1], pairs.shape[1]):
        w, t, p = weights[:, columns].copy(), targets[:, columns], prior[:, columns]

        reached = _objective(phi, w, t, exposed, regul, p, normaliser)
        for _ in range(steps):
            mean, variance = normaliser.moments(phi @ w)
            gradient = t - phi.T @ (exposed[:, None] * mean) - regul * (w - p)
            step = _solve(pairs, exposed[:, None] * variance, regul, gradient)
            step *= FARTHEST / np.maximum(np.abs(phi @ step).max(axis=0), FARTHEST)
            before, left = w.copy(), np.arange(w.shape[1])
            for _ in range(HALVINGS):
                tried = before[:, left] + step[:, left]
                value = _objective(phi, tried, t[:, left], exposed, regul, p[:, left], normaliser)
                better = value >= reached[left] - ROUNDING * np.abs(reached[left])
                w[:, left[better]], reached[left[better]] = tried[:, better], value[better]
                left = left[~better]
                if len(left) == 0:
                    break
                step[:, left] *= 0.5
        found[:, columns] = w
    return found


def _objective(
    phi: Array, w: Array, target: Array, exposed: Array, regul: float, prior: Array, normaliser: Normaliser
) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):  # beyond all bounds it is -inf, and worse
        likelihood = (w * target).sum(axis=0) - exposed @ normaliser.value(phi @ w)
        return np.asarray(likelihood - 0.5 * regul * ((w - prior) ** 2).sum(axis=0))


def newton_step(phi: Array, curvature: Array, regul: float, gradient: Array) -> Array:
    """Return the step (M + 1, Q) to which a gradient leads, for a curvature (K, Q) of the nodes' sheet."""
    pairs, step = _pairs(phi), np.empty_like(gradient)
    for columns in _chunks(gradient.shape[1], pairs.shape[1]):
        step[:, columns] = _solve(pairs, curvature[:, columns], regul, gradient[:, columns])
    return step


def _pairs(phi: Array) -> Array:
    """Return the products of all pairs of functions at the nodes, (K, (M + 1)^2)."""
    return np.asarray(np.einsum("ki,kj->kij", phi, phi).reshape(len(phi), -1))


def _chunks(n_columns: int, n_pairs: int) -> Iterator[slice]:
    width = max(1, CHUNK_NUMBERS // n_pairs)
    for start in range(0, n_columns, width):
        yield slice(start, start + width)


def _solve(pairs: Array, curvature: Array, regul: float, gradient: Array) -> Array:
    """Solve the system of each column: phi.T diag(curvature) phi + regul, on a gradient (M + 1, Q)."""
    n = len(gradient)
    matrices = (curvature.T @ pairs).reshape(-1, n, n)
    # What rounding of a sum over the nodes leaves undetermined, as with regul=0 and few rows, stays there.
    jitter = n * np.finfo(np.float64).eps * np.trace(matrices, axis1=1, axis2=2)
    matrices[:, range(n), range(n)] += (regul + jitter)[:, None] + np.finfo(np.float64).tiny
    return np.asarray(np.linalg.solve(matrices, gradient.T[:, :, None])[:, :, 0].T)
