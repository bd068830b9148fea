"""A region of the map, in any of the ways in which a user may say it, as a mask of the nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

EDGE = 1e-9  # so near to an edge a node lies on it: (2 / 3 - 1) is not -1 / 3 to the last bit
KINDS = (
    "give the number of a node or several, a mask of the nodes, a box (x1_min, x1_max, x2_min, x2_max) "
    "of fractions such as 0.0, or the corners [(x1, x2), ...] of a polygon"
)


def node_mask(nodes: Array, region: Any) -> Mask:
    """Return which nodes lie in a region.

    Parameters
    ----------
    nodes : ndarray of shape (K, 2)
        Coordinates of the nodes in [-1, 1]^2.
    region : int, sequence of int, (K,) bools, four floats, or (2, 2) or (P, 2) numbers
        Numbers of nodes; a mask of them; a box (x1_min, x1_max, x2_min, x2_max), in pairs too; or the corners
        of a polygon, in their order and at least three. Whole numbers in one dimension are nodes, fractions a
        box. Edges belong to boxes and polygons; of a polygon that crosses itself, inside is what a ray leaves
        through an odd number of edges.

    Returns
    -------
    ndarray of bool of shape (K,)

    Raises
    ------
    ValueError
        If the region is none of these, or has no node in it.

    Examples
    --------
    >>> import numpy as np
    >>> corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    >>> node_mask(corners, (-1.0, 0.0, -1.0, 1.0))
    array([ True,  True, False, False])
    >>> node_mask(corners, ((-1, 1), (0, 1)))
    array([False,  True, False,  True])
    """
    given = _array(region)
    mask = _mask(nodes, given, region)
    if not mask.any():
        raise ValueError(f"region={region!r} has none of the {len(nodes)} nodes of the map in it; {KINDS}.")
    return mask


def _array(region: Any) -> NDArray[Any]:
    try:
        return np.asarray(region)
    except ValueError:  # of parts that differ in length
        raise ValueError(f"region={region!r} is no region; {KINDS}.") from None


def _mask(nodes: Array, given: NDArray[Any], region: Any) -> Mask:
    if given.dtype.kind == "b" and given.shape == (len(nodes),):
        return given.copy()
    if given.dtype.kind in "iu" and given.ndim <= 1 and given.size:
        return _of_numbers(len(nodes), np.atleast_1d(given), region)
    if given.dtype.kind in "iuf" and np.isfinite(given).all():
        if given.shape in {(4,), (2, 2)}:
            return _in_box(nodes, given.ravel(), region)
        if given.ndim == 2 and given.shape[1] == 2 and len(given) > 2:
            return _in_polygon(nodes, given.astype(np.float64))
    raise ValueError(
        f"region={region!r} is no region of a map of {len(nodes)} nodes: it is of shape {given.shape} and "
        f"dtype {given.dtype}; {KINDS}."
    )


def _of_numbers(n_nodes: int, numbers: NDArray[Any], region: Any) -> Mask:
    if numbers.min() < 0 or numbers.max() >= n_nodes or len(np.unique(numbers)) < len(numbers):
        raise ValueError(
            f"region={region!r} is of whole numbers, which are those of nodes, each once and from 0 to "
            f"{n_nodes - 1}; {KINDS}."
        )
    mask = np.zeros(n_nodes, bool)
    mask[numbers] = True
    return mask


def _in_box(nodes: Array, box: NDArray[Any], region: Any) -> Mask:
    least, most = box[[0, 2]], box[[1, 3]]
    if (least > most).any():
        raise ValueError(
            f"region={region!r} is a box that ends before it begins; give (x1_min, x1_max, x2_min, x2_max)."
        )
    return np.asarray(((nodes >= least - EDGE) & (nodes <= most + EDGE)).all(axis=1))


def _in_polygon(nodes: Array, corners: Array) -> Mask:
    """Return which nodes lie in a polygon, by the parity of the edges that a ray crosses, or on an edge."""
    inside = np.zeros(len(nodes), bool)
    on_edge = inside.copy()
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along, to_node = end - start, nodes - start
        share = np.clip(to_node @ along / max(along @ along, np.finfo(float).tiny), 0.0, 1.0)
        on_edge |= np.hypot(*(to_node - share[:, None] * along).T) <= EDGE
        between = (start[1] > nodes[:, 1]) != (end[1] > nodes[:, 1])
        with np.errstate(
            divide="ignore", invalid="ignore"
        ):  # of edges along the ray, which `between` leaves out
            crossing = start[0] + (nodes[:, 1] - start[1]) * along[0] / along[1]
        inside = inside ^ (between & (nodes[:, 0] < crossing))
    return np.asarray(inside | on_edge)
