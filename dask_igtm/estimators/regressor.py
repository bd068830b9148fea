"""`IGTMRegressor`: a map of X, and the mean of y at each node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.estimators.base_predictor import BasePredictor
from dask_igtm.estimators.igtm import IGTM
from dask_igtm.landscape.from_rows import of_values
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.projection.labelled_results import labelled
from dask_igtm.projection.labelled_rows import rows_with_values
from dask_igtm.projection.validate import fitted_map
from dask_igtm.statistics import prediction
from dask_igtm.statistics.node_sums import NodeTotals

Array = NDArray[np.float64]


WORST = 1e150  # error in standard deviations, so that its square is a number


class IGTMRegressor(RegressorMixin, BasePredictor):  # type: ignore[misc]
    """Values of rows by their place on a map of all of them: the mean at each node.

    The map is that of `IGTM` and knows nothing of y. Each node then has the mean of y, weighted by the
    responsibilities, and a row the mean of that over its own (Gaspar et al. 2015, see
    `dask_igtm.landscape.classes`).

    Parameters
    ----------
    k, m, s, regul, random_state, niter, verbose, n_blocks, scale, tol, solver, noise, exposure, missing, \
    keep_empty_rows, n_components, persist
        As in `IGTM`.

    Attributes
    ----------
    igtm_ : IGTM
        The fitted map.
    landscape_ : Landscape
        Mean, standard deviation and support of y at each node, see `dask_igtm.landscape.property`.
    n_features_in_, feature_names_in_ : as in `IGTM`

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from dask_igtm import IGTMRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> regressor = IGTMRegressor(k=8, scale="standard").fit(X[::2], y[::2])
    >>> bool(regressor.score(X[1::2], y[1::2]) > 0.3)
    True
    """

    _learns = "property"

    def predict(self, X: Any) -> Any:
        """Return E[y | x], (n,) or (n, T) as y in `fit`; lazy for lazy X.

        X and the errors are those of `IGTM.transform`.
        """
        check_is_fitted(self, "igtm_")
        expected = self._expected(X, self._means[:, 0] if self._single else self._means)
        columns = None if self._single else ("igtm_target", range(self._means.shape[1]))
        return labelled(X, expected, "predicted", columns)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R^2, the mean of those of several columns of y, in one pass; computes.

        Parameters are those of `fit`, and so are the errors; it is one too where no row has weight.
        """
        check_is_fitted(self, "igtm_")
        total = self._sum(prediction.residuals, X, y, sample_weight, self._means)
        self._check_weight(total.weight.sum())
        return float(np.mean(_r2(total)))

    @property
    def _means(self) -> Array:
        return self.landscape_.part("mean")

    def _rows_with_target(self, X: Any, y: Any, sample_weight: Any, *, reset: bool = False) -> RowBlocks:
        return rows_with_values(self, X, y, sample_weight, reset=reset)

    def _look_through(self, rows: RowBlocks) -> None:
        reduce(prepare(rows), prediction.check_numbers, label="igtm-target")
        self._single = rows.y is not None and rows.y.ndim == 1

    def _learn(self, igtm: IGTM, rows: RowBlocks, names: Sequence[str] | None) -> None:
        self.landscape_ = of_values(fitted_map(igtm), rows, names)

    def _state(self) -> dict[str, Any]:
        return {**super()._state(), "single": self._single}

    def _restore(self, state: dict[str, Any]) -> None:
        self._single = state["single"] is True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _r2(total: NodeTotals) -> Array:
    """R^2 of each column, from the moments (1, 2 T) of y and of its residuals; 1 or 0 where y is flat."""
    of_y, of_residual = np.hsplit(total.deviation[0], 2)
    error = np.hypot(of_residual, total.mean[0, len(of_y) :])
    flat = np.where(error > 0, 0.0, 1.0)
    with np.errstate(over="ignore"):
        ratio = np.minimum(error / np.where(of_y > 0, of_y, 1.0), WORST)
    return np.where(of_y > 0, 1.0 - ratio**2, flat)
