"""Datasets of xarray as tables: variables are columns, the points of their dimensions rows."""

import itertools

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers.errors import assert_says, raised
from helpers.lazy import Computes, computing
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, landscape
from dask_igtm.data.cubes import cube_rows, grid_of
from dask_igtm.data.row_blocks import row_blocks

SIZES = {"time": 6, "lat": 5, "lon": 7}
SHAPE = tuple(SIZES.values())
NAMES = ("t2m", "rain", "wind")
SETTINGS = {"k": 4, "m": 2, "niter": 3, "tol": 0, "scale": "center", "solver": "em"}
CHUNKS = {"time": 4, "lat": 2, "lon": 3}


def cube():
    rng = np.random.default_rng(5)
    latent = rng.normal(size=(*SHAPE, 2))
    variables = {
        name: (tuple(SIZES), latent @ rng.normal(size=2) + 0.1 * rng.normal(size=SHAPE)) for name in NAMES
    }
    coords = {
        "time": np.arange("2001-01-01", "2001-01-07", dtype="M8[D]").astype("M8[ns]"),
        "lat": np.linspace(40, 48, 5),
        "lon": np.linspace(0, 12, 7),
        "area": (("lat", "lon"), rng.random(SHAPE[1:])),
        "height": 2.0,
    }
    return xr.Dataset(variables, coords)


CUBE = cube()
TABLE = pd.DataFrame({name: CUBE[name].values.ravel() for name in NAMES})
FITTED = IGTM(**SETTINGS).fit(TABLE)


@pytest.fixture
def stored(tmp_path):
    CUBE.to_zarr(
        tmp_path / "cube.zarr", consolidated=False, encoding={n: {"chunks": (4, 2, 3)} for n in NAMES}
    )
    return tmp_path / "cube.zarr"


@pytest.fixture(params=["memory", "lazy", "unlike chunks", "transposed", "partly lazy", "file", "unloaded"])
def given_cube(request, stored):
    """One cube in many ways."""
    lazy = CUBE.chunk(CHUNKS)
    return {
        "memory": CUBE,
        "lazy": lazy,
        "unlike chunks": lazy.assign(rain=CUBE.rain.chunk({"time": 3})),
        "transposed": lazy.assign(rain=lazy.rain.transpose("lon", "time", "lat")),
        "partly lazy": CUBE.assign(rain=lazy.rain),
        "file": xr.open_zarr(stored, consolidated=False),
        "unloaded": xr.open_zarr(stored, consolidated=False, chunks=None),
    }[request.param]


def test_results_lie_where_the_rows_do(given_cube):
    fitted = IGTM(**SETTINGS).fit(given_cube)
    order = [fitted.feature_names_in_.tolist().index(name) for name in NAMES]  # files have one of their own
    assert_allclose(fitted.centers_[:, order], FITTED.centers_, rtol=1e-9)
    with dask.config.set(scheduler=computing) if given_cube is not CUBE else Computes():
        positions = fitted.transform(given_cube)
        described = fitted.describe(given_cube, ("modes", "node", "top_nodes", "responsibilities"), top=3)
        inside, scores = fitted.applicability(given_cube), fitted.score_samples(given_cube)
    assert positions.dims == (*SIZES, "igtm")
    assert positions["igtm"].values.tolist() == ["x1", "x2"]
    for name, coordinate in CUBE.coords.items():
        xr.testing.assert_identical(positions[name].drop_vars("igtm", errors="ignore"), coordinate)
    assert_allclose(positions.values.reshape(-1, 2), FITTED.transform(TABLE), atol=1e-9)
    assert_allclose(scores.values.ravel(), FITTED.score_samples(TABLE), rtol=1e-9)
    assert inside.dims == tuple(SIZES)
    together = xr.Dataset(described)
    assert dict(together.sizes) == {**SIZES, "igtm": 2, "igtm_rank": 3, "igtm_node": 16}
    assert together["igtm_rank"].values.tolist() == [1, 2, 3]
    assert_array_equal(together["node"].values.ravel(), FITTED.describe(TABLE)["node"])
    assert_array_equal(together["node"], together["top_nodes"].sel(igtm_rank=1))
    assert_array_equal(together["node"], together["responsibilities"].argmax("igtm_node"))


def test_a_lazy_cube_is_a_block_a_chunk_and_moves_nothing():
    lazy = CUBE.chunk(CHUNKS)
    rows = row_blocks(lazy).X
    sizes = [a * b * c for a, b, c in itertools.product((4, 2), (2, 2, 1), (3, 3, 1))]
    assert rows.chunks == (tuple(sizes), (3,))
    # One task stacks the variables of a chunk, and each of its chunks feeds that one alone.
    assert not any("rechunk" in str(key) or "concatenate" in str(key) for key in dict(rows.__dask_graph__()))
    positions = FITTED.transform(lazy)
    assert positions.chunksizes == {"time": (4, 2), "lat": (2, 2, 1), "lon": (3, 3, 1), "igtm": (2,)}


