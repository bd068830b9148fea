"""What a fitted map can do with rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.model.arrays import digest, pack
from dask_igtm.model.checks import check_whole
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.map_rows import compute, map_rows
from dask_igtm.passes.reduce import reduce, reduce_each
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.posterior.row_outputs import Output, impute, outputs_of, project
from dask_igtm.statistics.likelihood import Likelihood, likelihood_of

Array = NDArray[np.float64]

NOTHING_COUNTS = (
    "Every sample_weight is zero or next to it, or no row has an entry; give at least one row with an entry "
    "a positive weight."
)


@dataclass(frozen=True)
class FittedMap:
    """A model, and the kernel that computes with it: what landscapes, pictures and estimators take.

    Attributes
    ----------
    model : Model
    kernel : str
        Name of the kernel; the fastest here, whatever fitted the model.
    """

    model: Model
    kernel: str = field(default_factory=best_kernel)
    projector: ClassVar[Callable[..., Any]] = staticmethod(project)

    @property
    def digest(self) -> str:
        """Fingerprint of the model."""
        return digest(pack(self.model))

    @property
    def nodes(self) -> Array:
        """Latent grid, (K, 2)."""
        return self.model.basis.nodes

    @property
    def centers(self) -> Array:
        """Means of the nodes in data space, (K, D), in the units of X."""
        return self.model.affine.inverse(self.model.means)

    def centers_in(self, columns: NDArray[np.intp]) -> Array:
        """Return the same in some columns alone, (K, C), of a map over columns."""
        return self.model.noise.means(self.model.basis.phi @ self.weights[:, columns])

    @property
    def weights(self) -> Array:
        """Coefficients of the sheet, (M + 1, D): of centres in the units of X, or of natural parameters."""
        affine = self.model.affine
        weights = affine.inverse_linear(self.model.weights)
        weights[-1] += affine.mean
        return weights

    @property
    def noise_variance(self) -> Array:
        """Noise variance of each column, (D,), in squared units of X; averaged over the nodes."""
        variances = np.atleast_2d(self.model.noise.variances(self.model)).mean(axis=0)
        return self.model.affine.inverse_variance(variances)

    def outputs(self, names: Sequence[str], top: int = 1) -> tuple[Output, ...]:
        """Describe what can be read of a row; raises as `outputs_of` does."""
        check_whole("top", top, least=1)
        return outputs_of(names, len(self.nodes), top)

    def reduce(self, rows: RowBlocks, function: Callable[..., Any], *shared: Any, label: str) -> Any:
        """Add up `function(X, sample_weight, [y,] model, kernel, *shared)` over the blocks, in one pass."""
        return reduce(prepare(rows), function, self.model, self.kernel, *shared, label=label)

    def reduce_each(self, tables: Sequence[RowBlocks], function: Callable[..., Any], *, label: str) -> Any:
        """Return what `reduce` does of each table, in one pass over all of them."""
        sources = [prepare(rows) for rows in tables]
        return reduce_each(sources, function, self.model, self.kernel, label=label)

    def map_rows(
        self, rows: RowBlocks, function: Callable[..., Any], *shared: Any, outputs: Sequence[Output]
    ) -> tuple[Any, ...]:
        """Return the arrays that `function(X, model, kernel, *shared)` makes of each block.

        They are lazy and share a pass; ndarrays where the rows are in memory.
        """
        arrays = map_rows(rows, function, self.model, self.kernel, *shared, outputs=outputs)
        computed: tuple[Any, ...] = compute(arrays, in_memory=True) if rows.in_memory else arrays
        return computed

    def project(self, rows: RowBlocks, outputs: tuple[Output, ...]) -> tuple[Any, ...]:
        """Return an array for each output."""
        return self.map_rows(rows, project, outputs, outputs=outputs)

    def impute(self, rows: RowBlocks) -> Any:
        """Return the rows, (n, D), with their gaps filled.

        Raises
        ------
        ValueError
            If the map is one of principal axes.
        """
        if self.model.affine.axes is not None:
            raise ValueError(
                "A map of principal axes does not say what single columns hold; fit with n_components=None "
                "to impute."
            )
        if self.model.noise.exposed:
            raise ValueError(
                "exposure='total' takes the sum of a row, which is unknown where entries are missing; fit "
                "with exposure=None to impute."
            )
        return self.map_rows(rows, impute, outputs=(Output("imputed", rows.X.shape[1]),))[0]

    def likelihood(self, rows: RowBlocks) -> Likelihood:
        """Say how well the map explains the rows; raise ValueError if none of them counts."""
        found: Likelihood = self.reduce(rows, likelihood_of, label="igtm-likelihood")
        if found.weight < LEAST_WEIGHT:
            raise ValueError(NOTHING_COUNTS)
        return found

    def sample(self, n_samples: int, random: np.random.RandomState) -> Array:
        """Draw rows, (n_samples, D): a node, all being equally likely, then a row of its noise."""
        model = self.model
        check_whole("n_samples", n_samples, least=1)
        nodes = random.randint(len(self.nodes), size=n_samples)
        return model.affine.inverse(model.noise.draw(model, nodes, random))
