"""Regions of a map, by the map itself: neighbouring nodes whose centres lie near each other."""

from __future__ import annotations

import heapq
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.checks import check_whole

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]
Mask = NDArray[np.bool_]

MOST = 16  # regions that "auto" makes
USUAL = 4, 8  # the same where no number of regions is clear
CLEAR = 2.0  # sharpness of a number of regions that is; that of an even map is about 1
ON_MAP = 0.25  # variance of the nodes on the map, where that of their centres is 1
EMPTY = 1e-3  # what a node counts for at least, as a share of the mean


def divide(nodes: Array, weight: Array, centers: Array, n_regions: int | str, min_weight: float) -> Numbers:
    """Divide the nodes of a map into connected regions.

    Parameters
    ----------
    nodes : ndarray of shape (K, 2)
        Latent grid in [-1, 1]^2, first coordinate slowest.
    weight : ndarray of shape (K,)
        Sum of the responsibilities of each node, in rows.
    centers : ndarray of shape (K, Q)
        Where the nodes lie in model coordinates, in units of the noise.
    n_regions : int or "auto"
        How many regions to make; there are fewer where not as many can hold `min_weight`.
    min_weight : float
        Rows that a region holds at least. A map with less than twice as many stays in one piece.

    Returns
    -------
    ndarray of intp of shape (K,)
        Number of the region of each node, 0 to R - 1 by falling weight, equal ones by their first node. Every
        region is connected along the sides of the grid, and unless it is the only one holds some rows.

    Raises
    ------
    ValueError
        If `n_regions` is neither "auto" nor a whole number >= 1.

    Notes
    -----
    Neighbours are joined by Ward's criterion: always the two regions whose union adds least to the squared
    distances of the rows from the middle of their region. Rows lie where the centre of their node does, and,
    so that regions are compact, for a fifth of the whole variance where it is on the map. Of the stages of
    this the last is taken that has as many regions of `min_weight` as are wanted; smaller ones beside them
    are then joined to these by the same criterion.

    Joins within clusters cost little, and the first join of two clusters much. The sharpness of R regions is
    the cost of making them R - 1 over that of the join before, times (R - 1) / R, by which costs fall on maps
    without clusters. "auto" takes the sharpest R of 2 to 16 if that is clear (at least 2), without those that
    are too small. Else it takes the sharpest of 4 to 8, since such maps are worth a closer look as well.

    Basins of the density over the nodes were tried as well. Without clusters they are few and unequal, and
    atlases of them mostly gave rows held out less probability.

    References
    ----------
    J. H. Ward (1963). Hierarchical grouping to optimize an objective function. J. Am. Stat. Assoc. 58,
    236-244.

    Examples
    --------
    >>> import numpy as np
    >>> corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    >>> divide(corners, np.array([1.0, 1.0, 5.0, 5.0]), 10.0 * corners[:, :1], 2, min_weight=1.0)
    array([1, 1, 0, 0])
    """
    if n_regions != "auto":
        check_whole("n_regions", n_regions, 1, ", or 'auto'")
    n_nodes = len(nodes)
    whole = np.zeros(n_nodes, np.intp)
    if weight.sum() <= 0.0:
        return whole
    counted = np.maximum(weight, EMPTY * weight.mean())
    places = np.column_stack([_spread(centers, counted), np.sqrt(ON_MAP) * _spread(nodes, counted)])
    links = _sides(n_nodes)
    joins = _join(counted, places, links)
    n_large = _n_large(weight, joins.pairs, min_weight)
    if n_large.max() < 2:
        return whole
    wanted = _evident(joins.costs, n_large) if n_regions == "auto" else int(n_regions)
    if wanted < 2:
        return whole
    last = np.flatnonzero(n_large >= min(wanted, n_large.max()))[-1]
    regions = _after(n_nodes, joins.pairs[:last])
    return _by_weight(_without_small(regions, weight, counted, places, links, min_weight), weight)


class _Joins(NamedTuple):
    """What was joined of n groups, in this order; what comes of join i is group n + i."""

    pairs: Numbers  # (J, 2)
    costs: Array  # (J,) squared distances that each added


