"""A map as a kernel sees it, in the precision in which it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import Functions, functions_of
from dask_igtm.model.model import Model
from dask_igtm.model.remember import remembered
from dask_igtm.posterior.coordinates import squared_norms

Real = NDArray[np.floating[Any]]

SHARP = 0.25  # share of the nodes that count as few
CELLS = 4  # along a side of the map


@dataclass(frozen=True)
class Geometry:
    """What logits are made of: rows meet the q * q + 1 functions of a map instead of its K centres.

    Attributes
    ----------
    axis, further, functions : ndarrays of shape (k, q), (K,) and (K, q * q + 1)
        See `Functions`; its values at the nodes are the last: logits of t are `functions @ t - half_squares`.
    slopes : ndarray of shape (Q, q * q + 1)
        The centres by these functions, over beta_inv: t = z @ slopes are all of a row z that logits need.
    half_squares : ndarray of shape (K,)
        |y|^2 / (2 beta_inv) of each centre.
    largest_square : float
        Largest |y|^2.
    cells : ndarray of shape (C,)
        Nodes at the middles of square cells of the map, if most rows need but a few nodes; none otherwise.
    """

    axis: Real
    further: Real
    functions: Real
    slopes: Real
    half_squares: Real
    largest_square: float
    cells: NDArray[np.intp]

    @property
    def bound(self) -> float:
        """How far below the largest logit of its row a logit may lie, negative, in nats.

        Beyond it a responsibility is 0: even those of all K nodes would add less than rounding to their sum.
        """
        return _bound(self.axis.dtype, len(self.further))


@remembered
def geometry_of(model: Model, dtype: type[np.floating[Any]]) -> Geometry:
    """Return the geometry of a model in one precision, shared by all blocks that a process has of a pass."""
    functions, centers = functions_of(model.basis), model.centers
    squares = squared_norms(centers)
    half_squares = 0.5 / model.beta_inv * squares
    return Geometry(
        functions.axis.astype(dtype),
        functions.further.astype(dtype),
        functions.values.astype(dtype),
        np.ascontiguousarray((centers.T @ functions.values / model.beta_inv).astype(dtype)),
        half_squares.astype(dtype),
        float(squares.max()),
        _cells(functions, centers / model.beta_inv, centers, half_squares, dtype),
    )


def _cells(
    functions: Functions, slopes: Real, centers: Real, half_squares: Real, dtype: Any
) -> NDArray[np.intp]:
    """Say by rows that lie at some nodes how many nodes a row needs."""
    k = len(functions.axis)
    places = np.unique((2 * np.arange(CELLS) + 1) * k // (2 * CELLS))
    cells = np.add.outer(k * places, places).ravel()
    logits = slopes[cells] @ centers.T - half_squares - half_squares[cells, None]
    needed = np.mean(logits > _bound(dtype, len(centers)))
    return cells[: len(cells) if needed < SHARP else 0]


def _bound(dtype: Any, n_nodes: int) -> float:
    return float(np.log(np.finfo(dtype).eps / n_nodes))
