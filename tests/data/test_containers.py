"""Containers that are no table of rows are refused by name."""

import re

import dask
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from helpers.errors import assert_says, raised

from dask_igtm import IGTM

N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "pathlib"])
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_a_path_without_array_is_named(fitted, tmp_path, convert, method):
    path = tmp_path / "nothing.zarr"
    message = raised(FileNotFoundError, getattr(fitted, method), convert(path))
    assert_says(message, re.escape(str(path)), "path")
    assert not path.exists()


def test_a_path_of_something_else_is_named(fitted, tmp_path):
    path = tmp_path / "rows.txt"
    path.write_text("1,2,3,4,5\n")
    assert_says(raised((ValueError, OSError), fitted.transform, str(path)), re.escape(str(path)), "zarr")


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "pathlib"])
def test_a_path_of_a_group_names_its_arrays(X, tmp_path, convert):
    group = zarr.open_group(tmp_path / "group.zarr", mode="w")
    for name in ("rows", "labels"):
        group.create_array(name, shape=X.shape, dtype=X.dtype)
    message = raised(TypeError, igtm().fit, convert(tmp_path / "group.zarr"))
    assert_says(message, "group", r"\brows\b", r"\blabels\b", "give the path")


def test_a_masked_array_is_refused(X):
    assert_says(raised(TypeError, igtm().fit, np.ma.masked_array(X)), "masked", "filled")


def test_a_group_names_its_arrays(X):
    group = zarr.open_group(zarr.storage.MemoryStore(), mode="w")
    group.create_array("rows", shape=X.shape, dtype=X.dtype)
    assert_says(raised(TypeError, igtm().fit, group), "group", r"\brows\b")


ROWS = correlated(300, 5)


def test_other_collections_of_dask_are_refused_by_name():
    with pytest.raises(TypeError, match="Delayed"):
        IGTM().fit(dask.delayed(ROWS))
