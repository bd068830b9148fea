"""Results for rows of xarray keep their dimensions and coordinates, and unstack to where these came from."""

import dask
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, IGTMRegressor
from dask_igtm.projection.labelled_results import as_dataset

SIZES = {"time": 6, "lat": 5, "lon": 7}
SETTINGS = {"k": 4, "m": 2, "niter": 3, "tol": 0, "scale": "center", "solver": "em"}
RNG = np.random.default_rng(2)
CUBE = xr.DataArray(
    RNG.normal(size=(4, *SIZES.values())),
    dims=("variable", *SIZES),
    coords={
        "variable": list("abcd"),
        "time": pd.date_range("2001-01-01", periods=6),
        "lat": np.linspace(40, 48, 5),
        "lon": np.linspace(0, 12, 7),
    },
)
STACKED = CUBE.stack(row=tuple(SIZES)).transpose("row", "variable")
FITTED = IGTM(**SETTINGS).fit(pd.DataFrame(STACKED.values, columns=list("abcd")))
KINDS = {
    "memory": STACKED,
    "lazy": CUBE.chunk({"time": 2}).stack(row=tuple(SIZES)).transpose("row", "variable"),
}


def frame(X):
    return pd.DataFrame(X.values, columns=X["variable"].values)


@pytest.mark.parametrize("kind", KINDS)
def test_stacked_rows_unstack_to_where_they_came_from(kind):
    X = KINDS[kind]
    with dask.config.set(scheduler=computing) if kind == "lazy" else dask.config.set():
        positions = FITTED.transform(X).unstack("row")
        scores = FITTED.score_samples(X).unstack()
        inside, filled = FITTED.applicability(X).unstack(), FITTED.impute(X).unstack()
        described = xr.Dataset(FITTED.describe(X, ("means", "node"))).unstack("row")
        responsibilities = FITTED.set_params(model="responsibilities").transform(X)
        FITTED.set_params(model="means")
    expected = FITTED.transform(frame(X))
    assert positions.dims == ("igtm", *SIZES)
    assert_allclose(positions.transpose(*SIZES, "igtm").values.reshape(-1, 2), expected, atol=1e-9)
    for result in (positions, scores, inside, filled, described):
        for dim in SIZES:
            assert_array_equal(result[dim], CUBE[dim])
    assert_array_equal(filled.transpose(*CUBE.dims), CUBE)
    assert_array_equal(described["node"].values.ravel(), FITTED.describe(frame(X))["node"])
    assert responsibilities.dims == ("row", "igtm_node")


def test_a_table_keeps_all_that_lies_along_its_rows():
    coords = {
        "station": ("station", list("pqrs")),
        "height": ("station", [1.0, 2.0, 3.0, 4.0]),
        "band": ("band", list("abcd")),
        "wavelength": ("band", [1.0, 2.0, 3.0, 4.0]),
        "campaign": "spring",
    }
    X = xr.DataArray(STACKED.values[:4], dims=("station", "band"), coords=coords, attrs={"units": "1"})
    positions = FITTED.transform(X)
    assert set(positions.coords) == {"station", "height", "campaign", "igtm"}
    assert_allclose(positions.sel(station="q", igtm="x2"), FITTED.transform(X.sel(station=["q"]))[0, 1])
    gappy = X.where(X < 1)
    filled = FITTED.impute(gappy)
    assert set(filled.coords) == set(coords)
    assert filled.attrs == X.attrs
    assert_allclose(filled, FITTED.impute(pd.DataFrame(gappy.values, columns=list("abcd"))))


def test_rows_without_coordinates_have_their_dimension():
    positions = FITTED.transform(
        xr.DataArray(STACKED.values, dims=("cell", "gene"), coords={"gene": list("abcd")})
    )
    assert positions.dims == ("cell", "igtm")
    assert list(positions.coords) == ["igtm"]


def test_set_output_leaves_labels_alone():
    estimator = IGTM(**SETTINGS).set_output(transform="pandas").fit(STACKED)
    assert isinstance(estimator.transform(STACKED), xr.DataArray)
    assert isinstance(IGTM(**SETTINGS).set_output(transform="pandas").fit_transform(STACKED), xr.DataArray)
    assert isinstance(estimator.transform(frame(STACKED)), pd.DataFrame)


def test_several_targets_have_a_dimension():
    y = STACKED.values[:, :2]
    predicted = IGTMRegressor(**SETTINGS).fit(STACKED, y).predict(STACKED)
    assert predicted.dims == ("row", "igtm_target")
    assert predicted.shape == y.shape


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_a_table_become_variables(kind):
    X = KINDS[kind]
    described = FITTED.describe(frame(X), ("means", "node"))
    found = as_dataset(X, {"x1": described["means"][:, 0], "node": described["node"]})
    assert found["x1"].dims == found["node"].dims == ("row",)
    assert_array_equal(found.unstack()["node"].values.ravel(), described["node"])
