"""Rows of xarray are called by their coordinates, in the order of the rows."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers.lazy import computing
from numpy.testing import assert_array_equal

from dask_igtm.data.containers import array_in
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.data.xarray_names import coordinates_of_rows

SHAPE = (3, 4)
CUBE = xr.Dataset(
    {name: (("lat", "site"), np.arange(12.0).reshape(SHAPE) + i) for i, name in enumerate("abc")},
    {
        "lat": [40.0, 41.0, 42.0],
        "country": ("lat", list("xyz")),
        "area": (("lat", "site"), np.arange(12.0).reshape(SHAPE)),
        "height": 2.0,
    },
)
TABLE = xr.DataArray(
    np.arange(24.0).reshape(12, 2),
    dims=("row", "band"),
    coords={
        "row": pd.date_range("2001-01-01", periods=12),
        "kind": ("row", list("abcdefghijkl")),
        "band": [7, 8],
    },
)


@pytest.mark.parametrize("chunks", [None, {"lat": 2, "site": 3}])
def test_a_cube_names_each_row_by_its_place(chunks):
    given = CUBE.chunk(chunks) if chunks else CUBE
    with dask.config.set(scheduler=computing):
        names = coordinates_of_rows(given)
    assert list(names) == ["lat", "site", "country", "area"]
    if chunks:
        assert all(values.chunks == row_blocks(given).X.chunks[:1] for values in names.values())
    (names, rows) = dask.compute(names, array_in(given))
    assert_array_equal(rows[:, 0], names["area"])  # which are in the order of the rows
    assert_array_equal(names["lat"], 40 + names["area"] // 4)
    assert_array_equal(names["site"], names["area"] % 4)
    assert names["country"].dtype == object
    assert_array_equal(names["country"], np.array(list("xyz"))[(names["area"] // 4).astype(int)])


@pytest.mark.parametrize("chunks", [None, {"row": 5}])
def test_a_table_names_each_row_by_what_lies_along_it(chunks):
    given = TABLE.chunk(chunks) if chunks else TABLE
    names = coordinates_of_rows(given)
    assert list(names) == ["row", "kind"]
    if chunks:
        assert all(values.chunks == ((5, 5, 2),) for values in names.values())
    (names,) = dask.compute(names)
    assert_array_equal(names["row"], TABLE["row"])
    assert_array_equal(names["kind"], list("abcdefghijkl"))


def test_a_file_that_is_not_loaded(tmp_path):
    TABLE.assign_coords(kind=("row", np.arange(12.0))).to_dataset(name="x").to_zarr(
        tmp_path / "x.zarr", consolidated=False
    )
    given = xr.open_zarr(tmp_path / "x.zarr", consolidated=False, chunks=None)["x"]
    names = coordinates_of_rows(given)
    assert names["kind"].chunks == row_blocks(given).X.chunks[:1]
    assert_array_equal(names["kind"].compute(), np.arange(12.0))
    assert not given.variable._in_memory


def test_a_stacked_table_names_each_row_by_its_levels():
    stacked = CUBE.to_dataarray("variable").stack(row=("lat", "site")).transpose("row", "variable")
    names = coordinates_of_rows(stacked)
    assert set(names) == {"lat", "site", "country", "area"}
    assert_array_equal(names["lat"], np.repeat([40.0, 41.0, 42.0], 4))


def test_rows_without_coordinates_have_no_names():
    for given in (TABLE.drop_vars(["row", "kind"]), TABLE.drop_vars(["row", "kind"]).chunk()):
        assert coordinates_of_rows(given) == {}
