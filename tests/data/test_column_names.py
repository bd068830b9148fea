"""Frames and labelled arrays: the fit of their values, and the names of their columns."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers.data import correlated
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, load

X = correlated(400, 5)
NAMES = list("abcde")
FRAME = pd.DataFrame(X, columns=NAMES, index=np.arange(400) * 3)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "scale": "center", **parameters})


def named(kind, columns=NAMES):
    frame = FRAME[columns]
    labelled = {"dims": ("row", "column"), "coords": {"column": columns}}
    return {
        "pandas": lambda: frame,
        "dask": lambda: dd.from_pandas(frame, npartitions=3),
        "dask, unknown": lambda: dd.from_pandas(frame, npartitions=3).clear_divisions(),
        "xarray": lambda: xr.DataArray(frame.to_numpy(), **labelled),
        "lazy xarray": lambda: xr.DataArray(da.from_array(frame.to_numpy(), chunks=(150, 5)), **labelled),
    }[kind]()


KINDS = ["pandas", "dask", "dask, unknown", "xarray", "lazy xarray"]
LAZY = [kind for kind in KINDS if kind not in ("pandas", "xarray")]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_give_the_fit_of_their_values_and_their_names(kind, tmp_path):
    given, one = named(kind), igtm().fit(X)
    other = igtm().fit(given)
    assert other.feature_names_in_.tolist() == NAMES
    assert_allclose(other.centers_, one.centers_, rtol=1e-8, atol=1e-9)
    assert_allclose(np.asarray(other.transform(given)), one.transform(X), atol=1e-9)
    assert_allclose(other.score(given), one.score(X))
    other.save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").feature_names_in_.tolist() == NAMES
    weighted = igtm().fit(
        given, sample_weight=named(kind, ["a"])["a"] ** 2 if "dask" in kind else X[:, 0] ** 2
    )
    assert_allclose(
        weighted.centers_, igtm().fit(X, sample_weight=X[:, 0] ** 2).centers_, rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_columns_is_checked(kind):
    fitted = igtm().fit(named(kind))
    with pytest.raises(ValueError, match="same order"):
        fitted.transform(named(kind, NAMES[::-1]))
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(named(kind, NAMES[:4]))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.transform(X)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.transform(da.from_array(X))


@pytest.mark.parametrize("kind", LAZY)
def test_lazy_frames_stay_lazy(kind):
    fitted, given = igtm().fit(FRAME), named(kind)
    with dask.config.set(scheduler=computing):
        results = [fitted.transform(given), fitted.score_samples(given), fitted.impute(given)]
        fitted.set_params(model="complete").transform(given)
        fitted.set_params(model="means").set_output(transform="pandas").transform(given)
    assert all(isinstance(result, da.Array) for result in results)


def test_frames_in_memory_keep_their_index():
    fitted = igtm().set_output(transform="pandas").fit(FRAME)
    result = fitted.transform(FRAME)
    assert_array_equal(result.index, FRAME.index)
    assert result.columns.tolist() == ["igtm0", "igtm1"]


def test_arrays_of_xarray_without_names_are_arrays():
    for given in (xr.DataArray(X), xr.DataArray(X, dims=("r", "c"), coords={"c": np.arange(5)})):
        assert not hasattr(igtm().fit(given), "feature_names_in_")
    with pytest.raises(ValueError, match="2D"):
        igtm().fit(xr.DataArray(X[0]))


def test_frames_with_gaps(tmp_path):
    frame = FRAME.mask(np.random.default_rng(0).random(X.shape) < 0.2)
    one = igtm(missing="marginalize").fit(frame)
    other = igtm(missing="marginalize").fit(dd.from_pandas(frame, npartitions=4))
    assert_allclose(other.centers_, one.centers_, rtol=1e-8, atol=1e-9)
    with pytest.raises(ValueError, match="column 'a'"):
        igtm().fit(dd.from_pandas(frame, npartitions=4))
    with pytest.raises(ValueError, match="no value in column 'c'"):
        igtm(missing="mean").fit(frame.assign(c=np.nan))


def test_frames_of_words_are_refused():
    words = FRAME.assign(kind="word", sort=pd.Categorical(["a"] * len(FRAME)))
    for X in (words, dd.from_pandas(words, npartitions=2)):
        with pytest.raises(ValueError, match="not numeric: 'kind', 'sort'; drop them"):
            igtm().fit(X)
