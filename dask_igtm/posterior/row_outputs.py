"""What can be read of a row and how it is stored, in the one list of outputs; and the E-step behind it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.tiles import Rows, row_tiles

Array = NDArray[np.float64]


OF_TOP = {"top_nodes", "top_responsibilities"}
POSITIONS = {"means": ("x1", "x2"), "modes": ("mode_x1", "mode_x2")}
ONE_OF = {
    "top_nodes": "top_node",
    "top_responsibilities": "top_responsibility",
    "responsibilities": "responsibility",
}


@dataclass(frozen=True)
class Output:
    """One array with a row for each row of X.

    Attributes
    ----------
    name : str
        That of an attribute of `Answers`.
    width : int or None
        Columns; None for one number a row.
    dtype : str
    fill : float or int
        What no row has: it stands where nothing was written yet.
    """

    name: str
    width: int | None = None
    dtype: str = "float64"
    fill: float = np.nan

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return np.dtype(self.dtype).itemsize * (self.width or 1)

    def shape(self, n_rows: int) -> tuple[int, ...]:
        """Shape of that many rows."""
        return (n_rows,) if self.width is None else (n_rows, self.width)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns in a table: ranks count from 1, as coordinates do, and nodes from 0."""
        if self.width is None:
            return (self.name,)
        if self.name in POSITIONS:
            return POSITIONS[self.name]
        first = 1 if self.name in OF_TOP else 0
        one = ONE_OF.get(self.name, self.name)
        return tuple(f"{one}_{i}" for i in range(first, first + self.width))


NUMBERED = ("int32", -1)  # type and fill of a node's index


def outputs_of(names: Sequence[str], n_nodes: int, top: int = 1) -> tuple[Output, ...]:
    """Describe the outputs of these names, for a map of `n_nodes`.

    Raises
    ------
    ValueError
        If there is none, one twice, or an unknown one; or if it takes more nodes than there are.
    """
    known = (
        Output("means", 2),
        Output("modes", 2),
        Output("node", None, *NUMBERED),
        Output("top_nodes", top, *NUMBERED),
        Output("top_responsibilities", top),
        Output("responsibilities", n_nodes),
        Output("relative", n_nodes),
        Output("entropy"),
        Output("log_likelihood"),
        Output("deviance"),
    )
    by_name = {output.name: output for output in known}
    chosen = tuple(names)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(by_name):
        raise ValueError(f"outputs={names!r}; give some of {tuple(by_name)}, each once.")
    if top > n_nodes and OF_TOP & set(chosen):
        raise ValueError(f"top={top} is more than the {n_nodes} nodes of the map; give at most {n_nodes}.")
    return tuple(by_name[name] for name in chosen)


class Answers:
    """What a tile says of its rows; one attribute for each output, worked out when it is asked for.

    Parameters
    ----------
    tile : Posterior
    nodes : ndarray of shape (K, 2)
    top : int
        How many nodes `top_nodes` and `top_responsibilities` name.
    """

    def __init__(self, tile: Posterior, nodes: Array, top: int) -> None:
        self._posterior = tile
        self.log_likelihood, self.deviance, self.entropy = tile.log_likelihood, tile.deviance, tile.entropy
        self._nodes, self._top = nodes, top

    @functools.cached_property
    def responsibilities(self) -> Any:
        """One column for each node."""
        return self._posterior.responsibilities

    @functools.cached_property
    def node(self) -> Any:
        """Index of the largest responsibility, the first on ties."""
        return self._posterior.node

    @property
    def modes(self) -> Any:
        """Where on the map that node lies."""
        return self._nodes[self.node]

    @property
    def means(self) -> Array:
        """Mean position on the map."""
        return self._posterior.expectations(self._nodes)

    @property
    def relative(self) -> Any:
        """Responsibilities over the largest of their row."""
        return self.responsibilities / self.responsibilities.max(axis=1, keepdims=True)

    @property
    def top_nodes(self) -> Any:
        """Indices of the largest responsibilities, descending."""
        return self._largest[0]

    @property
    def top_responsibilities(self) -> Any:
        """The largest responsibilities, descending."""
        return self._largest[1]

    @functools.cached_property
    def _largest(self) -> tuple[Any, Array]:
        """Search the largest again and again, which for a few beats sorting, and puts ties in order."""
        left = self.responsibilities.copy()
        every = np.arange(len(left))
        nodes = np.empty((len(left), self._top), np.int32)
        values = np.empty(nodes.shape)
        for rank in range(self._top):
            nodes[:, rank] = best = left.argmax(axis=1)
            values[:, rank] = left[every, best]
            left[every, best] = -1.0
        return nodes, values


def project(X: Rows, model: Model, kernel: str, outputs: tuple[Output, ...]) -> tuple[NDArray[Any], ...]:
    """Return one array for each of `outputs`, with one row for each row of `X`, from one E-step.

    Parameters
    ----------
    X : array of shape (n, D)
    model : Model
    kernel : str
        Name of the kernel.
    outputs : tuple of Output

    Returns
    -------
    tuple of ndarrays
        Of the widths and types that the outputs say.
    """
    results = tuple(np.empty(output.shape(X.shape[0]), output.dtype) for output in outputs)
    top = max((output.width or 0 for output in outputs if output.name in OF_TOP), default=0)
    for tile in posteriors(X, model, kernel):
        answers = Answers(tile, model.basis.nodes, top)
        for output, result in zip(outputs, results, strict=True):
            result[tile.rows] = getattr(answers, output.name)
    return results


def impute(X: Rows, model: Model, kernel: str) -> tuple[Array]:
    """Return the rows (n, D) with each gap filled by its expectation given what is observed of the row."""
    model = dataclasses.replace(model, gaps=Gaps("marginalize"))
    centers = model.affine.inverse(model.means)
    filled = np.empty(X.shape)
    for rows, tile in row_tiles(X):
        filled[rows] = tile
    for posterior in posteriors(filled, model, kernel):
        if posterior.gaps is not None:
            part = filled[posterior.rows]  # a copy where the rows are picked
            np.copyto(part, posterior.expectations(centers), where=np.isnan(part))
            filled[posterior.rows] = part
    return (filled,)
