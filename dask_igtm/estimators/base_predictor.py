"""What a classifier and a regressor on a map share: the map, a landscape of y over it, and their file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self, cast

import dask.array as da
import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data import npz_io
from dask_igtm.data.column_names import column_names
from dask_igtm.data.containers import opened
from dask_igtm.data.cubes import is_dataset
from dask_igtm.data.row_arrays import unknown
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.whole_outputs import Path
from dask_igtm.estimators import saving
from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.estimators.fitted_html import FittedHtmlMixin
from dask_igtm.estimators.igtm import IGTM
from dask_igtm.estimators.rollback import unchanged_on_error
from dask_igtm.estimators.row_tables import RowTablesMixin
from dask_igtm.fitting.progress import Listener
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.projection.validate import fitted_map, rows_of, take_columns_of
from dask_igtm.statistics import prediction

Array = NDArray[np.float64]


class BasePredictor(RowTablesMixin, FittedHtmlMixin, BaseEstimator):  # type: ignore[misc]
    """A map, fitted to X alone, and a landscape of y over it."""

    igtm_: IGTM
    landscape_: Landscape
    _own: ClassVar[tuple[str, ...]] = ()  # parameters that IGTM does not have
    _learns: ClassVar[str]  # kind of its landscape

    def __init__(
        self,
        k: int = 16,
        m: int = 4,
        s: float = 0.3,
        regul: float | str = 0.1,
        random_state: Any = 1234,
        niter: int = 200,
        verbose: bool = False,
        n_blocks: int = 0,
        *,
        scale: str | None = "auto",
        tol: float = 1e-4,
        solver: str = "auto",
        noise: str = "isotropic",
        exposure: str | None = None,
        missing: str = "error",
        keep_empty_rows: bool = False,
        n_components: float | None = None,
        persist: bool | str = "auto",
    ) -> None:
        self.k = k
        self.m = m
        self.s = s
        self.regul = regul
        self.random_state = random_state
        self.niter = niter
        self.verbose = verbose
        self.n_blocks = n_blocks
        self.scale = scale
        self.tol = tol
        self.solver = solver
        self.noise = noise
        self.exposure = exposure
        self.missing = missing
        self.keep_empty_rows = keep_empty_rows
        self.n_components = n_components
        self.persist = persist

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        checkpoint: Path | None = None,
        init: BaseMap | None = None,
        callbacks: Sequence[Listener] = (),
    ) -> Self:
        """Fit a map to X, then learn from one more pass what y is at its nodes.

        Parameters
        ----------
        X, sample_weight, checkpoint, init, callbacks
            As in `IGTM.fit`.
        y : array, series or frame, in memory or lazy
            What to predict, one for each row, (n,); of a regressor also (n, T), and what it predicts then has
            T columns, be it one. A classifier takes (n, 1) with a warning. It is looked through before the
            fit, in a pass of its own, which reads X too where its chunk sizes are unknown.

        Returns
        -------
        self

        Raises
        ------
        TypeError, KeyboardInterrupt
            As in `IGTM.fit`, and if y is sparse or masked; but a fit that is cut by Ctrl-C leaves the
            predictor as it was.
        ValueError
            As in `IGTM.fit`, and if y is missing or infinite somewhere or of the wrong kind.
        """
        with unchanged_on_error(self):
            rows = self._rows_with_target(X, y, sample_weight, reset=True)
            self._look_through(least_to_read(rows))
            run: dict[str, Any] = {"checkpoint": checkpoint, "init": init, "callbacks": callbacks}
            igtm = self._map().fit(X, sample_weight=sample_weight, **run)
            self._learn(igtm, rows, None if is_dataset(X) else column_names(opened(y)))
            self.igtm_ = igtm
            return self

    def _map(self) -> IGTM:
        """Return the map on which it stands, not fitted."""
        return IGTM(**{name: value for name, value in self.get_params().items() if name not in self._own})

    def _rows_with_target(self, X: Any, y: Any, sample_weight: Any, *, reset: bool = False) -> RowBlocks:
        """Return the rows and what is to be predicted of them, checked as far as that reads nothing lazy."""
        raise NotImplementedError

    def _look_through(self, rows: RowBlocks) -> None:
        """Refuse y that cannot be learnt, before the fit, which may take hours."""
        raise NotImplementedError

    def _learn(self, igtm: IGTM, rows: RowBlocks, names: Sequence[str] | None) -> None:
        """Make the landscape; y may have names."""
        raise NotImplementedError

    def _expected(self, X: Any, values: Array) -> Any:
        output = Output("expected", values.shape[1] if values.ndim > 1 else None)
        rows = rows_of(self, X)
        return fitted_map(self.igtm_).map_rows(rows, prediction.answer, values, outputs=(output,))[0]

    def _sum(self, function: Any, X: Any, y: Any, sample_weight: Any, *shared: Any) -> Any:
        rows = self._rows_with_target(X, y, sample_weight)
        return fitted_map(self.igtm_).reduce(rows, function, *shared, label="igtm-score")

    @staticmethod
    def _check_weight(weight: Any) -> None:
        if not weight >= LEAST_WEIGHT:
            raise ValueError(
                "Every sample_weight is zero or next to it; give at least one row a positive weight."
            )

    def save(self, path: Path) -> None:
        """Write the fitted estimator to one file, without pickle; `dask_igtm.load` reads it.

        Raises
        ------
        TypeError
            If a class label is neither a string nor a number or bool.
        """
        check_is_fitted(self, "igtm_")
        header, arrays = saving.pack(self.igtm_)
        landscape_header, landscape_arrays = self.landscape_.pack()
        header |= {
            "class": saving.class_name(self),
            "landscape": landscape_header,
            "predictor": self._state(),
        }
        arrays |= {f"landscape_{name}": array for name, array in landscape_arrays.items()}
        npz_io.write(path, npz_io.MODEL, header, arrays)

    def _state(self) -> dict[str, Any]:
        """Return the parameters and what else the map does not hold, for JSON."""
        return {"parameters": self.get_params()}

    @classmethod
    def unpack(cls, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Return the estimator that `save` wrote; raise ValueError as `saving.unpack`."""
        self = cls(**saving.parameters(cls, header["predictor"]["parameters"]))
        self.igtm_ = saving.unpack(IGTM, header, arrays)
        prefix = "landscape_"
        parts = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        self.landscape_ = Landscape.unpack(header["landscape"], parts)
        if self.landscape_.kind != cls._learns or len(self.landscape_.nodes) != len(self.igtm_.nodes_):
            raise ValueError(f"its landscape is none of {cls._learns} on the nodes of its map")
        take_columns_of(self, self.igtm_)
        self._restore(header["predictor"])
        return self

    def _restore(self, state: dict[str, Any]) -> None:
        """Take back what `_state` returned."""
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = self.missing != "error" or self.keep_empty_rows
        return tags


def least_to_read(rows: RowBlocks) -> RowBlocks:
    """Return y in the blocks of X, and X itself only where its lengths, or which rows are empty, need it."""
    X, y = rows.X, cast(da.Array, rows.y)
    if not unknown(X.chunks[0]) and not rows.skip_empty:
        width = y.dtype.itemsize * math.prod(y.shape[1:])  # bytes, so that folds hold as many
        X = da.zeros((X.shape[0], width), chunks=(X.chunks[0], -1), dtype=np.uint8)
    return dataclasses.replace(rows, X=X, sample_weight=None)
