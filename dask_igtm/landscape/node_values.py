"""From totals at the nodes of a map to the values of its landscapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.basis import gradient
from dask_igtm.model.model import Model
from dask_igtm.statistics.node_sums import ClassTotals, NodeTotals

Array = NDArray[np.float64]

LEVELLING = 1e-7  # share of each row that ugtm spreads over every node
PRIORS = ("estimated", "equiprobable")


def share_of_rows(weights: Array) -> Array:
    """Return the sums of responsibilities (K,) as shares of all rows."""
    return np.asarray(weights / weights.sum())


def mean_and_std(totals: NodeTotals) -> tuple[Array, Array]:
    """Mean and standard deviation of each column at each node, (K, T); NaN where a column has no value.

    Both are those of the responsibilities plus 1e-7, as in ugtm 2.3, so that a node without rows has the
    mean and the standard deviation of all rows. The standard deviation divides by the weight (ddof 0).
    """
    levelled = totals.smoothed(LEVELLING)
    known = levelled.weight > 0
    return np.where(known, levelled.mean, np.nan), np.where(known, levelled.deviation, np.nan)


def class_posterior(totals: ClassTotals, prior: str | Mapping[Any, float]) -> Array:
    """P(class | node), (K, C), by Bayes' rule; uniform at a node without rows.

    P(node | class) is the mean of the responsibilities over the rows of the class, as in ugtm 2.3.

    Parameters
    ----------
    totals : ClassTotals
    prior : {"estimated", "equiprobable"} or mapping of every label to a number
        P(class): its share of the rows, the same for all, or in proportion to the numbers.

    Raises
    ------
    ValueError
        If the prior is something else.
    """
    rows = totals.sums.sum(axis=0)
    likelihood = totals.sums / np.where(rows > 0, rows, 1.0)
    joint = likelihood * _class_prior(totals.labels, rows, prior)
    evidence = joint.sum(axis=1, keepdims=True)
    uniform = np.full(joint.shape, 1.0 / len(rows))
    return np.asarray(np.divide(joint, evidence, out=uniform, where=evidence > 0))


def check_prior(prior: str | Mapping[Any, float]) -> None:
    """Raise ValueError unless `prior` is a word or a mapping that `class_posterior` may take."""
    if not (isinstance(prior, Mapping) or (isinstance(prior, str) and prior in PRIORS)):
        raise ValueError(f"prior={prior!r}; give one of {PRIORS}, or a dict of label to probability.")


def _class_prior(labels: NDArray[Any], rows: Array, prior: str | Mapping[Any, float]) -> Array:
    check_prior(prior)
    if not isinstance(prior, Mapping):
        return rows / rows.sum() if prior == "estimated" else np.full(len(rows), 1.0 / len(rows))
    names = labels.tolist()
    if set(prior) != set(names):
        raise ValueError(f"prior has the labels {list(prior)}, and the rows {names}; give a number for each.")
    numbers = np.array([prior[name] for name in names], dtype=float)
    if not (np.isfinite(numbers).all() and (numbers >= 0).all() and numbers.sum() > 0):
        raise ValueError(f"prior={prior!r}; give finite numbers >= 0, not all of them 0.")
    return np.asarray(numbers / numbers.sum())


def covered(query: Array, reference: Array, min_support: float) -> float:
    """Share of the query's rows, (K,), on nodes where the reference has at least `min_support` rows."""
    return float(query[reference >= min_support].sum() / query.sum())


def magnification(model: Model) -> Array:
    """Area of the sheet in data space per area of the map, at each node, (K,).

    sqrt(det(J^T J)) with J the (D, 2) derivative of the sheet, in the user's units.

    References
    ----------
    C. M. Bishop, M. Svensén, C. K. I. Williams (1997). Magnification factors for the GTM algorithm. IEE
    Fifth International Conference on Artificial Neural Networks, 64-69.
    """
    steepness = model.noise.steepness(model.centers)
    first, second = (
        model.affine.inverse_linear(steepness * (slope @ model.weights)) for slope in gradient(model.basis)
    )
    # The area of the parallelogram as base times height: a determinant would cancel where it is flat.
    base = np.linalg.norm(first, axis=1)
    along = first / np.where(base > 0, base, 1.0)[:, None]
    height = np.linalg.norm(second - along * np.einsum("kd,kd->k", along, second)[:, None], axis=1)
    return np.asarray(base * height)
