"""Whatever holds no table is refused at once, with what to give instead."""

import concurrent.futures
import re

import dask
import dask.array as da
import dask.bag
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from helpers.data import correlated
from helpers.errors import raised
from helpers.lazy import computing
from scipy import sparse

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, landscape
from dask_igtm.data.no_tables import INSTEAD, KNOWN

X = correlated(60, 3)
LAZY = da.from_array(X, chunks=(20, 3))
FRAME = pd.DataFrame(X, columns=list("abc"))
DATASET = xr.Dataset({"u": (("r", "c"), X), "v": ("r", X[:, 0]), "w": (("r", "c", "d"), X[:, :, None])})


def of_package(name, *bases):
    """Return an object of a class of a package that need not be there; NumPy would take it for an array."""
    package, _, cls = name.partition(".")
    kind = type(
        cls, bases, {"__module__": f"{package}.inner", "shape": X.shape, "__array__": lambda *_, **__: X}
    )
    return kind()


NO_TABLES = {
    "series": (FRAME["a"], "X.to_frame()"),
    "index": (FRAME.index, "X.to_frame()"),
    "lazy series": (dd.from_pandas(FRAME, npartitions=2)["a"], "X.to_frame()"),
    "bag": (dask.bag.from_sequence([1, 2]), "X.to_dataframe()"),
    "delayed": (dask.delayed(X), "dask.array.from_delayed(X, shape, dtype)"),
    "lazy variable": (DATASET.chunk()["u"].variable, "a dask array or data frame"),
    "dict": (dict(FRAME), "pandas.DataFrame(X)"),
    "dicts": ([{"a": 1.0}] * 20, "pandas.DataFrame(X)"),
    "records": (FRAME.to_records(index=False), "structured_to_unstructured(X)"),
    "arrays": ([X, X], "numpy.concatenate(X)"),
    "lazy arrays": ((LAZY, LAZY), "dask.array.concatenate(X)"),
    "paths": (["a.zarr", "b.zarr"], "dask.array.from_zarr(path) for path in X"),
    "store": (zarr.storage.MemoryStore(), "zarr.open(X, mode='r')"),
    "None": (None, KNOWN),
    "number": (3, KNOWN),
    "bytes": (b"x.zarr", KNOWN),
    "generator": ((row for row in X), KNOWN),
    "set": ({1, 2}, KNOWN),
    "class": (np.ndarray, KNOWN),
    "future": (concurrent.futures.Future(), KNOWN),
} | {name: (of_package(name), table.format("X")) for name, (table, *_) in INSTEAD.items()}

NO_VALUES = {
    "sparse": (sparse.csr_matrix(X), "toarray()"),
    "sparse chunks": (LAZY.map_blocks(sparse.csr_matrix), "map_blocks(lambda block: block.toarray())"),
    "dataset": (DATASET, "['u'], or {}['v']."),
    "AnnData": (of_package("anndata.AnnData"), "one of its columns, such as {}.obs['name']"),
    "LazyFrame": (of_package("polars.LazyFrame"), "{}.collect()"),
    "arrays": ([X, X], "numpy.concatenate({})"),
    "dict": ({"a": 1}, "pandas.DataFrame({})"),
    "number": (3, KNOWN),
}


@pytest.fixture(scope="module")
def fitted():
    return IGTM(k=3, m=2, niter=1, scale="standard").fit(X)


def assert_refused(name, instead, call, *args, **kwargs):
    with dask.config.set(scheduler=computing):
        message = raised(TypeError, call, *args, **kwargs)
    assert re.match(rf"{name} is (None|of type [\w.]+( with chunks of \w+)?), which is no .*; give ", message)
    assert instead.format(name) in message


@pytest.mark.parametrize("kind", NO_TABLES)
def test_what_is_no_table_says_what_to_give(fitted, kind):
    given, instead = NO_TABLES[kind]
    igtm = IGTM(k=3, m=2, niter=1)
    for call in (igtm.fit, igtm.partial_fit, fitted.transform, fitted.score):
        assert_refused("X", instead, call, given)
    assert_refused("X", instead, landscape.density, fitted, given)


@pytest.mark.parametrize("kind", NO_VALUES)
def test_what_holds_no_values_says_what_to_give(fitted, kind):
    given, instead = NO_VALUES[kind]
    for rows in (X, LAZY):
        assert_refused("sample_weight", instead, IGTM().fit, rows, sample_weight=given)
        assert_refused("y", instead, landscape.property, fitted, rows, given)
        assert_refused("y", instead, IGTMClassifier().fit, rows, given)
        assert_refused("y", instead, IGTMRegressor().fit, rows, given)


@pytest.mark.parametrize(
    "kind",
    [
        getattr(sparse, f"{name}_{kind}")
        for name in ("bsr", "coo", "csc", "dia", "dok", "lil")
        for kind in ("array", "matrix")
    ],
)
def test_sparse_matrices_of_all_formats_are_tables(fitted, kind):
    np.testing.assert_array_equal(fitted.transform(kind(X)), fitted.transform(sparse.csr_array(X)))


def test_a_subclass_is_known_by_its_base():
    base = type(of_package("anndata.AnnData"))
    assert_refused("X", "give X.X, or such as", IGTM().fit, of_package("anndata.Cells", base))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.float64(3), "got 0D array"),
        (X[:, 0], r"got 1D array with shape \(60,\)"),
        (pd.Categorical(["a", "b"]), r"got 1D array with shape \(2,\)"),
        (LAZY[:, :, None], r"got 3D array with shape \(60, 3, 1\)"),
        (FRAME[[]], r"0 feature\(s\) \(shape=\(60, 0\)\)"),
        (FRAME[:0], r"0 sample\(s\) \(shape=\(0, 3\)\)"),
    ],
)
def test_tables_of_other_shapes_are_refused_with_their_shape(given, message):
    with pytest.raises(ValueError, match=message):
        IGTM().fit(given)
