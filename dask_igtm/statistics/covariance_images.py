"""What wide rows say of their covariance without it: its products with a few vectors, and its diagonal."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.tiles import Rows, is_sparse, row_tiles
from dask_igtm.statistics.sparse_columns import filled_entries, finite_entries, mean_and_squares

Array = NDArray[np.float64]

TILE_BYTES, LEAST_ROWS = 2**21, 64  # of a tile in float64


@dataclass(frozen=True)
class WideMoments:
    """Weighted mean of rows, their squares around it, and the image of a block of vectors.

    Attributes
    ----------
    weight : float
        Sum of the sample weights (the number of rows without weights).
    mean : ndarray of shape (D,)
    squares : ndarray of shape (D,)
        Sum of the weighted squares of each column minus its mean.
    image : ndarray of shape (D, b)
        Scatter of the rows times the block.
    shadow : ndarray of shape (b,)
        `mean` times the block, by which images are merged.
    invalid : ndarray of shape (D,)
        How many entries of each column are NaN or infinite.
    n_rows : int
        Rows with a weight that were added up, whatever they weigh: what rounding grows with.
    """

    weight: float
    mean: Array
    squares: Array
    image: Array
    shadow: Array
    invalid: NDArray[np.int64]
    n_rows: int

    def __add__(self, other: WideMoments) -> WideMoments:
        """Merge by the formula of `Moments`."""
        invalid = self.invalid + other.invalid
        if self.weight == 0:
            return dataclasses.replace(other, invalid=invalid)
        weight = self.weight + other.weight
        share = other.weight / weight
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            delta, turned = other.mean - self.mean, other.shadow - self.shadow
            image = self.image + other.image
            image += np.outer(self.weight * share * delta, turned)
            return WideMoments(
                weight,
                self.mean + share * delta,
                self.squares + other.squares + self.weight * share * delta**2,
                image,
                self.shadow + share * turned,
                invalid,
                self.n_rows + other.n_rows,
            )


@dataclass(frozen=True)
class Image:
    """Scatter of rows around a known mean times a block of vectors, (D, b)."""

    image: Array

    def __add__(self, other: Image) -> Image:
        return Image(self.image + other.image)


def wide_moments_of(X: Rows, sample_weight: Array | None, block: Array, gaps: Gaps = REFUSED) -> WideMoments:
    """Weight, mean, squares and image of `block` (D, b) of one block of rows, its gaps filled.

    Where gaps are marginal, rows without any entry weigh nothing.
    """
    check_weights(sample_weight)
    n_columns, width = block.shape
    nothing, invalid = np.zeros(n_columns), np.zeros(n_columns, np.int64)
    total = WideMoments(0.0, nothing, nothing, np.zeros(block.shape), np.zeros(width), invalid, 0)
    with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
        for tile, weight in _tiles(X, sample_weight, gaps):
            total += _tile_moments(*_finite(tile), weight, block)
    return total


def image_of(
    X: Rows,
    sample_weight: Array | None,
    mean: Array,
    block: Array,
    gaps: Gaps = REFUSED,
    far: bool = False,
) -> Image:
    """Image of `block` (D, b) under the scatter of one block of rows around `mean`.

    `far` says that the mean lies so far off that rows are centred before they are multiplied, and sparse ones
    made dense for that, a tile at a time.
    """
    image, shadow = np.zeros(block.shape), mean @ block
    for tile, weight in _tiles(X, sample_weight, gaps, far=far):
        if far:
            image += _image(tile - mean, weight, np.zeros_like(mean), block, np.zeros_like(shadow))
        else:
            image += _image(tile, weight, mean, block, shadow)
    return Image(image)


def _tile_moments(
    tile: Array | csr_array, invalid: NDArray[np.int64], weight: Array, block: Array
) -> WideMoments:
    total, n_rows = float(weight.sum()), int(np.count_nonzero(weight))
    if total == 0:
        nothing = np.zeros(len(block))
        return WideMoments(0.0, nothing, nothing, np.zeros(block.shape), nothing @ block, invalid, 0)
    if isinstance(tile, csr_array):
        mean, squares = mean_and_squares(tile, weight)
    else:
        mean = weight @ tile / total
        squares = weight @ (tile - mean) ** 2
    shadow = mean @ block
    image = _image(tile, weight, mean, block, shadow)
    return WideMoments(total, mean, squares, image, shadow, invalid, n_rows)


def _image(rows: Array | csr_array, weight: Array, mean: Array, block: Array, shadow: Array) -> Array:
    """Centre by corrections of the small products."""
    projected = weight[:, None] * (rows @ block - shadow)
    return np.asarray(rows.T @ projected - np.outer(mean, projected.sum(axis=0)))


def _tiles(
    X: Rows, sample_weight: Array | None, gaps: Gaps, *, far: bool = False
) -> Iterator[tuple[Array | csr_array, Array]]:
    """Yield rows with their gaps filled, and their weights."""
    weights = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    if is_sparse(X) and not far:
        entries, empty = filled_entries(X, gaps)
        yield entries, np.where(empty & gaps.marginal, 0.0, weights)
        return
    for rows, tile in row_tiles(X, max(LEAST_ROWS, TILE_BYTES // (8 * X.shape[1]))):
        values, weight = tile.astype(np.float64, copy=False), weights[rows]
        if gaps.fill is not None:
            if gaps.marginal:
                weight = np.where(np.isnan(values).all(axis=1), 0.0, weight)
            values = gaps.filled(values)
        yield values, weight


def _finite(tile: Array | csr_array) -> tuple[Array | csr_array, NDArray[np.int64]]:
    """Return rows with 0 for what is not finite, and the counts of that in each column."""
    if isinstance(tile, csr_array):
        return finite_entries(tile)
    finite = np.isfinite(tile)
    invalid = np.count_nonzero(~finite, axis=0)
    # The driver refuses the data; until then nothing may warn.
    return np.where(finite, tile, 0.0) if invalid.any() else tile, invalid
