"""Objects that hold no table, or no values of its rows: each is refused with what to give instead."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dask
import dask.array as da
import numpy as np

# By package and class, so that no package has to be there: instead of a table, and instead of values of
# its rows where that is something else.
INSTEAD: dict[str, tuple[str, ...]] = {
    "anndata.AnnData": (
        "it to dask_igtm.tl.gtm({0}), or give {0}.X, or such as {0}.obsm['X_pca']",
        "one of its columns, such as {0}.obs['name']",
    ),
    "anndata.Raw": ("{0}.X",),
    "dask.Bag": ("a dask array or data frame, such as {0}.to_dataframe()",),
    "dask.Delayed": ("a dask array, such as dask.array.from_delayed({0}, shape, dtype)",),
    "h5py.AsStrView": ("the dataset itself",),
    "h5py.AsTypeView": ("the dataset itself",),
    "h5py.AstypeWrapper": ("the dataset itself",),  # of older releases
    "h5py.FieldsView": ("the dataset itself",),
    "netCDF4.Variable": ("an array of xarray.open_dataset(path)",),
    "polars.LazyFrame": ("{0}.collect()",),
    "tables.Leaf": ("dask.array.from_array({0}, chunks=...)",),
    "xarray.DataTree": ("an array of one of its nodes",),
    "zarr.Store": ("zarr.open({0}, mode='r')",),
}
KNOWN = "an array, a data frame, or the path or URL of a Zarr array, of Parquet or CSV"
READABLE = ("shape", "__array__", "__array_interface__", "__arrow_c_stream__")


def refuse(X: Any, name: str = "X", *, table: bool = True) -> None:
    """Raise TypeError unless `X` is of a kind that can have a table in it, or values of rows.

    Parameters
    ----------
    X : object
    name : str
        What it is, for messages.
    table : bool
        Whether it has to have rows and columns, and one value a row is not enough.
    """
    _refuse_mask(X, name)
    found = (advice(X, name, table) for advice in ADVICE)
    instead = next(filter(None, found), None)
    if instead:
        lacking = "table" if table else "array of values"
        raise TypeError(f"{name} is {_kind(X)}, which is no {lacking}; give {instead}.")


def _refuse_mask(X: Any, name: str) -> None:
    if isinstance(_held(X), np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and its mask would be lost; fill it, with {name}.filled(value) in "
            f"memory or da.ma.filled({name}, value)."
        )


def _of_known_class(X: Any, name: str, table: bool) -> str | None:
    known = (INSTEAD[kind] for kind in _classes(X) if kind in INSTEAD)
    instead = next(known, None)
    return instead[0 if table else -1].format(name) if instead else None


def _of_variables(X: Any, name: str, _table: bool) -> str | None:
    """Say which arrays there are in a Dataset of xarray, which as a table is none of these objects."""
    if "xarray.Dataset" not in _classes(X):
        return None
    fitting = [f"{name}[{key!r}]" for key, array in X.items() if array.ndim in (1, 2)]
    return ", or ".join(fitting) or "an array"


def _of_dask(X: Any, _name: str, _table: bool) -> str | None:
    """Say what to give instead of a collection that NumPy would compute."""
    taken = isinstance(X, da.Array) or hasattr(type(X), "to_dask_array") or "xarray.DataArray" in _classes(X)
    return None if taken or not dask.is_dask_collection(X) else "a dask array or data frame"


def _of_names(X: Any, name: str, _table: bool) -> str | None:
    """Say how what has its columns by name becomes a table: mappings, and arrays of records."""
    if isinstance(X, Mapping) and not hasattr(X, "shape"):  # as some sparse matrices have
        return f"pandas.DataFrame({name})"
    if getattr(getattr(X, "dtype", None), "names", None):
        return f"numpy.lib.recfunctions.structured_to_unstructured({name})"
    return None


def _of_parts(X: Any, name: str, table: bool) -> str | None:
    """Say how a list of tables becomes one."""
    first = X[0] if isinstance(X, (list, tuple)) and X else None
    if isinstance(first, Mapping):
        return f"pandas.DataFrame({name})"
    if table and isinstance(first, (str, os.PathLike)):
        return f"dask.array.concatenate([dask.array.from_zarr(path) for path in {name}])"
    if dask.is_dask_collection(first):
        return f"one array, such as dask.array.concatenate({name})"
    if getattr(first, "ndim", 0) > 1:
        return f"one array, such as numpy.concatenate({name})"
    return None


def _of_one_column(X: Any, name: str, table: bool) -> str | None:
    return f"{name}.to_frame(), of one column" if table and hasattr(type(X), "to_frame") else None


def _of_sparse_values(X: Any, name: str, table: bool) -> str | None:
    if table or not hasattr(_held(X), "tocsr"):
        return None
    return f"{name}.map_blocks(lambda block: block.toarray())" if _held(X) is not X else f"{name}.toarray()"


def _of_anything_else(X: Any, _name: str, _table: bool) -> str | None:
    readable = isinstance(X, (list, tuple, range, memoryview)) or any(
        hasattr(type(X), way) or hasattr(X, way) for way in READABLE
    )
    return None if readable and not isinstance(X, type) else KNOWN


ADVICE: tuple[Callable[[Any, str, bool], str | None], ...] = (
    _of_known_class,
    _of_variables,
    _of_dask,
    _of_names,
    _of_parts,
    _of_one_column,
    _of_sparse_values,
    _of_anything_else,
)


def _held(X: Any) -> Any:
    """Return what the chunks of a dask collection are like, or else the object."""
    return getattr(X, "_meta", X)


def _classes(X: Any) -> Iterator[str]:
    return (f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(X).__mro__)


def _kind(X: Any) -> str:
    if X is None:
        return "None"
    held = "" if _held(X) is X else f" with chunks of {type(_held(X)).__name__}"
    return f"of type {next(_classes(X)).removeprefix('builtins.')}{held}"
