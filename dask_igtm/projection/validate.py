"""What a user gives, checked: a fitted map, and a table against its columns, in row blocks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data.column_names import Names, check_same_names, column_names
from dask_igtm.data.containers import array_in, check_table, is_lazy, opened
from dask_igtm.data.cubes import is_dataset
from dask_igtm.data.frames import with_numbers
from dask_igtm.data.row_blocks import RowBlocks, row_blocks
from dask_igtm.data.row_index import with_rows_of
from dask_igtm.posterior.tiles import check_sparse, is_sparse
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.fitted_tree import Fitted, FittedTree

LENIENT = {"accept_sparse": "csr", "ensure_all_finite": False}  # the passes look at the entries


def map_estimator(model: Any) -> Any:
    """Return a fitted IGTM; of a classifier or regressor, that on which it stands."""
    if hasattr(model, "best_estimator_"):
        raise TypeError(
            f"{type(model).__name__} is a search; give the best map that it found, best_estimator_."
        )
    if hasattr(model, "tree_"):
        raise TypeError(
            f"{type(model).__name__} has {len(model.maps_)} maps, and this is about one; give one of them, "
            "such as maps_[0]."
        )
    igtm = getattr(model, "igtm_", model)
    check_is_fitted(igtm, "model_")
    return igtm


def fitted_map(model: Any) -> FittedMap:
    """Return the map of an estimator, which must be fitted."""
    return FittedMap(map_estimator(model).model_)


def fitted_maps(model: Any) -> Fitted:
    """Return the map of an estimator, or the tree of an atlas."""
    return FittedTree(model.tree_) if hasattr(model, "tree_") else fitted_map(model)


def random_numbers(random_state: Any) -> np.random.RandomState:
    """Return a generator from what scikit-learn takes as a `random_state`."""
    try:
        numbers: np.random.RandomState = check_random_state(random_state)
    except ValueError:
        raise ValueError(
            f"random_state={random_state!r}; give a whole number from 0 to {2**32 - 1}, None, or a "
            "numpy.random.RandomState."
        ) from None
    return numbers


def seed_of(random_state: Any) -> int:
    """Draw a seed from what scikit-learn takes as a `random_state`."""
    return int(random_numbers(random_state).randint(2**31 - 1))


def names_of_fit(estimator: Any) -> Names:
    """Return the names of the columns of a fit; none where it had none."""
    return tuple(getattr(estimator, "feature_names_in_", ()))


def rows_of(
    estimator: Any,
    X: Any,
    sample_weight: Any = None,
    y: Any = None,
    *,
    reset: bool = False,
    names: Names | None = None,
    **blocking: Any,
) -> RowBlocks:
    """Check X against the columns of an estimator, and divide it into blocks; reads nothing lazy.

    Parameters
    ----------
    estimator : scikit-learn estimator
    X, sample_weight, y
        See `row_blocks`.
    reset : bool
        Whether to learn the columns of X, as `fit` does.
    names : tuple of str, optional
        What the columns are called where X does not say it itself.
    **blocking
        `n_blocks` or `n_rows` of `row_blocks`.
    """
    X = opened(X) if reset else in_order_of_fit(estimator, opened(X, names_of_fit(estimator)))
    array = array_in(X)  # which refuses what is no table
    names = column_names(X) if names is None else names
    if not reset:
        check_same_names(names_of_fit(estimator) or None, names, type(estimator).__name__)
    weights = with_rows_of(X, sample_weight, "sample_weight")
    numbers = X if is_lazy(X) else _numbers(estimator, array)
    rows = row_blocks(numbers, weights, with_rows_of(X, y, "y"), **blocking)
    rows = dataclasses.replace(rows, skip_empty=_keeps_empty_rows(estimator))
    n_columns = rows.X.shape[1]
    if reset:
        _learn_columns(estimator, names, n_columns)
    _check_width(estimator, n_columns)
    return rows


def in_order_of_fit(estimator: Any, X: Any) -> Any:
    """Return a Dataset of xarray, whose variables have names but no order, with these as in the fit.

    Where it has other variables it stays as it is, and so does everything else.
    """
    names = getattr(estimator, "feature_names_in_", None)
    if names is None or not is_dataset(X):
        return X
    keys = {str(key): key for key in X.data_vars}
    return X[[keys[name] for name in names]] if set(keys) == set(names) else X


def _keeps_empty_rows(estimator: Any) -> bool:
    """Return that parameter of an estimator, or of the map that it searches."""
    held = getattr(estimator, "estimator", estimator)
    return bool(getattr(held, "keep_empty_rows", False))


def _numbers(estimator: Any, array: Any) -> Any:
    """Return what is in memory as an array of numbers."""
    array = with_numbers(array)
    if isinstance(array, np.ndarray) and array.dtype != object:
        check_table(array)
    if is_sparse(array):
        check_sparse(array)  # before it is brought to CSR
    return check_array(array, estimator=estimator, input_name="X", **LENIENT)


def _learn_columns(estimator: Any, names: Names | None, n_columns: int) -> None:
    estimator.n_features_in_ = n_columns
    if names is not None:
        estimator.feature_names_in_ = np.array(names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def take_columns_of(estimator: Any, other: Any) -> None:
    """Give an estimator the number and the names of the columns of another one, fitted to the same."""
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(other, name):
            setattr(estimator, name, getattr(other, name))


def _check_width(estimator: Any, n_columns: int) -> None:
    """Raise ValueError unless there are as many as in the fit, in the words of scikit-learn's checks."""
    expected = getattr(estimator, "n_features_in_", n_columns)
    if n_columns != expected:
        raise ValueError(
            f"X has {n_columns} features, but {type(estimator).__name__} is expecting {expected} features as "
            "input."
        )