def _join(weight: Array, places: Array, links: Numbers, large: Mask | None = None) -> _Joins:
    """Join linked groups, always the cheapest pair; with `large`, only ones that are to ones that are not."""
    n = len(weight)
    weights = np.concatenate([weight, np.zeros(n - 1)])
    middles = np.concatenate([places, np.zeros((n - 1, places.shape[1]))])
    is_large = None if large is None else [*large.tolist(), *[True] * (n - 1)]
    beside: dict[int, set[int]] = {group: set() for group in range(n)}
    queue: list[tuple[float, int, int]] = []
    pairs: list[tuple[int, int]] = []
    costs: list[float] = []

    def offer(group: int, others: list[int]) -> None:
        if is_large is not None:
            others = [other for other in others if is_large[other] != is_large[group]]
        apart = ((middles[others] - middles[group]) ** 2).sum(axis=1)
        added = apart * weights[others] * weights[group] / (weights[others] + weights[group])
        for cost, other in zip(added.tolist(), others, strict=True):
            heapq.heappush(queue, (cost, other, group))

    for one, other in links.tolist():
        beside[one].add(other)
        beside[other].add(one)
        offer(max(one, other), [min(one, other)])
    while queue:
        cost, one, other = heapq.heappop(queue)
        if one not in beside or other not in beside:  # an offer to a group that has been joined since
            continue
        new = n + len(pairs)
        weights[new] = weights[one] + weights[other]
        middles[new] = (weights[one] * middles[one] + weights[other] * middles[other]) / weights[new]
        beside[new] = (beside.pop(one) | beside.pop(other)) - {one, other}
        for group in beside[new]:
            beside[group] = beside[group] - {one, other} | {new}
        pairs.append((one, other))
        costs.append(cost)
        offer(new, sorted(beside[new]))
    return _Joins(np.array(pairs, np.intp).reshape(-1, 2), np.array(costs))


def _after(n_groups: int, pairs: Numbers) -> Numbers:
    """Return for each group at first which it belongs to after joins, numbered by their first."""
    root = np.arange(n_groups + len(pairs))
    for number in reversed(range(len(pairs))):
        root[pairs[number]] = root[n_groups + number]
    return _numbered(root[:n_groups])


def _numbered(groups: Numbers) -> Numbers:
    return np.unique(groups, return_inverse=True)[1].astype(np.intp)


def _n_large(weight: Array, pairs: Numbers, min_weight: float) -> Numbers:
    """Count the groups that are large before the first join and after each, (J + 1,)."""
    weights = np.concatenate([weight, np.zeros(len(pairs))])
    for number, pair in enumerate(pairs):
        weights[len(weight) + number] = weights[pair].sum()
    large = _is_large(weights, min_weight).astype(np.intp)
    gained = large[len(weight) :] - large[pairs].sum(axis=1)
    return np.asarray(large[: len(weight)].sum() + np.concatenate([[0], np.cumsum(gained)]))


def _is_large(weight: Array, min_weight: float) -> Mask:
    return np.asarray((weight >= min_weight) & (weight > 0.0))


def _evident(costs: Array, n_large: Numbers) -> int:
    """Return how many regions "auto" makes, from what joins cost and how many large groups they left."""
    from_last = costs[::-1]  # first that of making 2 regions one

    def sharpest(least: int, most: int) -> tuple[int, float]:
        number = np.arange(min(least, len(costs) - 1), min(most, len(costs) - 1) + 1)
        before = np.maximum(from_last[number - 1], np.finfo(float).eps * costs.max())
        sharpness = from_last[number - 2] * (number - 1) / (before * number)
        return int(number[sharpness.argmax()]), float(sharpness.max())

    number, sharpness = sharpest(2, MOST)
    n_clusters = int(n_large[len(costs) + 1 - number])
    return n_clusters if sharpness >= CLEAR and n_clusters > 1 else sharpest(*USUAL)[0]


def _without_small(
    regions: Numbers, weight: Array, counted: Array, places: Array, links: Numbers, min_weight: float
) -> Numbers:
    """Join the regions that are too small to others, of which there are some."""
    within = csr_array((np.ones(len(regions)), (regions, np.arange(len(regions)))))
    size = within @ counted
    middles = within @ (counted[:, None] * places) / size[:, None]
    linked = np.unique(np.sort(regions[links], axis=1), axis=0)
    large = _is_large(within @ weight, min_weight)
    joins = _join(size, middles, linked[linked[:, 0] < linked[:, 1]], large)
    return _after(len(size), joins.pairs)[regions]


def _by_weight(regions: Numbers, weight: Array) -> Numbers:
    """Return regions numbered by falling weight, equal ones by their first node."""
    _, first = np.unique(regions, return_index=True)
    order = np.lexsort([first, -np.bincount(regions, weight)])
    return np.argsort(order)[regions]


def _spread(points: Array, weight: Array) -> Array:
    """Return points in units of their standard deviation, that of all coordinates together."""
    centered = points - np.average(points, axis=0, weights=weight)
    variance = np.average((centered**2).sum(axis=1), weights=weight)
    return centered / np.sqrt(variance) if variance > 0.0 else centered


def _sides(n_nodes: int) -> Numbers:
    """Return the pairs of nodes that are neighbours along the sides of the grid."""
    number = np.arange(n_nodes, dtype=np.intp).reshape(isqrt(n_nodes), -1)
    along = [(number[:-1], number[1:]), (number[:, :-1], number[:, 1:])]
    return np.concatenate([np.column_stack([one.ravel(), other.ravel()]) for one, other in along])
