"""What fitted maps within maps can do with rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.model.arrays import digest
from dask_igtm.model.map_tree import MapTree
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.map_rows import compute, map_rows
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.posterior.tree_outputs import project_tree, tree_outputs_of
from dask_igtm.projection.fitted_map import NOTHING_COUNTS, FittedMap
from dask_igtm.statistics.tree_sums import of_each_map, tree_log_likelihood


@dataclass(frozen=True)
class FittedTree:
    """A tree of maps, and the kernel that computes with it; what `FittedMap` is of a map.

    Attributes
    ----------
    model : MapTree
    kernel : str
        Name of the kernel.
    """

    model: MapTree
    kernel: str = field(default_factory=best_kernel)
    projector: ClassVar[Callable[..., Any]] = staticmethod(project_tree)

    @property
    def digest(self) -> str:
        """Fingerprint of the tree."""
        return digest(self.model.pack())

    @property
    def maps(self) -> list[FittedMap]:
        """Each map by itself."""
        return [FittedMap(own.model, self.kernel) for own in self.model.maps]

    def outputs(self, names: Sequence[str], _top: int = 1) -> tuple[Output, ...]:
        """Describe what can be read of a row; raises as `tree_outputs_of` does."""
        return tree_outputs_of(names, len(self.model))

    def project(self, rows: RowBlocks, outputs: tuple[Output, ...]) -> tuple[Any, ...]:
        """Return an array for each output: lazy and of one pass, or ndarrays where the rows are in memory."""
        arrays = map_rows(rows, project_tree, self.model, self.kernel, outputs, outputs=outputs)
        computed: tuple[Any, ...] = compute(arrays, in_memory=True) if rows.in_memory else arrays
        return computed

    def reduce(
        self, rows: RowBlocks, function: Callable[..., Any], *shared: Any, label: str
    ) -> tuple[Any, ...]:
        """Return for each map what `FittedMap.reduce` does, where rows count by their paths; in one pass."""
        arguments = (self.model, self.kernel, function, shared)
        return tuple(reduce(prepare(rows), of_each_map, *arguments, label=label).each)

    def mean_log_likelihood(self, rows: RowBlocks) -> float:
        """Return the mean of ln p(x); raise ValueError if no row counts."""
        arguments = (self.model, self.kernel)
        total, weight = reduce(prepare(rows), tree_log_likelihood, *arguments, label="igtm-likelihood")
        if weight < LEAST_WEIGHT:
            raise ValueError(NOTHING_COUNTS)
        return float(total / weight)


Fitted = FittedMap | FittedTree
