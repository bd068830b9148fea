"""What one task does to one block of rows: an ndarray in, an additive statistic or rows out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model import Model
from dask_igtm.posterior import Rows, tiles
from dask_igtm.statistics import Moments, SufficientStatistics

Array = NDArray[np.float64]

MOMENTS_TILE_ROWS = 4096
OUTPUTS = ("means", "modes", "responsibilities", "log_likelihood")


def statistics(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> SufficientStatistics:
    """E-step of one block (Gaspar et al. 2015), with the responsibilities times `sample_weight`.

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
        weight = None if sample_weight is None else sample_weight[tile.rows]
        sums += tile.sums(weight)
        distance_sum += _total(tile.distance, weight)
        log_likelihood += _total(tile.log_sum + model.log_normalization, weight)
        log_peak += _total(tile.log_mass, weight)
    return SufficientStatistics(sums[-1], sums[:-1].T, distance_sum, log_likelihood, log_peak)


def _total(values: Array, sample_weight: Array | None) -> float:
    return float(values.sum() if sample_weight is None else sample_weight @ values)


def moments(X: Rows, sample_weight: Array | None) -> Moments:
    """Weight, mean and scatter of one block, and how many entries of each column are not finite."""
    check_weights(sample_weight)
    n_columns = X.shape[1]
    total = Moments(0.0, np.zeros(n_columns), np.zeros((n_columns, n_columns)), np.zeros(n_columns, np.int64))
    for start in range(0, len(X), MOMENTS_TILE_ROWS):
        rows = slice(start, start + MOMENTS_TILE_ROWS)
        weight = None if sample_weight is None else sample_weight[rows]
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            total += _tile_moments(np.asarray(X[rows], dtype=np.float64), weight)
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


def project(X: Rows, model: Model, kernel: str, output: str) -> Array:
    """Return one row of `output` for each row of `X`; see `project_all`."""
    return project_all(X, model, kernel, (output,))[0]


def project_all(X: Rows, model: Model, kernel: str, outputs: tuple[str, ...]) -> tuple[Array, ...]:
    """Return one array for each of `outputs`, with one row for each row of `X`, from one E-step.

    Parameters
    ----------
    X : array of shape (n, D)
    model : Model
    kernel : str
        Name of the softmax.
    outputs : tuple of {"means", "modes", "responsibilities", "log_likelihood"}

    Returns
    -------
    tuple of ndarrays
        Of shape (n, 2), (n, K) for responsibilities, (n,) for the log-likelihood, ln p(x) as a density
        in the user's units.
    """
    check_finite(X)
    widths = [output_width(model, output) for output in outputs]
    results = tuple(np.empty((len(X),) if width is None else (len(X), width)) for width in widths)
    for tile in tiles(X, model, kernel):
        for output, result in zip(outputs, results, strict=True):
            if output == "log_likelihood":
                result[tile.rows] = tile.log_sum + model.log_normalization
            else:
                result[tile.rows] = read_off(tile.responsibilities, model.basis.nodes, output)
    return results


def read_off(responsibilities: NDArray[np.floating[Any]], nodes: Array, output: str) -> Any:
    """Return "means", "modes", "responsibilities", or those "relative" to the largest of their row."""
    if output == "means":
        return responsibilities @ nodes
    if output == "modes":
        return nodes[responsibilities.argmax(axis=1)]
    if output == "relative":
        return responsibilities / responsibilities.max(axis=1, keepdims=True, initial=0.0)
    return responsibilities


def output_width(model: Model, output: str) -> int | None:
    """Columns of `project(..., output)`; None for one number a row."""
    return {"responsibilities": len(model.basis.nodes), "log_likelihood": None}.get(output, 2)


def log_likelihood_sum(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> Array:
    """Return the sums over a block of ln p(x) and of 1, each row times its weight, as an array (2,)."""
    check_weights(sample_weight)
    values = project(X, model, kernel, "log_likelihood")
    return np.array([_total(values, sample_weight), _total(np.ones(len(X)), sample_weight)])


def check_weights(sample_weight: Array | None) -> None:
    """Raise ValueError if a weight of a block is negative, NaN or infinite."""
    if sample_weight is None:
        return
    bad = ~(np.isfinite(sample_weight) & (sample_weight >= 0))
    if bad.any():
        raise ValueError(
            f"sample_weight has {np.count_nonzero(bad)} negative or non-finite values; give weights >= 0."
        )


def check_finite(X: Rows) -> None:
    """Raise ValueError naming the columns of a block that hold NaN or infinity."""
    invalid = np.zeros(X.shape[1], np.int64)
    for start in range(0, len(X), MOMENTS_TILE_ROWS):
        invalid += np.count_nonzero(~np.isfinite(X[start : start + MOMENTS_TILE_ROWS]), axis=0)
    if invalid.any():
        raise ValueError(invalid_message(invalid))


def invalid_message(invalid: NDArray[np.int64], names: Sequence[str] | None = None) -> str:
    """Say how many entries of which columns are NaN or infinite, and what to do."""
    columns = np.flatnonzero(invalid)
    listed = ", ".join(
        f"{invalid[c]} in column {c if names is None else repr(names[c])}" for c in columns[:5]
    )
    more = f" and {len(columns) - 5} more columns" if len(columns) > 5 else ""
    return (
        f"X contains NaN or inf: {listed}{more}. Fill or drop these entries first, for example with "
        "sklearn.impute.SimpleImputer in memory, or da.where(da.isnan(X), value, X) on a dask array."
    )
