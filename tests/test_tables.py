"""Tables that users have: frames and their names, sparse rows, rows on a GPU, weights, principal axes."""

import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import sklearn
import xarray as xr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM, load, runIGTM

X = correlated(400, 5)
NAMES = list("abcde")
FRAME = pd.DataFrame(X, columns=NAMES, index=np.arange(400) * 3)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "scale": "center", **parameters})


def computing(*_args, **_kwargs):
    raise AssertionError("something was computed")


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


# Sparse rows


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("missing", ["error", "median", "marginalize"])
def test_sparse_rows_are_made_dense_a_tile_at_a_time(lazy, missing, monkeypatch):
    wide = sparse.csr_array(sparse.random(20_000, 60, density=0.05, random_state=0))
    heights, toarray = [], sparse.csr_array.toarray
    monkeypatch.setattr(sparse.csr_array, "toarray", lambda X: heights.append(X.shape[0]) or toarray(X))
    given = da.from_array(np.arange(2), chunks=1).map_blocks(
        lambda i: wide[10_000 * i[0] :][:10_000], chunks=((10_000,) * 2, (60,)), new_axis=1, meta=wide[:0]
    )
    one = igtm(missing=missing, n_blocks=0 if lazy else 2).fit(given if lazy else wide)
    positions = one.transform(given if lazy else wide)
    assert 0 < max(heights) <= 4096
    monkeypatch.undo()
    other = igtm(missing=missing, n_blocks=2).fit(wide.toarray())
    assert_allclose(one.centers_, other.centers_, rtol=1e-7, atol=1e-9)
    assert_allclose(np.asarray(positions), other.transform(wide.toarray()), atol=1e-6)


def test_sparse_rows_with_gaps():
    Y = X * (np.abs(X) > 1)
    Y[np.random.default_rng(0).random(Y.shape) < 0.1] = np.nan
    one = igtm(missing="marginalize").fit(sparse.csr_array(Y))
    assert_allclose(one.centers_, igtm(missing="marginalize").fit(Y).centers_, rtol=1e-9)
    assert_allclose(one.impute(sparse.csr_array(Y)), igtm(missing="marginalize").fit(Y).impute(Y))
    with pytest.raises(ValueError, match="NaN or inf"):
        igtm().fit(sparse.csr_array(Y))


class Elsewhere(np.ndarray):
    """Rows in another memory, such as those of a GPU, which NumPy must not touch before they are fetched."""

    def get(self):
        return self.view(np.ndarray)

    def __array__(self, *_args, **_kwargs):
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, *_args, **_kwargs):
        raise TypeError("unsupported type")


def test_rows_elsewhere_are_fetched_a_tile_at_a_time():
    given = da.from_array(X, chunks=(100, 5)).map_blocks(lambda b: b.view(Elsewhere), meta=np.empty((0, 0)))
    one, other = igtm().fit(given), igtm().fit(X)
    assert_allclose(one.centers_, other.centers_, rtol=1e-8, atol=1e-9)
    assert_allclose(one.transform(given).compute(), other.transform(X), atol=1e-9)


# Weights


def test_weights_reach_the_map_through_a_pipeline():
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        step = igtm().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), step)
        pipeline.fit(X, sample_weight=weight)
    scaled = StandardScaler().fit_transform(X)
    assert_allclose(pipeline[-1].centers_, igtm().fit(scaled, sample_weight=weight).centers_)


@pytest.mark.parametrize("missing", ["error", "mean", "median", "most_frequent", "marginalize"])
def test_weights_in_other_chunks_than_x(missing):
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    one = igtm(missing=missing).fit(X, sample_weight=weight)
    lazy = da.from_array(weight, chunks=37)
    other = igtm(missing=missing).fit(da.from_array(X, chunks=(90, 5)), sample_weight=lazy)
    assert_allclose(other.centers_, one.centers_, rtol=1e-7, atol=1e-8)


