"""What can be read of a row under maps within maps, in the one list of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.map_tree import MapTree
from dask_igtm.posterior.row_outputs import NUMBERED, Output
from dask_igtm.posterior.tiles import Rows
from dask_igtm.posterior.tree_posterior import TreePosterior, tree_posteriors

OF_LEAF = {"means", "node"}  # outputs that have to know positions


def tree_outputs_of(names: Sequence[str], n_maps: int) -> tuple[Output, ...]:
    """Describe the outputs of these names, for a tree of so many maps.

    Raises
    ------
    ValueError
        If there is none, one twice, or an unknown one.
    """
    known = (
        Output("means", 2),
        Output("leaf", None, *NUMBERED),
        Output("node", None, *NUMBERED),
        Output("probability"),
        Output("log_likelihood"),
        Output("paths", n_maps),
    )
    by_name = {output.name: output for output in known}
    chosen = tuple(names)
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(by_name):
        raise ValueError(f"outputs={names!r}; give some of {tuple(by_name)}, each once.")
    return tuple(by_name[name] for name in chosen)


def project_tree(
    X: Rows, tree: MapTree, kernel: str, outputs: tuple[Output, ...]
) -> tuple[NDArray[Any], ...]:
    """Return one array for each of `outputs`, with a row for each row of `X`; as `project` does of a map."""
    results = tuple(np.empty(output.shape(X.shape[0]), output.dtype) for output in outputs)
    positions = any(output.name in OF_LEAF for output in outputs)
    for part in tree_posteriors(X, tree, kernel, positions=positions):
        for output, result in zip(outputs, results, strict=True):
            result[part.rows] = _answer(part, output.name)
    return results


def _answer(part: TreePosterior, name: str) -> Any:
    """Return one output of some rows."""
    every, leaf = np.arange(len(part.parts)), part.leaf
    if name in OF_LEAF:
        found: Any = part.positions if name == "means" else part.nodes
        return found[every, leaf]
    return part.probabilities[every, leaf] if name == "probability" else getattr(part, name)
