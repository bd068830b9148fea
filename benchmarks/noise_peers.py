"""Densities of bits and counts that have no map: means of ln p of rows held out, beside which maps stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp, xlogy

SMOOTHINGS = (0.1, 1.0, 10.0)


def independent_bits(X: Any, rest: Any) -> float:
    """Return the mean of ln p of rows whose columns are independent bits."""
    return _mixed_bits(rest, np.atleast_2d((X.sum(axis=0) + 0.5) / (X.shape[0] + 1.0)), np.zeros(1))


def mixture_of_bits(X: Any, rest: Any, n_components: int, niter: int, seed: int) -> float:
    """Return that under a mixture of Bernoullis, by EM with the best of three smoothings.

    Smoothing adds so many rows to each component, which are as the columns are on average.
    """
    rng = np.random.default_rng(seed)
    mean = (np.asarray(X.sum(axis=0)).ravel() + 0.5) / (X.shape[0] + 1.0)
    first = X[rng.choice(X.shape[0], n_components, replace=X.shape[0] < n_components)]
    found = []
    for smoothing in SMOOTHINGS:
        chances = 0.5 * mean + 0.5 * np.clip(dense(first), 0.05, 0.95)
        log_weights = np.full(n_components, -np.log(n_components))
        for _ in range(niter):
            logits = _logits(X, chances) + log_weights
            R = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
            sizes = R.sum(axis=0)
            chances = ((X.T @ R).T + smoothing * mean) / (sizes + smoothing)[:, None]
            log_weights = np.log((sizes + smoothing) / (sizes + smoothing).sum())
        found.append(_mixed_bits(rest, chances, log_weights))
    return max(found)


def _mixed_bits(X: Any, chances: np.ndarray, log_weights: np.ndarray) -> float:
    return float(logsumexp(_logits(X, chances) + log_weights, axis=1).mean())


def _logits(X: Any, chances: np.ndarray) -> np.ndarray:
    none = np.log1p(-chances)
    return np.asarray(X @ (np.log(chances) - none).T + none.sum(axis=1))


def independent_counts(X: Any, rest: Any, exposure: str | None) -> float:
    """Return the mean of ln p of rows whose columns are independent counts, given the same exposure."""
    ours = np.asarray(X.sum(axis=1)) if exposure else np.ones(X.shape[0])
    rates = (np.asarray(X.sum(axis=0)) + 0.5) / (ours.sum() + ours.mean())
    return mixture_of_counts(rest, rates[None], exposure)[0]


def mixture_of_counts(X: Any, rates: np.ndarray, exposure: str | None) -> tuple[float, np.ndarray]:
    """Return the mean of ln p of rows of one of these rates (K, D) each, and their expected rates."""
    X = dense(X)
    exposed = X.sum(axis=1) if exposure else np.ones(len(X))
    base = xlogy(X.sum(axis=1), exposed) - gammaln(X + 1.0).sum(axis=1)
    logits = X @ np.log(rates).T - exposed[:, None] * rates.sum(axis=1)
    total = logsumexp(logits, axis=1)
    log_p = float((base + total).mean() - np.log(len(rates)))
    return log_p, np.exp(logits - total[:, None]) @ rates


def dense(X: Any) -> np.ndarray:
    """Return rows as an array."""
    return X.toarray() if hasattr(X, "toarray") else X
