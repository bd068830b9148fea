"""A map as a kernel sees it, in the precision in which it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import Functions, functions_of
from dask_igtm.model.model import Model
from dask_igtm.model.remember import remembered

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
        The natural parameters by these functions, for centres over beta_inv: t = z @ slopes are all of a row
        z that logits need.
    half_squares : ndarray of shape (K,)
        What is taken off the logits of each node, |y|^2 / (2 beta_inv) of a centre; times the exposure of a
        row where rows have one.
    largest_term : float
        What a logit of a typical row adds up at most.
    cells : ndarray of shape (C,)
        Nodes at the middles of square cells of the map, if most rows need but a few nodes; none otherwise.
    """

    axis: Real
    further: Real
    functions: Real
    slopes: Real
    half_squares: Real
    largest_term: float
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
    functions, noise = functions_of(model.basis), model.noise
    half_squares = noise.normalisers(model)
    slopes = noise.slopes(model, functions.values)
    return Geometry(
        functions.axis.astype(dtype),
        functions.further.astype(dtype),
        functions.values.astype(dtype),
        np.ascontiguousarray(slopes.astype(dtype)),
        half_squares.astype(dtype),
        noise.largest_term(model),
        _cells(functions, slopes, model.means, half_squares, noise.mean_exposure, dtype),
    )


def _cells(
    functions: Functions, slopes: Real, means: Real, half_squares: Real, exposure: float, dtype: Any
) -> NDArray[np.intp]:
    """Say by rows that are the means of some nodes how many nodes a row needs."""
    k = len(functions.axis)
    places = np.unique((2 * np.arange(CELLS) + 1) * k // (2 * CELLS))
    cells = np.add.outer(k * places, places).ravel()
    logits = exposure * (means[cells] @ slopes @ functions.values.T - half_squares)
    needed = np.mean(logits - logits.max(axis=1, keepdims=True) > _bound(dtype, len(means)))
    return cells[: len(cells) if needed < SHARP else 0]


def _bound(dtype: Any, n_nodes: int) -> float:
    return float(np.log(np.finfo(dtype).eps / n_nodes))
