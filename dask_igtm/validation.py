"""What a user gives, checked: a fitted map, and a table against its columns, in row blocks."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from dask_igtm.inputs import RowBlocks, check_table, row_blocks
from dask_igtm.tables import header, is_lazy, named, word_columns

LENIENT = {"accept_sparse": "csr", "ensure_all_finite": False}  # the passes look at the entries


def fitted_map(model: Any) -> Any:
    """Return the map, which must be fitted; of a classifier or regressor, that on which it stands."""
    igtm = getattr(model, "igtm_", model)
    check_is_fitted(igtm, "model_")
    return igtm


def rows_of(
    estimator: Any, X: Any, sample_weight: Any = None, y: Any = None, *, reset: bool = False, **blocking: Any
) -> RowBlocks:
    """Check X against the columns of an estimator, and divide it into blocks; reads nothing lazy.

    Parameters
    ----------
    estimator : scikit-learn estimator
    X, sample_weight, y
        See `row_blocks`.
    reset : bool
        Whether to learn the columns of X, as `fit` does.
    **blocking
        `n_blocks` or `n_rows` of `row_blocks`.
    """
    if dask.is_dask_collection(X) and not is_lazy(X):
        raise TypeError(f"X is a {type(X).__name__}; give a dask array or data frame.")
    if not is_lazy(X):
        given = X = named(X)
        if isinstance(X, np.ndarray) and X.dtype != object:
            check_table(X)
        try:
            X = validate_data(estimator, X, reset=reset, **LENIENT)
        except ValueError as error:
            if "could not convert" in str(error):
                _refuse_words(given)
            raise
        if X.dtype == object:  # as older releases of scikit-learn leave some frames
            _refuse_words(given)
        return row_blocks(X, sample_weight, y, **blocking)
    _refuse_words(X)
    rows = row_blocks(X, sample_weight, y, **blocking)
    names = header(X)
    validate_data(estimator, rows.X if names is None else names, reset=reset, skip_check_array=True)
    return rows


def _refuse_words(X: Any) -> None:
    """Raise ValueError naming the columns of a data frame that hold no numbers."""
    words = ", ".join(map(repr, word_columns(X)))
    if words:
        raise ValueError(
            f"X has columns that are not numeric: {words}; drop them, or make them numbers, for example with "
            "pandas.get_dummies(X)."
        ) from None
