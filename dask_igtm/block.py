"""What one task does to one block of rows: an ndarray in, an additive statistic or rows out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.gaps import REFUSED, Gaps
from dask_igtm.histogram import Histogram
from dask_igtm.model import Model
from dask_igtm.outputs import OF_TOP, Answers, Output
from dask_igtm.posterior import tiles
from dask_igtm.rows import Rows, row_tiles
from dask_igtm.statistics import Likelihood, Moments, PairwiseMoments, SufficientStatistics

Array = NDArray[np.float64]

MOMENTS_TILE_ROWS = 4096


def statistics(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> SufficientStatistics:
    """E-step of one block (Gaspar et al. 2015), with the responsibilities times `sample_weight`.

    Where entries are missing, their expectations stand in, so that the M-step that follows is exact EM.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    model : Model
    kernel : str
        Name of the softmax.
    """
    n_nodes, n_columns = len(model.basis.nodes), model.weights.shape[1]
    sums = np.zeros((n_columns + 1, n_nodes))
    distance_sum = log_likelihood = log_peak = 0.0
    for tile in tiles(X, model, kernel):
        weight = tile.weight(sample_weight)
        sums += tile.sums(weight)
        distance_sum += _total(tile.distance, weight)
        log_likelihood += _total(tile.log_likelihood, weight)
        log_peak += _total(tile.log_mass, weight)
    return SufficientStatistics(sums[-1], sums[:-1].T, distance_sum, log_likelihood, log_peak)


def _total(values: Array, sample_weight: Array | None) -> float:
    return float(values.sum() if sample_weight is None else sample_weight @ values)


def moments(X: Rows, sample_weight: Array | None, gaps: Gaps = REFUSED) -> Moments:
    """Weight, mean and scatter of one block, its gaps filled, and how many entries are not finite."""
    check_weights(sample_weight)
    n_columns = X.shape[1]
    total = Moments(0.0, np.zeros(n_columns), np.zeros((n_columns, n_columns)), np.zeros(n_columns, np.int64))
    for rows, tile in row_tiles(X, MOMENTS_TILE_ROWS):
        weight = None if sample_weight is None else sample_weight[rows]
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            total += _tile_moments(gaps.filled(np.asarray(tile, dtype=np.float64)), weight)
    return total


def _tile_moments(X: Array, sample_weight: Array | None) -> Moments:
    finite = np.isfinite(X)
    invalid = np.count_nonzero(~finite, axis=0)
    if invalid.any():
        X = np.where(finite, X, 0.0)  # the driver refuses the data; until then nothing may warn
    if sample_weight is None:
        weight, mean = float(len(X)), X.mean(axis=0)
        centred = weighted = X - mean
    else:
        weight = float(sample_weight.sum())
        mean = sample_weight @ X / weight if weight > 0 else np.zeros(X.shape[1])
        centred = X - mean
        weighted = sample_weight[:, None] * centred
    return Moments(weight, mean, centred.T @ weighted, invalid)


def pairwise_moments(X: Rows, sample_weight: Array | None) -> PairwiseMoments:
    """Moments of one block with gaps, and how many entries are infinite."""
    check_weights(sample_weight)
    zeros = np.zeros((X.shape[1], X.shape[1]))
    total = PairwiseMoments(0.0, zeros, zeros, zeros, np.zeros(X.shape[1], np.int64))
    for rows, tile in row_tiles(X, MOMENTS_TILE_ROWS):
        weight = np.ones(len(tile)) if sample_weight is None else sample_weight[rows]
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            total += _tile_pairwise_moments(np.asarray(tile, dtype=np.float64), weight)
    return total


def _tile_pairwise_moments(X: Array, sample_weight: Array) -> PairwiseMoments:
    invalid = np.count_nonzero(np.isinf(X), axis=0)
    seen = np.isfinite(X)
    here, X = seen.astype(np.float64), np.where(seen, X, 0.0)
    weighted = here * sample_weight[:, None]
    column_weights = weighted.sum(axis=0)
    centre = sample_weight @ X / np.where(column_weights > 0, column_weights, 1.0)
    X = (X - centre) * here  # near 0, so that the products below do not cancel
    weights = here.T @ weighted
    sums = X.T @ weighted
    means = sums / np.where(weights > 0, weights, 1.0)
    scatter = X.T @ (X * sample_weight[:, None]) - sums * means.T
    centred_back = np.where(weights > 0, means + centre[:, None], 0.0)
    return PairwiseMoments(
        float(sample_weight[seen.any(axis=1)].sum()), weights, centred_back, scatter, invalid
    )


def project(X: Rows, model: Model, kernel: str, outputs: tuple[Output, ...]) -> tuple[NDArray[Any], ...]:
    """Return one array for each of `outputs`, with one row for each row of `X`, from one E-step.

    Parameters
    ----------
    X : array of shape (n, D)
    model : Model
    kernel : str
        Name of the softmax.
    outputs : tuple of Output

    Returns
    -------
    tuple of ndarrays
        Of the widths and types that the outputs say.
    """
    check_entries(X, model.gaps)
    results = tuple(np.empty(output.shape(X.shape[0]), output.dtype) for output in outputs)
    top = max((output.width or 0 for output in outputs if output.name in OF_TOP), default=0)
    for tile in tiles(X, model, kernel):
        answers = Answers(tile, model.basis.nodes, top)
        for output, result in zip(outputs, results, strict=True):
            result[tile.rows] = getattr(answers, output.name)
    return results


def impute(X: Rows, model: Model, kernel: str) -> tuple[Array]:
    """Return the rows (n, D) with each gap filled by its expectation given what is observed of the row."""
    model = dataclasses.replace(model, gaps=Gaps("marginalize"))
    check_entries(X, model.gaps)
    centers = model.affine.inverse(model.centers)
    filled = np.empty(X.shape)
    for rows, tile in row_tiles(X, MOMENTS_TILE_ROWS):
        filled[rows] = tile
    for posterior in tiles(filled, model, kernel):
        if posterior.gaps is not None:
            part = filled[posterior.rows]
            np.copyto(part, posterior.responsibilities @ centers, where=np.isnan(part))
    return (filled,)


def likelihood(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> Likelihood:
    """Likelihood of one block; rows with nothing observed do not count."""
    check_weights(sample_weight)
    check_entries(X, model.gaps)
    weights, deviance, log_likelihood = np.empty(X.shape[0]), np.empty(X.shape[0]), 0.0
    for tile in tiles(X, model, kernel):
        weight = tile.weight(sample_weight)
        weights[tile.rows] = 1.0 if weight is None else weight
        deviance[tile.rows] = tile.deviance
        log_likelihood += _total(tile.log_likelihood, weight)
    return Likelihood(float(weights.sum()), log_likelihood, Histogram.of(deviance, weights))


def check_weights(sample_weight: Array | None) -> None:
    """Raise ValueError if a weight of a block is negative, NaN or infinite."""
    if sample_weight is None:
        return
    bad = ~(np.isfinite(sample_weight) & (sample_weight >= 0))
    if bad.any():
        raise ValueError(
            f"sample_weight has {np.count_nonzero(bad)} negative or non-finite values; give weights >= 0."
        )


def check_entries(X: Rows, gaps: Gaps) -> None:
    """Raise ValueError naming the columns of a block that hold infinity, or gaps that are not allowed."""
    invalid = invalid_entries(X, None, gaps)
    if invalid.any():
        raise ValueError(invalid_message(invalid))


def invalid_entries(X: Rows, sample_weight: Array | None, gaps: Gaps) -> NDArray[np.int64]:
    """Count what `check_entries` refuses in each column of a block."""
    check_weights(sample_weight)
    invalid = np.zeros(X.shape[1], np.int64)
    for _, tile in row_tiles(X, MOMENTS_TILE_ROWS):
        invalid += np.count_nonzero(np.isinf(tile) if gaps.allowed else ~np.isfinite(tile), axis=0)
    return invalid


def invalid_message(invalid: NDArray[np.int64], names: Sequence[str] | None = None) -> str:
    """Say how many entries of which columns are NaN or infinite, and what to do."""
    columns = np.flatnonzero(invalid)
    listed = name_columns(columns, names, counts=invalid[columns])
    return (
        f"X contains NaN or inf: {listed}. For gaps (NaN), fit with missing='marginalize' or 'median'; "
        "infinities have to be dropped or replaced, on a dask array with da.where(da.isinf(X), value, X)."
    )


def name_columns(columns: Any, names: Sequence[str] | None, counts: Any = None) -> str:
    """List a few columns by name or number, each with its count where there are counts."""
    listed = [f"column {c if names is None else repr(names[c])}" for c in columns[:5]]
    if counts is not None:
        listed = [f"{count} in {column}" for count, column in zip(counts, listed, strict=False)]
    more = f" and {len(columns) - 5} more columns" if len(columns) > 5 else ""
    return ", ".join(listed) + more
