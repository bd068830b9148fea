"""The E-step of a few rows at a time: two matrix products around a softmax, in buffers that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.coordinates import load_forward, squared_norms
from dask_igtm.posterior.kernels import load_kernel
from dask_igtm.posterior.tiles import Rows, row_tiles

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]

TILE_BYTES = 2**20  # logits of a tile
SINGLE_ERROR = 1e-3  # largest error of a logit with which float32 rows are multiplied in float32


class Posterior(NamedTuple):
    """The posterior of a few rows; its first three arrays are buffers that the next tile overwrites."""

    rows: slice
    responsibilities: Real  # (n, K)
    Z1: Real  # (n, Q + 1) rows in model coordinates, 0 in gaps, and a column of ones
    gaps: Real | None  # (n, Q) 1 where an entry is missing, 0 elsewhere; None if none is
    centers: Array  # (K, Q) in model coordinates
    log_mass: Array  # (n,) ln sum_k exp(l_k - max l), with l_k = -|x - y_k|^2 / (2 beta_inv)
    log_likelihood: Array  # (n,) ln p of what is observed of x, in the user's units
    deviance: Array  # (n,) how far that is below the largest that a row with these gaps can have
    entropy: Array  # (n,) of the responsibilities, in nats
    distance: Array  # (n,) expected squared distance to the nodes, averaged over the responsibilities

    def weight(self, sample_weight: Array | None) -> Array | None:
        """Return the weights of the rows, None where all are 1; a row with nothing observed has 0."""
        weight = None if sample_weight is None else sample_weight[self.rows]
        if self.gaps is None:
            return weight
        seen: Array = (self.gaps == 0).any(axis=1).astype(np.float64)
        return seen if weight is None else seen * weight

    def sums(self, weight: Array | None) -> Real:
        """Return `Z1.T @ responsibilities`, (Q + 1, K), each row times its weight: `rx.T` above `g`.

        An entry that is missing counts with its expectation, which is the centre of the node.
        """
        # BLAS is faster at this product than at its transpose.
        sums = np.asarray(_times(self.Z1.T, weight) @ self.responsibilities)
        if self.gaps is not None:
            sums[:-1] += (_times(self.gaps.T, weight) @ self.responsibilities) * self.centers.T
        return sums


def _times(columns: Real, weight: Array | None) -> Any:
    return columns if weight is None else columns * weight


def weighted_sum(values: Array, weight: Array | None) -> float:
    """Return the sum of the values of some rows, each times its weight."""
    return float(values.sum() if weight is None else weight @ values)


class Workspace:
    """The operands of an E-step in one precision, and the buffers that its tiles share."""

    def __init__(self, model: Model, kernel: str, height: int, dtype: type[np.floating[Any]]) -> None:
        self.softmax, self.forward = load_kernel(kernel), load_forward(kernel)
        self.centers = centers = model.centers
        norms = squared_norms(centers)
        # A column of ones beside the rows adds -|y|^2 / 2 within the product, and counts rows in R.T @ Z1.
        self.slopes = (np.column_stack([centers, -0.5 * norms]).T / model.beta_inv).astype(dtype)
        self.Z1 = np.ones((height, len(self.slopes)), dtype)
        self.logits = np.empty((height, len(centers)), dtype)
        self.scratch = np.empty_like(self.logits)
        self.model = model
        self.rounding = np.finfo(dtype).eps / (2.0 * model.beta_inv)
        self.largest_center = norms.max()
        self.gaps: Real | None = None

    def load(self, X: NDArray[Any]) -> float:
        """Take the rows of a tile into the workspace; return how far rounding may move their logits."""
        self.n_rows, self.gaps = len(X), None
        self._forward(X)
        if self.model.gaps.allowed and np.isnan(self.squared_norm).any():
            self._take_gaps(X)
        return float(self.rounding * max(self.largest_center, self.squared_norm.max()))

    def _forward(self, X: NDArray[Any]) -> None:
        self.squared_norm = self.forward(X, self.model.affine, self.Z1[: self.n_rows])

    def _take_gaps(self, X: NDArray[Any]) -> None:
        if not self.model.gaps.marginal:
            self._forward(self.model.gaps.filled(X))
            return
        Z = self.Z1[: self.n_rows, :-1]
        missing = np.isnan(Z)
        Z[missing] = 0.0
        self.gaps = missing.astype(Z.dtype)
        self.squared_norm = squared_norms(Z)

    def posterior(self, rows: slice) -> Posterior:
        """Return the posterior of the rows that were loaded, which are X[rows]."""
        model, beta_inv, squared_norm, gaps = self.model, self.model.beta_inv, self.squared_norm, self.gaps
        Z1, logits = self.Z1[: self.n_rows], self.logits[: self.n_rows]
        np.matmul(Z1, self.slopes, out=logits)
        n_missing: Any = 0.0
        if gaps is not None:  # the centres' own squares there, which no distance has
            logits += gaps @ (0.5 / beta_inv * self.centers.T**2).astype(gaps.dtype)
            n_missing = gaps.sum(axis=1, dtype=np.float64)
        peak, log_mass, spread = self.softmax(logits, self.scratch[: self.n_rows])
        # These logits lack -|x|^2 / (2 beta_inv), which no responsibility depends on.
        log_sum = peak + log_mass - 0.5 * squared_norm / beta_inv
        distance = np.maximum(squared_norm - 2.0 * beta_inv * (peak + spread), 0.0)
        return Posterior(
            rows=rows,
            responsibilities=logits,
            Z1=Z1,
            gaps=gaps,
            centers=self.centers,
            log_mass=log_mass,
            log_likelihood=log_sum + model.log_normalization(gaps),
            deviance=np.maximum(np.log(len(self.centers)) - log_sum, 0.0),  # 0 if all centres were at x
            entropy=log_mass - spread,
            distance=distance + n_missing * beta_inv,
        )


def posteriors(X: Rows, model: Model, kernel: str) -> Iterator[Posterior]:
    """Walk an E-step over the rows of a block.

    float32 rows stay float32 in the products where that is precise enough, tile by tile; all others are
    computed in float64. Either way the rows are centred in float64.

    Parameters
    ----------
    X : array of shape (n, D)
    model : Model
    kernel : str
        Name of the softmax, see `load_kernel`.
    """
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    height = max(1, min(X.shape[0], TILE_BYTES // (np.dtype(dtype).itemsize * len(model.basis.nodes))))
    narrow = Workspace(model, kernel, height, np.float32) if dtype is np.float32 else None
    wide = None if narrow else Workspace(model, kernel, height, np.float64)
    for rows, tile in row_tiles(X, height):
        if narrow and narrow.load(tile) <= SINGLE_ERROR:
            yield narrow.posterior(rows)
            continue
        wide = wide or Workspace(model, kernel, height, np.float64)
        wide.load(tile)
        yield wide.posterior(rows)
