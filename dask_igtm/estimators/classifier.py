"""`IGTMClassifier`: a map of X, and P(class | node)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data.containers import is_lazy
from dask_igtm.data.npz_io import pack_labels
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.estimators.base_predictor import BasePredictor
from dask_igtm.estimators.igtm import IGTM
from dask_igtm.landscape.from_rows import of_labels
from dask_igtm.landscape.node_values import class_posterior
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.projection.labelled_results import labelled
from dask_igtm.projection.labelled_rows import rows_with_labels
from dask_igtm.projection.validate import fitted_map
from dask_igtm.statistics import prediction

Array = NDArray[np.float64]


class IGTMClassifier(ClassifierMixin, BasePredictor):  # type: ignore[misc]
    """Classes of rows by their place on a map of all of them: Bayes' rule at each node.

    The map is that of `IGTM` and knows nothing of y. Each node then has P(class | node), and a row the mean
    of it over its responsibilities.

    Parameters
    ----------
    k, m, s, regul, random_state, niter, verbose, n_blocks, scale, tol, solver, noise, exposure, missing, \
    keep_empty_rows, n_components, persist
        As in `IGTM`.
    prior : {"estimated", "equiprobable"} or dict, default="estimated"
        Probability of a class before one knows the row: its share of the rows of `fit`; the same for all; or
        a number for each label.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        The labels, sorted. Whole numbers keep the type that they have in an array of NumPy; those that can
        have gaps, as in "Int64" or "boolean" of pandas, become int64 or bool. Strings are NumPy's.
    igtm_ : IGTM
        The fitted map.
    landscape_ : Landscape
        P(class | node), a column for each class.
    n_features_in_, feature_names_in_ : as in `IGTM`

    References
    ----------
    H. A. Gaspar et al. (2015), see `dask_igtm.landscape.classes`.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from dask_igtm import IGTMClassifier
    >>> X, y = load_wine(return_X_y=True)
    >>> names = load_wine().target_names[y]
    >>> classifier = IGTMClassifier(k=8, scale="standard").fit(X[::2], names[::2])
    >>> classifier.predict(X[[1, -2]]).tolist()
    ['class_0', 'class_2']
    """

    classes_: NDArray[Any]
    _own = ("prior",)
    _learns = "classes"

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
        prior: str | Mapping[Any, float] = "estimated",
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
        super().__init__(
            k,
            m,
            s,
            regul,
            random_state,
            niter,
            verbose,
            n_blocks,
            scale=scale,
            tol=tol,
            solver=solver,
            noise=noise,
            exposure=exposure,
            missing=missing,
            keep_empty_rows=keep_empty_rows,
            n_components=n_components,
            persist=persist,
        )
        self.prior = prior

    def predict_proba(self, X: Any) -> Any:
        """Return P(class | x), (n, C), in the order of `classes_`; lazy for lazy X.

        Parameters
        ----------
        X : as in `fit`; shape (n, D)

        Raises
        ------
        ValueError
            As `IGTM.transform`.
        """
        check_is_fitted(self, "igtm_")
        probabilities = self._expected(X, self.landscape_.values)
        return labelled(X, probabilities, "probability", ("igtm_class", self.classes_.tolist()))

    def predict(self, X: Any) -> Any:
        """Return the likeliest class of each row, (n,), as a label of `fit`; lazy for lazy X.

        The first in `classes_` on ties; parameters and errors as in `predict_proba`. With `keep_empty_rows`
        labels are objects, None of empty rows.
        """
        check_is_fitted(self, "igtm_")
        probabilities = self._expected(X, self.landscape_.values)
        meta = np.empty(0, object if self.keep_empty_rows else self.classes_.dtype)
        likeliest = functools.partial(_likeliest, classes=self.classes_, dtype=meta.dtype)
        if is_lazy(probabilities):
            labels = probabilities.map_blocks(likeliest, drop_axis=1, dtype=meta.dtype, meta=meta)
        else:
            labels = likeliest(probabilities)
        return labelled(X, labels, "predicted")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the share of rows whose class is predicted, in one pass; computes.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Raises
        ------
        ValueError
            As in `fit`, and if no row has weight.
        """
        check_is_fitted(self, "igtm_")
        known = (self.landscape_.values, self.classes_)
        right, weight = self._sum(prediction.count_right, X, y, sample_weight, *known)
        self._check_weight(weight)
        return float(right / weight)

    def _rows_with_target(self, X: Any, y: Any, sample_weight: Any, *, reset: bool = False) -> RowBlocks:
        return rows_with_labels(self, X, y, sample_weight, reset=reset)

    def _look_through(self, rows: RowBlocks) -> None:
        found = reduce(prepare(rows), prediction.count_labels, label="igtm-target")
        class_posterior(found, self.prior)  # whether the prior fits the labels
        self.classes_ = pack_labels(found.labels.tolist())
        if rows.y is not None and rows.y.dtype.kind in "iuf":
            self.classes_ = self.classes_.astype(rows.y.dtype)

    def _learn(self, igtm: IGTM, rows: RowBlocks, names: Sequence[str] | None) -> None:
        del names  # a label is one column
        self.landscape_ = of_labels(fitted_map(igtm), rows, self.prior)

    def _state(self) -> dict[str, Any]:
        state = super()._state()
        if isinstance(self.prior, Mapping):  # JSON has no keys but strings
            state["parameters"]["prior"] = list(self.prior.items())
        return {**state, "dtype": self.classes_.dtype.str}

    def _restore(self, state: dict[str, Any]) -> None:
        if isinstance(self.prior, list):
            self.prior = dict(self.prior)
        self.classes_ = _typed(self.landscape_.columns, np.dtype(state["dtype"]))


def _typed(labels: Sequence[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return labels as an array, numbers of that type; raise ValueError if they are others to it."""
    found = pack_labels(labels)
    if dtype.kind in "iuf":
        found = found.astype(dtype)
    if found.tolist() != list(labels):
        raise ValueError(f"labels are not of dtype {dtype}")
    return found


def _likeliest(probabilities: Array, classes: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the label of each row; None of rows without probabilities."""
    known = ~np.isnan(probabilities[:, 0])
    labels = np.empty(len(probabilities), dtype)  # of objects None
    labels[known] = classes[probabilities[known].argmax(axis=1)]
    return labels
