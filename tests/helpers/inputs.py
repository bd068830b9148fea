"""The same rows in every kind of container that the package takes."""

from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.testing import assert_allclose
from scipy import sparse

ZARR = ["zarr", "path", "pathlib", "sharded", "column_zarr"]
LAZY = ["dask", "uneven", "unaligned", "sparse_chunks", "coo_chunks", "lazy_xarray", *ZARR]
KINDS = ["ndarray", "fortran", "list", "csr", "csc", "frame", "xarray", *LAZY]
MODELS = ["means", "modes", "responsibilities"]


def assert_same_fit(one, other, rtol=1e-9):
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=rtol)
    assert_allclose(one.centers_, other.centers_, rtol=0, atol=rtol * np.abs(other.centers_).max())
    assert_allclose(one.log_likelihood_, other.log_likelihood_, rtol=rtol)
    assert_allclose(one.history_, other.history_, rtol=0, atol=rtol * np.abs(other.history_).max())


def all_kinds(X, folder):
    """Return some rows as each of `KINDS`; files go to the folder."""

    def stored(name, **layout):
        array = zarr.create_array(folder / f"{name}.zarr", shape=X.shape, dtype=X.dtype, **layout)
        array[...] = X  # create_array(data=...) of some zarr 3 releases writes wrong shards
        return array

    plain = stored("plain", chunks=(100, 5))
    lazy = da.from_array(X, chunks=(100, -1))
    return {
        "csr": sparse.csr_array(X),
        "csc": sparse.csc_matrix(X),
        "frame": pd.DataFrame(X),
        "xarray": xr.DataArray(X),
        "lazy_xarray": xr.DataArray(lazy),
        "sparse_chunks": lazy.map_blocks(sparse.csr_matrix),
        "coo_chunks": lazy.map_blocks(sparse.coo_array, meta=sparse.coo_array((0, 0))),
        "ndarray": X,
        "fortran": np.asfortranarray(X),
        "list": X.tolist(),
        "dask": lazy,
        "uneven": da.from_array(X, chunks=((1, 199, 37, 63), -1)),
        "unaligned": da.from_array(np.r_[X, X], chunks=(70, -1))[: len(X)],
        "zarr": plain,
        "path": str(folder / "plain.zarr"),
        "pathlib": Path(folder / "plain.zarr"),
        "sharded": stored("sharded", chunks=(25, 5), shards=(150, 5)),
        "column_zarr": stored("columns", chunks=(100, 2)),
    }
