"""Weights go with their rows, whatever the kind and the chunks of both."""

import pickle

import dask.array as da
import numpy as np
import pytest
import sklearn
from helpers.data import correlated
from helpers.errors import assert_says, raised
from helpers.inputs import all_kinds, assert_same_fit
from numpy.testing import assert_allclose
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.passes.graph import prepare

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


@pytest.mark.parametrize("scale", [None, "center", "standard"])
@pytest.mark.parametrize("kind", ["ndarray", "uneven", "path"])
def test_weight_2_is_the_row_twice_and_weight_0_is_no_row(kinds, X, kind, scale):
    weight = np.arange(N) % 3
    repeated = np.repeat(X, weight, axis=0)
    one = igtm(scale=scale).fit(repeated)
    for given in (weight, weight.astype(float), da.from_array(weight, chunks=77)):
        other = igtm(scale=scale).fit(kinds[kind], sample_weight=given)
        assert_same_fit(other, one)
        assert_allclose(other.score(kinds[kind], sample_weight=given), one.score(repeated), rtol=1e-9)
        assert_allclose(other.score(kinds[kind], sample_weight=given), other.log_likelihood_, rtol=1e-9)


def test_weights_in_memory_travel_with_the_rows_that_they_belong_to():
    rows = da.ones((64_000, 2), chunks=(1000, -1))
    source = prepare(row_blocks(rows, np.ones(64_000)))
    assert not source.graph
    assert max(len(pickle.dumps(fold)) for fold in source.folds) < 64_000 * 8 / 10


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float16])
@pytest.mark.parametrize("lazy", [False, True])
def test_weights_of_narrow_types_are_summed_in_double(X, dtype, lazy):
    weight = np.full(N, 250).astype(dtype)
    one = igtm().fit(X, sample_weight=weight.astype(float))
    other = igtm().fit(X, sample_weight=da.from_array(weight) if lazy else weight)
    assert_same_fit(other, one)
    assert other.n_samples_seen_ == one.n_samples_seen_


@pytest.mark.parametrize("kind", ["ndarray", "dask"])
def test_equal_weights_of_one_are_no_weights(kinds, fitted, kind):
    assert_same_fit(igtm().fit(kinds[kind], sample_weight=np.ones(N)), fitted, rtol=1e-12)
    assert_same_fit(igtm().fit(kinds[kind], sample_weight=[1] * N), fitted, rtol=1e-12)


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


# Weights that are none

WEIGHTS = {
    "negative": (np.r_[np.ones(N - 1), -1], "negative|>= 0"),
    "NaN": (np.r_[np.ones(N - 1), np.nan], "nan|finite"),
    "inf": (np.r_[np.ones(N - 1), np.inf], "inf|finite"),
    "short": (np.ones(200), r"200.*300|300.*200"),
    "2-D": (np.ones((N, 1)), r"1D.*2D|\(300, 1\)|\(300,\)"),
    "zero": (np.zeros(N), "non-zero|positive"),
    "text": (np.full(N, "a"), "string|numeric|text"),
}


@pytest.mark.parametrize("method", ["fit", "score"])
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("case", WEIGHTS)
def test_wrong_sample_weights_are_named(X, fitted, case, convert, method):
    weight, pattern = WEIGHTS[case]
    estimator = igtm() if method == "fit" else fitted
    message = raised(ValueError, getattr(estimator, method), convert(X), sample_weight=convert(weight))
    assert_says(message, "weight" if case != "text" else "weight|string", pattern)


TABLE = correlated(400, 5)


def centred(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "scale": "center", **parameters})


# Weights of tables


def test_weights_reach_the_map_through_a_pipeline():
    weight = np.random.default_rng(0).integers(0, 3, len(TABLE)).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        step = centred().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), step)
        pipeline.fit(TABLE, sample_weight=weight)
    scaled = StandardScaler().fit_transform(TABLE)
    assert_allclose(pipeline[-1].centers_, centred().fit(scaled, sample_weight=weight).centers_)


@pytest.mark.parametrize("missing", ["error", "mean", "median", "most_frequent", "marginalize"])
def test_weights_in_other_chunks_than_x(missing):
    weight = np.random.default_rng(0).integers(0, 3, len(TABLE)).astype(float)
    one = centred(missing=missing).fit(TABLE, sample_weight=weight)
    lazy = da.from_array(weight, chunks=37)
    other = centred(missing=missing).fit(da.from_array(TABLE, chunks=(90, 5)), sample_weight=lazy)
    assert_allclose(other.centers_, one.centers_, rtol=1e-7, atol=1e-8)


ROWS = correlated(300, 5)


def test_lazy_weights_of_data_in_memory():
    weight = da.ones(300, chunks=70).persist()
    igtm = IGTM(k=4, m=2, niter=2).fit(ROWS, sample_weight=weight)
    assert (
        igtm.log_likelihood_ == IGTM(k=4, m=2, niter=2).fit(ROWS, sample_weight=np.ones(300)).log_likelihood_
    )
