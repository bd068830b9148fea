"""What the columns of a data frame hold, and the numbers, values or labels in them.

Frames and series are those of pandas and Dask, and of whatever speaks Arrow's protocol, such as pyarrow and
polars. The type of a column alone says whether it holds numbers; only Python's objects have to be read.
"""

from __future__ import annotations

import importlib
import sys
from operator import attrgetter
from typing import Any

import dask
import numpy as np
from numpy.typing import NDArray

from dask_igtm.statistics.targets import floats_of

ARROW = ("__arrow_c_stream__", "__arrow_c_array__")  # the protocol by which Arrow's data change hands


def is_dask_frame(X: Any) -> bool:
    """Whether `X` is a data frame or series of Dask."""
    return dask.is_dask_collection(X) and hasattr(type(X), "to_dask_array")


def in_pandas(X: Any) -> Any:
    """Return what pandas or Arrow hold in memory as a frame or series of pandas, anything else as it is."""
    if _is_pandas(X, "DataFrame", "Series"):
        return X
    if _is_pandas(X, "Index", "api.extensions.ExtensionArray"):
        return sys.modules["pandas"].Series(X)
    if isinstance(getattr(X, "dtype", None), np.dtype) or not any(hasattr(X, method) for method in ARROW):
        return X  # arrays of xarray speak Arrow's protocol too
    try:
        pa, pd = importlib.import_module("pyarrow"), importlib.import_module("pandas")
    except ImportError as error:
        raise ImportError(
            f"A {type(X).__name__} is read by pandas and pyarrow; pip install 'dask_igtm[tables]', or give "
            "an array of NumPy."
        ) from error
    is_table = len(getattr(X, "shape", ())) == 2
    table = pa.table(X) if is_table else pa.table([X], names=["values"])
    # Of views, which pandas does not know, objects.
    held = table.to_pandas(types_mapper=lambda kind: None if "view" in str(kind) else pd.ArrowDtype(kind))
    return held if is_table else held["values"]


def is_pandas_frame(X: Any) -> bool:
    """Whether `X` is a data frame of pandas, which need not be installed."""
    return _is_pandas(X, "DataFrame")


def arrow_frame(X: Any) -> Any:
    """Return a table in memory of polars, pyarrow or their like as a frame of narwhals; None of others.

    What speaks Arrow's protocol and is unknown to narwhals becomes a table of pyarrow.
    """
    known = is_pandas_frame(X) or is_dask_frame(X) or isinstance(getattr(X, "dtype", None), np.dtype)
    if known or len(getattr(X, "shape", ())) != 2 or not any(hasattr(X, method) for method in ARROW):
        return None
    try:
        import narwhals as nw  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(
            f"A {type(X).__name__} is taken apart by narwhals, which is not installed; "
            "pip install 'dask_igtm[tables]', or give a frame of pandas."
        ) from error
    held = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(held, nw.DataFrame):
        return held
    return nw.from_native(importlib.import_module("pyarrow").table(X), eager_only=True)


def frame(values: Any, names: Any) -> Any:
    """Return a pandas.DataFrame with columns of these names; raise ImportError if pandas is not installed."""
    try:
        import pandas as pd  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(
            "A data frame needs pandas, which is not installed; pip install 'dask_igtm[tables]'."
        ) from error
    return pd.DataFrame(values, columns=names)


def word_columns(X: Any) -> list[str]:
    """Names of the columns of a frame or series whose type is not one of numbers; none of what is no such."""
    X = X if is_dask_frame(X) else in_pandas(X)
    if not (is_dask_frame(X) or _is_pandas(X, "DataFrame", "Series")):
        return []
    columns = X.dtypes.items() if X.ndim == 2 else [("y" if X.name is None else X.name, X.dtype)]
    return [str(name) for name, dtype in columns if _number_type(dtype) is None]


def with_numbers(X: Any) -> Any:
    """Return a data frame in memory as one of pandas that holds numbers of one type; others as they are.

    Sparse ones stay as they are where zeros are what they leave out: scikit-learn keeps those sparse.

    Raises
    ------
    ValueError
        If a column holds no numbers; the message names all such.
    """
    X = in_pandas(X)
    if not _is_pandas(X, "DataFrame"):
        return X
    if len(X.columns) and all(getattr(column, "fill_value", None) == 0 for column in X.dtypes):
        return X
    numbers = _numbers(X, _common_type(X), "X")
    return sys.modules["pandas"].DataFrame(numbers, X.index, X.columns, copy=False)


def numbers_in(X: Any, name: str) -> Any:
    """Return the numbers in a frame or series as an array, a lazy one of one of Dask; others as they are.

    A gap is NaN: whole numbers and bools that can have some become floats. A series of words becomes objects.

    Raises
    ------
    ValueError
        As `with_numbers`, with `name` for `X`; where objects turn out to be no numbers, once they are read.
    """
    if is_dask_frame(X):
        if X.ndim == 1:
            return _mapped(X, _column)
        _refuse(word_columns(X), name)
        dtype = _common_type(X)
        return X.map_partitions(_numbers, dtype, name, meta=np.empty((0, len(X.columns)), dtype))
    X = in_pandas(X)
    if _is_pandas(X, "DataFrame"):
        return _numbers(X, _common_type(X), name)
    return _column(X) if _is_pandas(X, "Series") else X


def target_in(y: Any) -> Any:
    """Return the values or labels in a frame or series as an array, lazy of one of Dask; others as they are.

    Words, and whole numbers and bools that can have gaps, become objects: labels stay what they are.
    """
    if is_dask_frame(y):
        return _mapped(y, _target)
    y = in_pandas(y)
    return _target(y) if _is_pandas(y, "DataFrame", "Series") else y


