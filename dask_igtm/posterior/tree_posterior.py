"""What rows say under maps within maps: their density, and which map they belong to.

Each map stands in the mixture with the nodes of its regions that have no map of their own, see `MapTree`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array, vstack
from scipy.special import logsumexp

from dask_igtm.model.map_tree import MapTree, TreeMap
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.tiles import Rows, csr_of, is_sparse

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

LEAST = float(np.finfo(np.float64).eps)  # probability with which a row counts on a map
ROWS = 8192  # whose figures under all maps are held at a time
# ln of how many times the density of a row is below that of a whole map, from which what other regions leave
# of that is more than rounding: kernels take responsibilities for 0 that add less than that to all of them.
OFF = 6.0


@dataclass(frozen=True)
class TreePosterior:
    """What some rows say under a tree.

    Attributes
    ----------
    rows : slice
        Where they are in their block.
    parts : ndarray of shape (n, M)
        Logarithms of what each map adds to p(x), in the user's units.
    positions : ndarray of shape (n, M, 2) or None
        Mean positions on each map, among the nodes with which it stands in the mixture.
    nodes : ndarray of shape (n, M) or None
        The likeliest of these nodes.
    seen : ndarray of shape (n,)
        1 for rows of which anything is observed, 0 for others.
    above : ndarray of shape (M, M)
        As `MapTree.above`.
    """

    rows: slice
    parts: Array
    positions: Array | None
    nodes: Indices | None
    seen: Array
    above: Array

    @property
    def log_likelihood(self) -> Array:
        """Ln p(x), (n,)."""
        return np.asarray(logsumexp(self.parts, axis=1))

    @property
    def probabilities(self) -> Array:
        """Posterior of the maps, (n, M); rows sum to 1."""
        return np.asarray(np.exp(self.parts - self.log_likelihood[:, None]))

    @property
    def paths(self) -> Array:
        """Probability, (n, M), that a row belongs to a map or to one below it; 1 for the root."""
        found = np.minimum(self.probabilities @ self.above, 1.0)
        found[:, 0] = 1.0
        return found

    @property
    def leaf(self) -> Indices:
        """Number of the likeliest map, (n,), the first on ties."""
        return np.asarray(self.parts.argmax(axis=1))


def tree_posteriors(
    X: Rows, tree: MapTree, kernel: str, *, positions: bool = False
) -> Iterator[TreePosterior]:
    """Walk the rows of a block, which is not to be sparse in other than CSR, under all maps of a tree.

    Parameters
    ----------
    X : array of shape (n, D)
    tree : MapTree
    kernel : str
        Name of the kernel.
    positions : bool
        Whether to work out where on each map rows lie.

    Raises
    ------
    ValueError
        As `posteriors`.
    """
    X = csr_of(X) if is_sparse(X) else X
    above = tree.above
    for start in range(0, X.shape[0], ROWS):
        rows = slice(start, min(start + ROWS, X.shape[0]))
        found = _Found.of_nothing((rows.stop - start, len(tree)), positions=positions)
        _add(found, X[rows], tree, kernel)
        yield TreePosterior(rows, *found, above)


class _Found(NamedTuple):
    """What all maps say of some rows; as in `TreePosterior`."""

    parts: Array
    positions: Array | None
    nodes: Indices | None
    seen: Array

    @classmethod
    def of_nothing(cls, shape: tuple[int, int], *, positions: bool) -> _Found:
        means = np.zeros((*shape, 2)) if positions else None
        nodes = np.zeros(shape, np.intp) if positions else None
        return cls(np.full(shape, -np.inf), means, nodes, np.ones(shape[0]))

    def write(self, rows: Any, number: int, part: Array, place: Any, node: Any) -> None:
        self.parts[rows, number] = part
        if self.positions is not None and self.nodes is not None:
            self.positions[rows, number], self.nodes[rows, number] = place, node


def _add(found: _Found, X: Rows, tree: MapTree, kernel: str) -> None:
    """Write what each map says of rows."""
    most = np.full(found.parts.shape, -np.inf)  # of what divided maps may add
    shares, positions = tree.log_shares, found.positions is not None
    for number, own in enumerate(tree.maps):
        of_nodes = own.of_nodes
        if not of_nodes.any():  # its children stand for all of it
            continue
        for tile in posteriors(X, own.model, kernel):
            log_mass, place, node = _of_tile(tile, own, of_nodes, positions=positions)
            whole = shares[number] + tile.log_likelihood
            found.write(tile.rows, number, whole + log_mass, place, node)
            seen = tile.weight(None)
            found.seen[tile.rows] = 1.0 if seen is None else seen
            if own.divided:
                most[tile.rows, number] = whole + np.log(of_nodes.max())
    off = most > logsumexp(found.parts, axis=1, keepdims=True) + OFF
    for number in np.flatnonzero(off.any(axis=0)).tolist():
        rows = np.flatnonzero(off[:, number])
        for tile in posteriors(X[rows], tree.maps[number].model, kernel):
            log_mass, place, node = _by_logarithms(tile, tree.maps[number])
            part = shares[number] + tile.log_likelihood + log_mass
            found.write(rows[tile.rows], number, part, place, node)


def paths_of(X: Rows, tree: MapTree, kernel: str) -> csc_array:
    """Return the probabilities that the rows of a block belong to each map or to one below it, (n, M).

    Those that are next to nothing are left out.
    """
    every = (part.paths for part in tree_posteriors(X, tree, kernel))
    found = [csr_array(np.where(paths > LEAST, paths, 0.0)) for paths in every]
    return vstack(found, format="csc") if found else csc_array((0, len(tree)))


def on_map(paths: csc_array, number: int) -> tuple[Indices, Array]:
    """Return which rows lie on a map or below it, and with what probability, of what `paths_of` returns."""
    entries = slice(*paths.indptr[number : number + 2])
    return paths.indices[entries], paths.data[entries]


def _of_tile(tile: Posterior, own: TreeMap, of_nodes: Array, *, positions: bool) -> tuple[Any, Any, Any]:
    """Return ln of how much of p(x) of a map the weighted nodes keep, and the mean and likeliest of these."""
    if not own.divided:
        return (
            0.0,
            tile.expectations(own.model.basis.nodes) if positions else None,
            tile.node if positions else None,
        )
    columns = np.column_stack([np.ones(len(of_nodes)), own.model.basis.nodes]) * of_nodes[:, None]
    kept = tile.expectations(columns if positions else columns[:, :1]).astype(np.float64)
    mass = kept[:, 0]
    with np.errstate(divide="ignore"):
        log_mass = np.log(mass)
    if not positions:
        return log_mass, None, None
    place = kept[:, 1:] / np.where(mass > 0, mass, 1.0)[:, None]
    return log_mass, place, (tile.responsibilities * of_nodes).argmax(axis=1)


def _by_logarithms(tile: Posterior, own: TreeMap) -> tuple[Array, Array, Indices]:
    """Return the same where next to nothing of the density of the map is of these nodes."""
    with np.errstate(divide="ignore"):
        logs = tile.logarithms + np.log(own.of_nodes)
    log_mass = np.asarray(logsumexp(logs, axis=1))
    place = np.exp(logs - log_mass[:, None]) @ own.model.basis.nodes
    return log_mass, place, logs.argmax(axis=1)
