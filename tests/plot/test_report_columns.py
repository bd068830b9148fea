"""A report draws a projection for a single column of y, in whatever container, and none for several."""

import json
import re

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from dask_igtm import IGTM, report

RNG = np.random.default_rng(0)
X = RNG.normal(size=(150, 3)) * [3, 2, 1]
Y = X[:, 0] - X[:, 1]
INDEX = [f"row{i}" for i in range(150)]


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=4, m=2, niter=3).fit(X)


def maps(igtm, path, **given):
    """Return the maps of a page, without the density and the magnification."""
    report(igtm, X, path, **given)
    found = json.loads(re.search(r'id="charts">(.*?)</script>', path.read_text(), re.DOTALL)[1])
    return found["maps"]["concat"]


def stored(tmp_path, y, name="y.zarr"):
    zarr.create_array(tmp_path / name, data=y, chunks=(50, *y.shape[1:]))
    return tmp_path / name


COLUMN = Y[:, None]
SINGLE = {
    "array": lambda _: Y,
    "column": lambda _: COLUMN,
    "list": lambda _: Y.tolist(),
    "list of lists": lambda _: COLUMN.tolist(),
    "series": lambda _: pd.Series(Y, name="height"),
    "frame": lambda _: pd.DataFrame({"height": Y}, index=INDEX),
    "dask": lambda _: da.from_array(Y, chunks=50),
    "dask column": lambda _: da.from_array(COLUMN, chunks=(50, 1)),
    "dask frame": lambda _: dd.from_pandas(pd.DataFrame({"height": Y}), npartitions=1),
    "dask series": lambda _: dd.from_pandas(pd.Series(Y, name="height"), npartitions=1),
    "xarray": lambda _: xr.DataArray(COLUMN, dims=("row", "column")),
    "path": lambda tmp_path: stored(tmp_path, Y),
    "path of a column": lambda tmp_path: stored(tmp_path, COLUMN),
    "path as a string": lambda tmp_path: str(stored(tmp_path, COLUMN)),
    "zarr of a column": lambda tmp_path: zarr.open_array(stored(tmp_path, COLUMN), mode="r"),
    "int32": lambda _: COLUMN.astype("i4"),
}
SEVERAL = {
    "array": lambda _: np.column_stack([Y, -Y]),
    "list": lambda _: np.column_stack([Y, -Y]).tolist(),
    "frame": lambda _: pd.DataFrame({"height": Y, "depth": -Y}),
    "dask": lambda _: da.from_array(np.column_stack([Y, -Y]), chunks=(50, 2)),
    "path": lambda tmp_path: stored(tmp_path, np.column_stack([Y, -Y])),
}
OF_NODES = 2  # density and magnification


def colour(panels):
    """Return which field of the table of the first map, which is of the rows, colours it."""
    return panels[0]["encoding"]["color"].get("field")


@pytest.fixture(scope="module")
def plain(igtm, tmp_path_factory):
    return maps(igtm, tmp_path_factory.mktemp("plain") / "page.html", y=Y)


@pytest.fixture(scope="module")
def bare(igtm, tmp_path_factory):
    return maps(igtm, tmp_path_factory.mktemp("bare") / "page.html")


def test_there_is_something_to_tell_apart(plain, bare):
    assert len(plain) == 1 + 1 + OF_NODES
    assert len(bare) == 1 + OF_NODES
    assert colour(plain) != colour(bare)


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_column_has_a_projection_and_a_landscape(igtm, plain, tmp_path, kind):
    found = maps(igtm, tmp_path / "page.html", y=SINGLE[kind](tmp_path))
    assert len(found) == len(plain)
    assert colour(found) == colour(plain)


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_columns_have_a_landscape_each_and_one_projection_without_them(igtm, bare, tmp_path, kind):
    found = maps(igtm, tmp_path / "page.html", y=SEVERAL[kind](tmp_path))
    assert len(found) == 1 + 2 + OF_NODES
    assert colour(found) == colour(bare)


@pytest.mark.parametrize("kind", ["column", "frame", "dask column", "path of a column"])
def test_labels_have_a_projection_beside_it(igtm, tmp_path, kind):
    labels = np.where(Y > 0, "high", "low")
    found = maps(igtm, tmp_path / "page.html", y=SINGLE[kind](tmp_path), labels=labels)
    assert len(found) == 2 + 2 + OF_NODES


def test_the_name_of_the_only_column_is_that_of_its_chart(igtm, tmp_path):
    found = maps(igtm, tmp_path / "page.html", y=pd.DataFrame({"height": Y}))
    assert "height" in json.dumps(found[0])
