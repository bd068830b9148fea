"""A fitted map as a transformer: positions of rows, and the points that belong to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import zarr
from sklearn.utils.validation import check_is_fitted

from dask_igtm import archive, block, blocks
from dask_igtm.compat import OptimizedGTM, optimized, recut
from dask_igtm.describing import DescribingMixin
from dask_igtm.frames import FramesForMemoryOnlyMixin
from dask_igtm.inputs import RowBlocks, row_blocks
from dask_igtm.outputs import Output
from dask_igtm.projection import project_rows, project_to_zarr
from dask_igtm.settings import check_whole
from dask_igtm.softmax import best_kernel
from dask_igtm.source import naming
from dask_igtm.tables import is_lazy
from dask_igtm.validation import rows_of

OUTPUTS = ("means", "modes", "responsibilities", "complete")
COMPLETE = {"matR": "responsibilities", "matMeans": "means", "matModes": "modes", "matP": "relative"}


class ReadingMixin(FramesForMemoryOnlyMixin, DescribingMixin):
    """What an estimator with a `model_` answers; its parameter `model` says what `transform` returns."""

    model: str
    converged_: bool

    def transform(self, X: Any) -> Any:
        """Return the position of each row on the map.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Returns
        -------
        array
            What `model` says, (n, 2) or (n, K): a lazy dask array for lazy X, an ndarray otherwise. An
            `OptimizedGTM` of such arrays for "complete".

        Raises
        ------
        ValueError
            If X has other columns than in `fit`, or holds infinities, or NaN that `missing` does not allow
            (for lazy X when computed).
        """
        check_is_fitted(self, "model_")
        return self._project(rows_of(self, X))

    def transform_blocks(self, X: Any, block_size: int | None = None) -> Iterator[Any]:
        """Yield what `transform` returns, computed, for one block of rows after the other.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
        block_size : int, optional
            Rows of a block; by default 5,000 of an array in memory, and the chunks of lazy X.

        Yields
        ------
        ndarray or OptimizedGTM
            Of `block_size` rows, the last one of what is left. What is in memory at a time is one block
            of X, and what it and the block yielded have in common.
        """
        check_is_fitted(self, "model_")
        if block_size is not None:
            check_whole("block_size", block_size, least=1)
        computed = (self._computed(one) for one in rows_of(self, X, n_rows=block_size).each())
        return computed if block_size is None else recut(computed, block_size)

    def project_to_zarr(
        self,
        X: Any,
        path: archive.Path,
        outputs: Sequence[str] = ("means", "modes", "log_likelihood"),
        *,
        top: int = 5,
        resume: bool = True,
    ) -> zarr.Group:
        """Write the positions of all rows to Zarr; what was cut short goes on where it was.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)
            Blocks of several sizes are divided anew into ones of one size.
        path : path or URL
            Of the Zarr group to write, with one array for each output. Every worker must see it.
        outputs : sequence of str
            Those that `describe` knows; float64, or int32 for indices of nodes.
        top : int, default=5
            As in `describe`.
        resume : bool, default=True
            Go on with an earlier projection at `path`; False refuses one.

        Returns
        -------
        zarr.Group
            Opened for reading. Its attribute "dask_igtm" names the model, and has `complete` once all
            rows are written; until then, rows that are missing are NaN, or -1 for indices of nodes.

        Raises
        ------
        FileExistsError
            If something else is at `path`.
        ValueError
            If the projection at `path` is that of another model, of other rows or with another `top`, if
            chunk sizes of X are unknown, if an output is, or if X has other columns than in `fit` or holds
            NaN or infinity.
        """
        chosen = self._outputs(outputs, top)
        return project_to_zarr(rows_of(self, X), self.model_, path, chosen, resume=resume)

    def inverse_transform(self, R: Any) -> Any:
        """Return the points of data space to which responsibilities belong.

        Parameters
        ----------
        R : array or dask array of shape (n, K)

        Returns
        -------
        array of shape (n, D)
            `R @ centers_`, lazy for lazy R.
        """
        centers = self.centers_
        R = row_blocks(R).X if is_lazy(R) else np.asarray(R)
        if R.ndim != 2 or R.shape[1] != len(centers):
            raise ValueError(
                f"R has shape {R.shape}; give responsibilities of shape (n, {len(centers)}), "
                'as transform returns them with model="responsibilities".'
            )
        return R @ centers

    def impute(self, X: Any) -> Any:
        """Return X with its gaps (NaN) filled; lazy for lazy X.

        A gap gets its expectation under the map, given what is observed of its row: the centres of the
        nodes, averaged over their posterior. That holds for every map over columns, whatever `missing` was.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Returns
        -------
        array of shape (n, D)
            float64, unchanged where X was observed.

        Raises
        ------
        ValueError
            If the map is one of principal axes (`n_components`), or X holds infinities (for lazy X when
            computed).
        """
        check_is_fitted(self, "model_")
        rows = rows_of(self, X)
        if self.model_.affine.axes is not None:
            raise ValueError(
                "A map of principal axes does not say what single columns hold; fit with n_components=None "
                "to impute."
            )
        output = Output("imputed", rows.X.shape[1])
        (filled,) = blocks.map_rows(rows, block.impute, self.model_, best_kernel(), outputs=(output,))
        return blocks.compute(filled, in_memory=True) if rows.in_memory else filled

    @property
    def optimizedModel(self) -> OptimizedGTM:  # noqa: N802 - ugtm's name
        """The fitted model under ugtm's names, without a projection."""
        return self._optimized()

    @property
    def _n_features_out(self) -> int:
        return len(self.nodes_) if self.model == "responsibilities" else 2

    def _optimized(self, **projection: Any) -> OptimizedGTM:
        return optimized(self._fitted, converged=self.converged_, **projection)

    def _output(self) -> str:
        if self.model not in OUTPUTS:
            raise ValueError(f"model={self.model!r}; give one of {OUTPUTS}.")
        return self.model

    def _project(self, rows: RowBlocks) -> Any:
        output = self._output()
        if output != "complete":
            return project_rows(rows, self.model_, self._outputs((output,)))[0]
        outputs = self._outputs(tuple(COMPLETE.values()))
        return self._optimized(**dict(zip(COMPLETE, project_rows(rows, self.model_, outputs), strict=True)))

    def _computed(self, rows: RowBlocks) -> Any:
        with naming(0, rows.span(0)):
            return blocks.compute(self._project(rows), in_memory=rows.in_memory)
