"""What a fitted map does with rows: lazily where they are lazy, and by its formulas."""

import pickle
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.inputs import LAZY, MODELS, all_kinds
from helpers.lazy import computing, counting
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import check_random_state

from dask_igtm import IGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.projection.fitted_map import FittedMap

N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.fixture(scope="module")
def kinds(X, tmp_path_factory):
    return all_kinds(X, tmp_path_factory.mktemp("zarr"))


@pytest.fixture
def counted(X):
    return counting(X)


# Lazy in, lazy out


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", LAZY)
def test_transform_of_lazy_input_computes_nothing(kinds, fitted, X, kind, model):
    estimator = pickle.loads(pickle.dumps(fitted)).set_params(model=model)
    with dask.config.set(scheduler=computing):
        result = estimator.transform(kinds[kind])
    assert isinstance(result.data if kind == "lazy_xarray" else result, da.Array)
    assert result.shape == (N, 36 if model == "responsibilities" else 2)
    computed = result.compute()
    assert computed.dtype == result.dtype
    assert computed.shape == result.shape
    assert_allclose(computed, estimator.transform(X), atol=1e-9)


@pytest.mark.parametrize("kind", LAZY)
def test_score_samples_and_transform_blocks_of_lazy_input_compute_nothing(kinds, fitted, X, kind):
    with dask.config.set(scheduler=computing):
        scores = fitted.score_samples(kinds[kind])
        fitted.transform_blocks(kinds[kind], block_size=50)
    assert isinstance(scores.data if kind == "lazy_xarray" else scores, da.Array)
    assert scores.shape == (N,)
    assert_allclose(scores.compute(), fitted.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("kind", LAZY)
def test_complete_of_lazy_input_is_lazy(kinds, fitted, X, kind):
    estimator = pickle.loads(pickle.dumps(fitted)).set_params(model="complete")
    with dask.config.set(scheduler=computing):
        lazy = estimator.transform(kinds[kind])
    eager = estimator.transform(X)
    for name in ("matMeans", "matModes", "matR", "matP"):
        assert isinstance(getattr(lazy, name), da.Array), name
        assert_allclose(getattr(lazy, name).compute(), getattr(eager, name), atol=1e-9)
    assert_allclose(eager.matR.sum(axis=1), 1)
    assert_allclose(eager.matMeans, eager.matR @ eager.matX, atol=1e-12)
    assert_array_equal(eager.matModes, eager.matX[eager.matR.argmax(axis=1)])
    assert_allclose(eager.matP.max(axis=1), 1)


def test_fit_transform_of_lazy_input_computes_the_fit_and_nothing_else(counted, fitted, X):
    lazy, computed = counted
    result = igtm(persist=False).fit_transform(lazy)
    assert isinstance(result, da.Array)
    assert len(computed) == 3 * (1 + 6 + 1)
    assert_allclose(result.compute(), fitted.transform(X), atol=1e-9)


def test_rows_of_lazy_results_are_computed_alone(counted, fitted):
    lazy, computed = counted
    fitted.transform(lazy)[250:260].compute()
    assert computed == [2]


# Single numbers, and back to data space


@pytest.mark.parametrize("scale", [None, "center", "standard"])
@pytest.mark.parametrize("kind", ["ndarray", "dask", "path"])
def test_score_is_the_mean_of_score_samples_and_log_likelihood(kinds, kind, scale):
    estimator = igtm(scale=scale).fit(kinds[kind])
    score = estimator.score(kinds[kind])
    assert isinstance(score, float)
    assert_allclose(score, np.asarray(estimator.score_samples(kinds[kind])).mean(), rtol=1e-12)
    assert_allclose(score, estimator.log_likelihood_, rtol=1e-12)


@pytest.mark.parametrize("scale", [None, "center", "standard"])
def test_score_samples_is_the_density_of_the_mixture_in_the_units_of_x(X, scale):
    estimator = igtm(scale=scale).fit(X)
    variance = estimator.noise_variance_
    squares = ((X[:, None] - estimator.centers_) ** 2 / variance).sum(axis=2)
    log_density = -squares / 2 - np.log(2 * np.pi * variance).sum() / 2
    assert_allclose(estimator.score_samples(X), np.logaddexp.reduce(log_density - np.log(36), axis=1))
    R = np.exp(log_density - np.logaddexp.reduce(log_density, axis=1)[:, None])
    assert_allclose(estimator.transform(X), R @ estimator.nodes_, atol=1e-9)


@pytest.mark.parametrize("scale", [None, "center", "standard"])
def test_inverse_transform_is_responsibilities_times_centers(X, scale):
    estimator = igtm(scale=scale, model="responsibilities").fit(X)
    R = estimator.transform(X)
    assert_allclose(estimator.inverse_transform(R), R @ estimator.centers_)
    assert_allclose(estimator.inverse_transform(R.tolist()), R @ estimator.centers_)
    assert_allclose(estimator.inverse_transform(np.eye(36)), estimator.centers_)


@pytest.mark.parametrize("columns", [-1, 10])
def test_inverse_transform_of_lazy_responsibilities_computes_nothing(X, columns):
    estimator = igtm(model="responsibilities").fit(X)
    R = estimator.transform(da.from_array(X, chunks=(100, -1))).rechunk({1: columns})
    with dask.config.set(scheduler=computing), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rows = estimator.inverse_transform(R)
    assert isinstance(rows, da.Array)
    assert rows.shape == (N, 5)
    assert_allclose(rows.compute(), estimator.transform(X) @ estimator.centers_)


def test_the_value_behind_an_estimator_says_the_same(X):
    fitted = igtm(scale="standard", random_state=5).fit(X)
    value = FittedMap(fitted.model_)
    assert value.kernel == fitted.kernel_
    for name in ("nodes", "centers", "weights", "noise_variance"):
        assert_array_equal(getattr(value, name), getattr(fitted, f"{name}_"))
    rows = row_blocks(X)
    means, scores = value.project(rows, value.outputs(("means", "log_likelihood")))
    assert_array_equal(means, fitted.transform(X))
    assert_array_equal(scores, fitted.score_samples(X))
    assert value.likelihood(rows).mean == fitted.score(X)
    gaps = np.where(np.arange(X.size).reshape(X.shape) % 7 == 0, np.nan, X)
    assert_array_equal(value.impute(row_blocks(gaps)), fitted.impute(gaps))
    assert_array_equal(value.sample(9, check_random_state(5)), fitted.sample(9))
    with pytest.raises(AttributeError):
        value.kernel = "numpy"