def test_no_index_of_all_rows_is_made():
    n = 50_000  # along each dimension, and an index would take 20 GB
    zeros = da.zeros((n, n), chunks=(n // 20, n // 20))
    many = xr.Dataset(dict.fromkeys(NAMES, (("y", "x"), zeros)))
    positions = FITTED.transform(many)
    assert positions.shape == (n, n, 2)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.data(),
)
def test_what_is_taken_from_a_grid_goes_back_to_its_place(shape, data):
    dims = tuple("abc"[: len(shape)])
    chunks = {dim: data.draw(st.integers(1, n)) for dim, n in zip(dims, shape, strict=True)}
    numbers = np.arange(float(np.prod(shape))).reshape(shape)
    one = xr.Dataset({"u": (dims, numbers), "v": (dims, -numbers)})
    for given_cube in (one, one.chunk(chunks)):
        grid, rows = grid_of(given_cube), cube_rows(given_cube)
        back = np.asarray(grid.gather(rows))
        assert_array_equal(back, np.stack([numbers, -numbers], axis=-1))
        assert_array_equal(np.asarray(grid.spread(given_cube["u"])), np.asarray(rows)[:, 0])
        kept = data.draw(st.lists(st.sampled_from(dims), unique=True))
        part = one["u"].isel({dim: 0 for dim in dims if dim not in kept}).transpose(*kept)
        expected = (part + 0 * one["u"]).transpose(*dims)
        for values in (part, part.chunk()):
            assert_array_equal(np.asarray(grid.gather(grid.spread(values))), expected)


def test_a_file_is_read_in_whole_stored_chunks(stored, monkeypatch):
    unloaded = xr.open_zarr(stored, consolidated=False, chunks=None)
    assert grid_of(unloaded).chunks == tuple((n,) for n in SHAPE)
    monkeypatch.setattr("dask_igtm.data.cubes.READ_BYTES", 1)
    assert grid_of(unloaded).chunks == ((4, 2), (2, 2, 1), (3, 3, 1))
    plain = unloaded.copy()
    for name in NAMES:
        plain[name].encoding = {}
    assert grid_of(plain).chunks == ((1,) * 6, (5,), (7,))
    positions = FITTED.transform(unloaded)
    assert not unloaded["rain"].variable._in_memory
    with dask.config.set(scheduler="processes", num_workers=1):
        computed = positions.compute()
    assert_allclose(computed.values.reshape(-1, 2), FITTED.transform(TABLE), atol=1e-9)


# What goes with the rows


def test_weights_and_values_lie_on_some_of_the_dimensions(given_cube):
    area = CUBE["area"].drop_vars("area")
    repeated = np.broadcast_to(area.values, SHAPE).ravel()
    expected = IGTM(**SETTINGS).fit(TABLE, sample_weight=repeated)
    in_order = given_cube[list(NAMES)]
    for weights in (area, area.T, area.chunk(), given_cube["area"]):
        assert_allclose(IGTM(**SETTINGS).fit(in_order, sample_weight=weights).centers_, expected.centers_)
    y = CUBE["t2m"] + CUBE["lat"]
    found = landscape.property(FITTED, given_cube, y)
    assert found.columns == ("mean", "std", "support")
    assert_allclose(found.values, landscape.property(FITTED, TABLE, y.values.ravel()).values, rtol=1e-7)


def test_predictions_lie_where_the_rows_do(given_cube):
    warm = xr.where(CUBE["t2m"] > 0, "warm", "cold")
    classifier = IGTMClassifier(**SETTINGS).fit(given_cube, warm)
    bare = IGTMClassifier(**SETTINGS).fit(TABLE, warm.values.ravel())
    probabilities, labels = classifier.predict_proba(given_cube), classifier.predict(given_cube)
    assert labels.dims == tuple(SIZES)
    assert probabilities["igtm_class"].values.tolist() == ["cold", "warm"]
    assert_array_equal(labels.values.ravel(), bare.predict(TABLE))
    assert_allclose(probabilities.values.reshape(-1, 2), bare.predict_proba(TABLE), atol=1e-9)
    assert classifier.score(given_cube, warm) == bare.score(TABLE, warm.values.ravel())
    predicted = IGTMRegressor(**SETTINGS).fit(given_cube, CUBE["rain"]).predict(given_cube)
    assert predicted.dims == tuple(SIZES)


def test_coordinates_of_values_are_no_names_of_them():
    assert landscape.property(FITTED, CUBE, CUBE["area"]).columns == ("mean", "std", "support")
    regressor = IGTMRegressor(**SETTINGS).fit(CUBE, CUBE["area"])
    assert regressor.landscape_.columns == ("mean", "std", "support")


def test_a_search_scores_parts_of_a_cube():
    def scoring(igtm, rows):
        return igtm.score(rows)

    searches = [
        IGTMSearch(IGTM(**SETTINGS), {"k": [3, 4]}, cv=2, refit=False, scoring=given).fit(CUBE)
        for given in (None, scoring)
    ]
    one, other = (search.cv_results_["mean_test_score"] for search in searches)
    assert_allclose(one, other)


def test_gaps_of_a_cube_are_filled_in_place(given_cube):
    gappy = given_cube.assign(rain=given_cube["rain"].where(given_cube["t2m"] < 1))
    if given_cube is not CUBE:
        with dask.config.set(scheduler=computing):
            filled = FITTED.impute(gappy)
    filled = FITTED.impute(gappy)
    table = pd.DataFrame({name: gappy[name].transpose(*SIZES).values.ravel() for name in NAMES})
    assert table.isna().any(axis=None)
    for i, name in enumerate(NAMES):
        assert_allclose(filled[name].values.ravel(), FITTED.impute(table)[:, i], rtol=1e-7, atol=1e-9)
    assert set(filled.coords) == set(CUBE.coords)


WEIGHTS = {
    "bare": (np.ones(210), TypeError, "sample_weight is of type ndarray; give an xarray.DataArray on some"),
    "other size": (CUBE["area"][:3], ValueError, r"sizes \(6, 5, 7\).*has sizes {'lat': 3, 'lon': 7}"),
    "other dimension": (xr.DataArray(np.ones(5), dims="depth"), ValueError, "has sizes {'depth': 5}"),
    "other order": (
        CUBE["area"][::-1],
        ValueError,
        r"other coordinates along 'lat'.*sample_weight.reindex\(lat=X\['lat'\]\)",
    ),
}


@pytest.mark.parametrize("kind", WEIGHTS)
def test_what_does_not_lie_on_the_cube_is_refused(kind):
    weights, error, says = WEIGHTS[kind]
    for given_cube in (CUBE, CUBE.chunk(CHUNKS)):
        with dask.config.set(scheduler=computing):
            message = raised(error, IGTM(**SETTINGS).fit, given_cube, sample_weight=weights)
        assert_says(message, says)


NO_CUBES = {
    "empty": (xr.Dataset(), "there are none"),
    "numbers": (xr.Dataset({"a": 1.0, "b": 2.0}), r"'a' \(\), 'b' \(\)"),
    "other dimensions": (CUBE.assign(relief=CUBE["area"]), r"'relief' \('lat', 'lon'\).*broadcast_like"),
    "words": (CUBE.assign(when=CUBE["time"].broadcast_like(CUBE["rain"])), "not numeric: 'when'; drop"),
}


@pytest.mark.parametrize("kind", NO_CUBES)
def test_what_is_no_cube_says_why(kind):
    dataset, says = NO_CUBES[kind]
    assert_says(raised(ValueError, IGTM(**SETTINGS).fit, dataset), says)


def test_masks_that_blocks_turn_out_to_have_are_refused():
    masked = CUBE["rain"].chunk(CHUNKS).data.map_blocks(np.ma.masked_greater, 0.0, meta=np.empty((0, 0, 0)))
    given_cube = CUBE.chunk(CHUNKS).assign(rain=xr.DataArray(masked, dims=tuple(SIZES)))
    message = raised(TypeError, IGTM(**SETTINGS).fit, given_cube)
    assert_says(message, "masked array, and its mask would be lost")


def test_variables_are_found_by_name_in_whatever_order():
    turned = CUBE[["rain", "t2m", "wind"]]
    xr.testing.assert_identical(FITTED.transform(turned), FITTED.transform(CUBE))
    assert_says(raised(ValueError, FITTED.transform, CUBE.rename(rain="snow")), "unseen at fit time:\n- snow")
    assert_says(raised(ValueError, FITTED.transform, CUBE[["rain", "t2m"]]), "now missing:\n- wind")
    with pytest.raises(ValueError, match="same order"):
        FITTED.transform(TABLE[["rain", "t2m", "wind"]])


def test_an_array_of_more_dimensions_says_how_it_becomes_a_cube():
    array = CUBE.to_dataarray("variable")
    assert_says(raised(ValueError, FITTED.transform, array), "2D array, got 4D", r"X.to_dataset\(dim\)")
    positions = FITTED.transform(array.to_dataset("variable"))
    assert_allclose(positions.values.reshape(-1, 2), FITTED.transform(TABLE), atol=1e-9)
