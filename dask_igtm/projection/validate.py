"""What a user gives, checked: a fitted map, and a table against its columns, in row blocks."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from dask_igtm.data.column_names import header, named
from dask_igtm.data.containers import array_in, check_table, is_lazy
from dask_igtm.data.frames import with_numbers
from dask_igtm.data.row_blocks import RowBlocks, row_blocks
from dask_igtm.projection.fitted_map import FittedMap

LENIENT = {"accept_sparse": "csr", "ensure_all_finite": False}  # the passes look at the entries


def map_estimator(model: Any) -> Any:
    """Return a fitted IGTM; of a classifier or regressor, that on which it stands."""
    igtm = getattr(model, "igtm_", model)
    check_is_fitted(igtm, "model_")
    return igtm


def fitted_map(model: Any) -> FittedMap:
    """Return the map of an estimator, which must be fitted."""
    return FittedMap(map_estimator(model).model_)


def seed_of(random_state: Any) -> int:
    """Draw a seed from what scikit-learn takes as a `random_state`."""
    return int(check_random_state(random_state).randint(2**31 - 1))


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
        X = with_numbers(X)
        array = array_in(X)
        if isinstance(array, np.ndarray) and array.dtype != object:
            check_table(array)
        X = validate_data(estimator, named(X), reset=reset, **LENIENT)
        return row_blocks(X, sample_weight, y, **blocking)
    rows = row_blocks(X, sample_weight, y, **blocking)
    names = header(X)
    validate_data(estimator, rows.X if names is None else names, reset=reset, skip_check_array=True)
    return rows
