"""The E-step of a few rows at a time: two matrix products around a softmax, in buffers that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model import Model
from dask_igtm.softmax import Softmax, load_kernel

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]
Rows = NDArray[np.generic]

TILE_BYTES = 2**20  # logits of a tile in float64
SINGLE_ERROR = 1e-3  # largest error of a logit with which float32 rows are multiplied in float32


class Tile(NamedTuple):
    """The posterior of a few rows; its first two arrays are buffers that the next tile overwrites."""

    rows: slice
    responsibilities: Real  # (n, K)
    Z1: Real  # (n, Q + 1) rows in model coordinates, and a column of ones
    log_mass: Array  # (n,) ln sum_k exp(l_k - max l), with l_k = -|x - y_k|^2 / (2 beta_inv)
    log_sum: Array  # (n,) ln sum_k exp(l_k)
    distance: Array  # (n,) squared distance to the nodes, averaged over the responsibilities

    def sums(self, sample_weight: Array | None) -> Real:
        """Return `Z1.T @ responsibilities`, (Q + 1, K), each row times its weight: `rx.T` above `g`."""
        # BLAS is faster at this product than at its transpose.
        weighted = self.Z1.T if sample_weight is None else self.Z1.T * sample_weight
        return np.asarray(weighted @ self.responsibilities)


class Workspace:
    """The operands of an E-step in one precision, and the buffers that its tiles share."""

    def __init__(self, model: Model, height: int, dtype: type[np.floating[Any]]) -> None:
        centers = model.centers
        squared_norms = np.einsum("kq,kq->k", centers, centers)
        # A column of ones beside the rows adds -|y|^2 / 2 within the product, and counts rows in R.T @ Z1.
        self.slopes = (np.column_stack([centers, -0.5 * squared_norms]).T / model.beta_inv).astype(dtype)
        self.Z1 = np.ones((height, len(self.slopes)), dtype)
        self.logits = np.empty((height, len(centers)), dtype)
        self.scratch = np.empty_like(self.logits)
        self.model = model
        self.rounding = np.finfo(dtype).eps / (2.0 * model.beta_inv)
        self.largest_center = squared_norms.max()

    def load(self, X: Rows) -> float:
        """Take the rows of a tile into the workspace; return how far rounding may move their logits."""
        self.n_rows = len(X)
        Z = self.model.affine.forward(X, out=self.Z1[: self.n_rows, :-1])
        self.squared_norm = np.einsum("nq,nq->n", Z, Z, dtype=np.float64)
        return float(self.rounding * max(self.largest_center, self.squared_norm.max()))

    def posterior(self, rows: slice, softmax: Softmax) -> Tile:
        """Return the posterior of the rows that were loaded, which are X[rows]."""
        beta_inv, squared_norm = self.model.beta_inv, self.squared_norm
        Z1, logits = self.Z1[: self.n_rows], self.logits[: self.n_rows]
        np.matmul(Z1, self.slopes, out=logits)
        peak, log_mass, spread = softmax(logits, self.scratch[: self.n_rows])
        # These logits lack -|x|^2 / (2 beta_inv), which no responsibility depends on.
        log_sum = peak + log_mass - 0.5 * squared_norm / beta_inv
        distance = np.maximum(squared_norm - 2.0 * beta_inv * (peak + spread), 0.0)
        return Tile(rows, logits, Z1, log_mass, log_sum, distance)


def tiles(X: Rows, model: Model, kernel: str) -> Iterator[Tile]:
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
    softmax = load_kernel(kernel)
    height = max(1, min(len(X), TILE_BYTES // (8 * len(model.basis.nodes))))
    narrow = Workspace(model, height, np.float32) if X.dtype == np.float32 else None
    wide = None if narrow else Workspace(model, height, np.float64)
    for start in range(0, len(X), height):
        rows = slice(start, min(start + height, len(X)))
        if narrow and narrow.load(X[rows]) <= SINGLE_ERROR:
            yield narrow.posterior(rows, softmax)
            continue
        wide = wide or Workspace(model, height, np.float64)
        wide.load(X[rows])
        yield wide.posterior(rows, softmax)
