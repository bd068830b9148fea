"""Rows that have a value or a label each, refused as far as that can be told before anything lazy is read."""

from __future__ import annotations

from typing import Any

from sklearn.exceptions import DataConversionWarning

from dask_igtm.data.frames import word_columns
from dask_igtm.data.row_arrays import values_of
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.row_index import with_rows_of
from dask_igtm.data.user_warnings import warn
from dask_igtm.projection.validate import rows_of
from dask_igtm.statistics.targets import check_labels, check_value_type


def rows_with_values(
    estimator: Any, X: Any, y: Any, sample_weight: Any = None, *, reset: bool = False
) -> RowBlocks:
    """Return rows that have values, (n,) or (n, T) as given; see `rows_of`.

    Raises
    ------
    ValueError
        If there are none, if they are known to be no numbers, or X or they have the wrong shape.
    TypeError
        If they are sparse or masked.
    """
    _refuse_words(y)
    rows = rows_of(estimator, X, sample_weight, y, reset=reset)
    check_value_type(rows.y.dtype)  # type: ignore[union-attr]
    return rows


def rows_with_labels(
    estimator: Any, X: Any, labels: Any, sample_weight: Any = None, *, reset: bool = False
) -> RowBlocks:
    """Return rows that have labels, (n,), or (n, 1) with a warning; raises as `rows_with_values`."""
    _refuse_none(labels)
    rows = rows_of(estimator, X, sample_weight, labels, reset=reset)
    _check_labels(rows.y)
    return rows


def values_beside(X: Any, rows: RowBlocks, y: Any) -> Any:
    """Return the values, (n,) or (n, T), of what `X` has become, its `rows`; raises as `rows_with_values`."""
    _refuse_words(y)
    values = values_of(rows.X, with_rows_of(X, y, "y"), rows.in_memory, rows.remedy)
    check_value_type(values.dtype)
    return values


def labels_beside(X: Any, rows: RowBlocks, labels: Any) -> Any:
    """Return the labels, (n,) or (n, 1), of what `X` has become, its `rows`; raises as `rows_with_labels`."""
    _refuse_none(labels)
    found = values_of(rows.X, with_rows_of(X, labels, "y"), rows.in_memory, rows.remedy)
    _check_labels(found)
    return found


def _check_labels(labels: Any) -> None:
    check_labels(labels.shape, labels.dtype)
    if labels.ndim > 1:
        message = "A column-vector y was passed when a 1d array was expected; give y.ravel()."
        warn(message, DataConversionWarning)


def _refuse_words(y: Any) -> None:
    _refuse_none(y)
    words = ", ".join(map(repr, word_columns(y)))
    if words:
        raise ValueError(
            f"y holds what is not a real number, in {words}; give numbers here, and labels to classes."
        )


def _refuse_none(y: Any) -> None:
    if y is None:
        raise ValueError(
            "This requires y to be passed, but the target y is None; give a value or label for each row."
        )