# Offsets and units


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_centred_fit_does_not_see_an_offset(solver):
    digits = load_digits().data
    digits = digits[:, digits.std(axis=0) >= 0.1]
    settings = {"scale": "center", "niter": 30, "tol": 0, "solver": solver}
    one, other = IGTM(**settings).fit(digits), IGTM(**settings).fit(digits + 1e6)
    assert_allclose(other.transform(digits + 1e6), one.transform(digits), atol=1e-6)
    assert_allclose(other.score(digits + 1e6), one.score(digits), rtol=1e-9)


def test_float32_off_the_origin():
    far = (X + 1e3).astype(np.float32)
    one, other = igtm().fit(far), igtm().fit(far.astype(float))
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=1e-4)
    assert_allclose(one.transform(far), other.transform(far.astype(float)), atol=1e-4)


def test_a_standardised_fit_does_not_see_units():
    one, other = igtm(scale="standard").fit(X), igtm(scale="standard").fit(X * 1000)
    assert_allclose(other.transform(X * 1000), one.transform(X), atol=1e-9)
    assert_allclose(other.beta_inv_, one.beta_inv_, rtol=1e-9)
    assert_allclose(other.score(X * 1000), one.score(X) - 5 * np.log(1000))


@pytest.mark.parametrize(("offset", "warned"), [(0, False), (1e3, True), (1e6, True)])
@pytest.mark.parametrize("scale", [None, "center", "standard"])
def test_an_offset_that_moves_the_map_is_warned_of(offset, warned, scale):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        igtm(scale=scale).fit(X + offset)
    messages = [str(w.message) for w in caught if "column means" in str(w.message)]
    assert len(messages) == (warned and scale is None)
    assert all("scale='center'" in message for message in messages)


# Principal axes


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("n_components", "kept"), [(3, 3), (0.9, None), (-1, None)])
@pytest.mark.parametrize("scale", ["center", "standard"])
def test_principal_axes_come_from_the_moments(lazy, n_components, kept, scale):
    given = da.from_array(X, chunks=(90, 5)) if lazy else X
    scaled = StandardScaler(with_std=scale == "standard").fit_transform(X)
    pca = PCA(0.8 if n_components == -1 else n_components).fit(scaled)
    one = igtm(scale=scale, n_components=n_components).fit(given)
    other = igtm().fit(pca.transform(scaled))
    assert one.model_.affine.axes.shape == (5, kept or pca.n_components_)
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=1e-8)
    assert_allclose(one.history_, other.history_, rtol=1e-9)
    # Back in the user's columns, the map lies in the plane of these axes.
    assert_allclose(one.model_.basis.phi @ one.weights_, one.centers_, atol=1e-9)
    centers = (one.inverse_transform(np.eye(36)) - X.mean(axis=0)) / one.scale_
    assert_allclose(centers @ pca.components_.T @ pca.components_, centers, atol=1e-8)
    assert_allclose(np.abs(centers @ pca.components_.T), np.abs(other.centers_), atol=1e-7)
    assert_allclose((one.noise_variance_ / one.scale_**2).sum(), one.beta_inv_ * pca.n_components_)


def test_principal_axes_are_saved_and_run_igtm_has_them_lazily(tmp_path):
    one = igtm(n_components=2).fit(X)
    one.save(tmp_path / "model.npz")
    assert_array_equal(load(tmp_path / "model.npz").transform(X), one.transform(X))
    here = runIGTM(X, k=6, m=3, niter=5, doPCA=True)
    lazy = runIGTM(da.from_array(X, chunks=(90, 5)), k=6, m=3, niter=5, doPCA=True)
    assert_allclose(lazy.matMeans.compute(), here.matMeans, atol=1e-8)
    assert lazy.matY.shape[0] < 5
    with pytest.raises(ValueError, match="n_components=7 is more than the 5 columns"):
        igtm(n_components=7).fit(X)
