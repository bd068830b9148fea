"""Columns beside the rows of X, by their names: what a user wants told of each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask_igtm.data.column_names import series_name
from dask_igtm.data.frames import arrow_frame, is_dask_frame, is_pandas_frame, target_in
from dask_igtm.data.row_index import with_rows_of
from dask_igtm.data.row_names import Names
from dask_igtm.data.table_columns import check_distinct


def columns_beside(X: Any, table: Any, name: str) -> Names:
    """Return the columns of a table with a row for each row of X, lazy ones lazy.

    Parameters
    ----------
    X : container of rows
    table : data frame or series, dict of names to arrays of shape (n,), or such an array
    name : str
        What it is, for messages.

    Raises
    ------
    ValueError
        If it has other rows than X, by its index, or columns of one name.
    """
    if isinstance(table, Mapping):
        check_distinct(list(map(str, table)), name)
        return {str(key): target_in(with_rows_of(X, values, name)) for key, values in table.items()}
    table = with_rows_of(X, table, name)
    if is_pandas_frame(table) or (is_dask_frame(table) and table.ndim == 2):
        check_distinct(list(map(str, table.columns)), name)
        return {str(column): target_in(table[column]) for column in table.columns}
    held = arrow_frame(table)
    if held is not None:
        return {column: target_in(held[column].to_native()) for column in held.columns}
    return {series_name(table) or name: target_in(table)}
