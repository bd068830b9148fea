"""What can be read of a row, and how it is stored: the one list of outputs."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.posterior import Tile

Array = NDArray[np.float64]


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

    def written(self, rows: NDArray[Any]) -> bool:
        """Whether every one of these stored rows was written."""
        missing = np.isnan(rows) if np.isnan(self.fill) else rows == self.fill
        return not missing.any()


OF_TOP = {"top_nodes", "top_responsibilities"}
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
    tile : Tile
    nodes : ndarray of shape (K, 2)
    top : int
        How many nodes `top_nodes` and `top_responsibilities` name.
    """

    def __init__(self, tile: Tile, nodes: Array, top: int) -> None:
        self.responsibilities = tile.responsibilities
        self.log_likelihood, self.deviance, self.entropy = tile.log_likelihood, tile.deviance, tile.entropy
        self._nodes, self._top = nodes, top

    @functools.cached_property
    def node(self) -> Any:
        """Index of the largest responsibility, the first on ties."""
        return self.responsibilities.argmax(axis=1)

    @property
    def modes(self) -> Any:
        """Where on the map that node lies."""
        return self._nodes[self.node]

    @property
    def means(self) -> Array:
        """Mean position on the map."""
        return np.asarray(self.responsibilities @ self._nodes)

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