def category_order(labels: Any) -> tuple[Any, ...] | None:
    """Return the categories of labels in the order that these declare, None where they declare none.

    So do a Categorical of pandas, in a series or an index too, a series of Dask whose categories are known,
    and an Enum of polars; dictionaries hold labels as they came. Reads nothing.
    """
    if (is_pandas_frame(labels) or is_dask_frame(labels)) and labels.ndim == 2 and len(labels.columns) == 1:
        labels = labels[labels.columns[0]]
    dtype: Any = getattr(labels, "dtype", None)
    if type(dtype).__name__ not in {"CategoricalDtype", "Enum"}:
        return None
    known = not is_dask_frame(labels) or labels.cat.known
    return tuple(dtype.categories) if known else None


def ids_in(ids: Any) -> Any:
    """Return the ids in a series or index as an array, lazy of one of Dask; others as they are.

    Whole numbers that might have gaps stay whole numbers; raise ValueError where there is a gap after all.
    """
    if is_dask_frame(ids):
        return _mapped(ids, _ids)
    ids = in_pandas(ids)
    return _ids(ids) if _is_pandas(ids, "DataFrame", "Series") else ids


def _is_pandas(X: Any, *kinds: str) -> bool:
    """Whether `X` is of one of these classes of pandas, which need not be installed."""
    pd = sys.modules.get("pandas")
    return pd is not None and isinstance(X, tuple(attrgetter(kind)(pd) for kind in kinds))


def _mapped(X: Any, function: Any) -> Any:
    return X.map_partitions(function, meta=function(X._meta))


def _ids(ids: Any) -> NDArray[Any]:
    whole = getattr(ids.dtype, "numpy_dtype", None) if ids.ndim == 1 else None
    if whole is None or whole.kind not in "iub":
        return np.asarray(ids.to_numpy())
    if ids.isna().any():
        raise ValueError("Some rows have no id; give whole numbers without gaps, or strings.")
    return np.asarray(ids.to_numpy(dtype=whole))


def _target(y: Any) -> NDArray[Any]:
    if y.ndim == 1:
        return _column(y, exact=True)
    if len(y.columns) == 1:
        return _column(y.iloc[:, 0], exact=True)[:, None]
    has_others = any(kind is None or kind.kind == "O" for kind in map(_number_type, y.dtypes))
    return _array(y, np.dtype(object) if has_others else _common_type(y))


def _column(series: Any, *, exact: bool = False) -> NDArray[Any]:
    """Return a series as an array of numbers, or of objects; `exact` makes objects of gappy whole numbers."""
    dtype = _number_type(series.dtype)
    gappy = not isinstance(series.dtype, np.dtype)
    if dtype is None or (exact and gappy and series.dtype.kind in "iub"):
        dtype = np.dtype(object)
    return _array(series, dtype)


def _array(held: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what a frame or series of pandas holds as an array of this type; a gap is NaN among floats."""
    if dtype.kind != "f":
        return np.asarray(held.astype(dtype).to_numpy())
    return np.asarray(held.to_numpy(dtype=dtype, na_value=np.nan))


def _number_type(dtype: Any) -> np.dtype[Any] | None:
    """Return the type in which NumPy holds a column's numbers, that of objects for these; None for others."""
    if isinstance(dtype, np.dtype):
        return dtype if dtype.kind in "biufO" else None
    types = sys.modules["pandas"].api.types
    is_bool = types.is_bool_dtype(dtype) and not hasattr(dtype, "categories")
    if not (is_bool or types.is_numeric_dtype(dtype)) or dtype.kind == "c":
        return None
    if hasattr(dtype, "fill_value"):  # sparse
        held: np.dtype[Any] = dtype.subtype
        return held
    held = getattr(dtype, "numpy_dtype", np.dtype(object))  # which decimals are
    return np.result_type(np.float64 if held.kind == "O" else held, np.float32)


def _common_type(X: Any) -> np.dtype[Any]:
    """Return the type of all numbers of a frame of pandas or Dask, by the types of its columns alone."""
    types = [_number_type(dtype) for dtype in X.dtypes]
    known = [np.float64 if kind is None or kind.kind == "O" else kind for kind in types]
    return np.result_type(*known or [np.float64])


def _numbers(X: Any, dtype: np.dtype[Any], name: str) -> NDArray[Any]:
    """Return the numbers of a frame of pandas, NaN where there are none; refuse columns that hold others."""
    if any(dtype == np.dtype(object) for dtype in X.dtypes):
        columns = [_numeric(X.iloc[:, i]) for i in range(len(X.columns))]
        _refuse([str(X.columns[i]) for i, column in enumerate(columns) if column is None], name)
        X = frame(dict(enumerate(columns)), None)
    _refuse(word_columns(X), name)
    return _array(X, dtype)


def _numeric(column: Any) -> Any:
    """Return a column of numbers, objects as floats; None where it holds others."""
    dtype = _number_type(column.dtype)
    if dtype is None or dtype.kind != "O":
        return None if dtype is None else column
    try:
        return floats_of(column.to_numpy())
    except TypeError:
        return None


def _refuse(words: list[str], name: str) -> None:
    if words:
        raise ValueError(
            f"{name} has columns that are not numeric: {', '.join(map(repr, words))}; drop them, or make "
            "them numbers, for example with pandas.get_dummies(X), or as the days since a date."
        )
