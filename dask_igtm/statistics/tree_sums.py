"""Sums over the rows of a block under maps within maps: for each map, of the rows that lie on it or below."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.map_tree import MapTree, TreeMap
from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.posterior import posteriors, weighted_sum
from dask_igtm.posterior.tiles import Rows, csr_of, is_sparse
from dask_igtm.posterior.tree_posterior import LEAST, on_map, paths_of, tree_posteriors
from dask_igtm.statistics.row_subsets import Sums

Array = NDArray[np.float64]
Children = tuple[tuple[int, int, Model], ...]  # number of a map, its region, and what may be the map of that


def of_each_map(
    X: Rows,
    sample_weight: Array | None,
    *arguments: Any,
) -> Sums:
    """Return what a function makes of the rows of each map, which count by the probability of its path.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    *arguments
        Whatever goes with the rows, (n, ...); then the tree, the name of the kernel, a function that takes
        rows, weights, what goes with them, a model, a kernel, and its further arguments, as a tuple.
    """
    *beside, tree, kernel, function, shared = arguments
    check_weights(sample_weight)
    X = csr_of(X) if is_sparse(X) else X
    paths = paths_of(X, tree, kernel)
    found = []
    for number, own in enumerate(tree.maps):
        rows, probability = on_map(paths, number)
        weight = probability * (1.0 if sample_weight is None else sample_weight[rows])
        found.append(function(X[rows], weight, *(each[rows] for each in beside), own.model, kernel, *shared))
    return Sums(tuple(found))


def tree_log_likelihood(X: Rows, sample_weight: Array | None, tree: MapTree, kernel: str) -> Array:
    """Return the sum of ln p(x) over the rows of a block, and their weight, (2,)."""
    check_weights(sample_weight)
    total = np.zeros(2)
    for part in tree_posteriors(X, tree, kernel):
        weight = None if sample_weight is None else sample_weight[part.rows]
        total += weighted_sum(part.seen * part.log_likelihood, weight), weighted_sum(part.seen, weight)
    return total


def gains_of(
    X: Rows,
    sample_weight: Array | None,
    tree: MapTree,
    kernel: str,
    children: Children,
) -> Array:
    """Return what children would add to ln p of the rows of a block, at least, as sums of these and squares.

    A region that has a map of its own instead of its nodes changes ln p(x) by ln(1 + P (q / p - 1)), which is
    at least P ln(q / p), where q is the density of the child, p that of the nodes, and P the probability, in
    the mixture without the child, that x is of the region.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    tree : MapTree
        With the regions, which have no children.
    kernel : str
    children : tuple of (int, int, Model)
        Number of a map, its region, and what would be the map of that.

    Returns
    -------
    ndarray of shape (C + 1, 2)
        For each child the weighted sum of P ln(q / p) and that of its square; last the weight of all rows.
    """
    check_weights(sample_weight)
    X = csr_of(X) if is_sparse(X) else X
    total = np.zeros((len(children) + 1, 2))
    for part in tree_posteriors(X, tree, kernel):
        weight = part.seen if sample_weight is None else part.seen * sample_weight[part.rows]
        total += _gains(X[part.rows], weight, part.probabilities, tree, kernel, children)
    return total


def _gains(
    X: Rows, weight: Array, probabilities: Array, tree: MapTree, kernel: str, children: Children
) -> Array:
    """Return the same of a few rows, of which it is known how probable the maps are, (n, M)."""
    total = np.zeros((len(children) + 1, 2))
    total[-1] = weight.sum()
    for parent in sorted({number for number, _, _ in children}):
        there = np.flatnonzero((probabilities[:, parent] > LEAST) & (weight > 0))
        inside, log_density = _of_regions(X[there], tree.maps[parent], kernel)
        inside *= probabilities[there, parent][:, None]
        for column, (number, region, model) in enumerate(children):
            if number == parent:
                within = np.flatnonzero(inside[:, region] > LEAST)
                rows = there[within]
                better = _log_likelihood(X[rows], model, kernel) - log_density[within, region]
                gain = inside[within, region] * better
                total[column] = weight[rows] @ gain, weight[rows] @ gain**2
    return total


def _of_regions(X: Rows, own: TreeMap, kernel: str) -> tuple[Array, Array]:
    """Return probabilities of a map's regions for rows that lie on it, and ln p of their nodes, (n, R)."""
    inside, log_density = np.empty((2, X.shape[0], len(own.children)))
    per_node = len(own.regions) / np.bincount(own.regions)
    for tile in posteriors(X, own.model, kernel):
        density = tile.expectations(own.masks) * per_node  # over that of all nodes
        of_regions = density * own.shares
        inside[tile.rows] = of_regions / of_regions.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            log_density[tile.rows] = tile.log_likelihood[:, None] + np.log(density)
    return inside, log_density


def _log_likelihood(X: Rows, model: Model, kernel: str) -> Array:
    found = np.empty(X.shape[0])
    for tile in posteriors(X, model, kernel):
        found[tile.rows] = tile.log_likelihood
    return found
