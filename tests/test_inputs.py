"""Every kind of input gives the same map; lazy input stays lazy; a fit reads its data as often as it says."""

import pickle
import warnings
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from dask.callbacks import Callback
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from dask_igtm import IGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.passes.graph import prepare

N = 300
ZARR = ["zarr", "path", "pathlib", "sharded", "column_zarr"]
LAZY = ["dask", "uneven", "unaligned", "sparse_chunks", "coo_chunks", "lazy_xarray", *ZARR]
KINDS = ["ndarray", "fortran", "list", "csr", "csc", "frame", "xarray", *LAZY]
MODELS = ["means", "modes", "responsibilities"]


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, **parameters})


def computing(*_args, **_kwargs):
    raise AssertionError("something was computed")


def assert_same_fit(one, other, rtol=1e-9):
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=rtol)
    assert_allclose(one.centers_, other.centers_, rtol=0, atol=rtol * np.abs(other.centers_).max())
    assert_allclose(one.log_likelihood_, other.log_likelihood_, rtol=rtol)
    assert_allclose(one.history_, other.history_, rtol=rtol)


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.fixture(scope="module")
def kinds(X, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zarr")

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
        "unaligned": da.from_array(np.r_[X, X], chunks=(70, -1))[:N],
        "zarr": plain,
        "path": str(folder / "plain.zarr"),
        "pathlib": Path(folder / "plain.zarr"),
        "sharded": stored("sharded", chunks=(25, 5), shards=(150, 5)),
        "column_zarr": stored("columns", chunks=(100, 2)),
    }


@pytest.fixture
def counted(X):
    """Return a dask array of three blocks, and the list to which each block adds its number when computed."""
    computed = []

    def note(block, block_id):
        computed.append(block_id[0])
        return block

    lazy = da.from_array(X, chunks=(100, -1))
    return lazy.map_blocks(note, dtype=float, meta=np.empty((0, 0))), computed


class Computes(Callback):
    """Count the graphs that Dask's local schedulers compute."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def _start(self, dsk):
        self.count += 1


class CountingStore(zarr.storage.MemoryStore):
    """A store in memory that notes which chunks are read."""

    read: list[str] = []  # noqa: RUF012

    async def get(self, key, prototype, byte_range=None):
        if "c/" in key:
            self.read.append(key)
        return await super().get(key, prototype, byte_range)


@pytest.fixture
def counting_store():
    CountingStore.read.clear()
    return CountingStore()


# One fit for every kind


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_give_the_same_fit_and_the_same_map(kinds, fitted, X, kind):
    other = igtm().fit(kinds[kind])
    assert_same_fit(other, fitted)
    assert_allclose(np.asarray(other.transform(kinds[kind])), fitted.transform(X), atol=1e-9)
    assert_allclose(np.asarray(other.score_samples(kinds[kind])), fitted.score_samples(X), rtol=1e-9)


@pytest.mark.parametrize("scale", ["center", "standard"])
@pytest.mark.parametrize("kind", ["uneven", "sharded"])
def test_all_kinds_give_the_same_scaled_fit(kinds, X, kind, scale):
    other = igtm(scale=scale).fit(kinds[kind])
    one = igtm(scale=scale).fit(X)
    assert_same_fit(other, one)
    assert_allclose(other.scale_, one.scale_, rtol=1e-12)
    assert_allclose(other.noise_variance_, one.noise_variance_, rtol=1e-9)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("dtype", ["float16", "int8", "uint8", "int64", ">f8", "bool"])
def test_other_types_give_the_fit_of_their_values_in_float64(X, dtype, lazy):
    values = X > 1 if dtype == "bool" else np.abs(6 * X).astype(dtype)
    given = da.from_array(values, chunks=(70, -1)) if lazy else values
    one, other = igtm().fit(values.astype(float)), igtm().fit(given)
    assert_same_fit(other, one)
    assert_allclose(np.asarray(other.transform(given)), one.transform(values.astype(float)), atol=1e-9)


def test_column_chunked_dask_array_warns_and_works(X, fitted):
    lazy = da.from_array(X, chunks=(100, 2))
    with pytest.warns(UserWarning, match=r"column.*rechunk"):
        other = igtm().fit(lazy)
    assert_same_fit(other, fitted)
    with pytest.warns(UserWarning, match=r"column.*rechunk"):
        means = other.transform(lazy)
    assert_allclose(means.compute(), fitted.transform(X), atol=1e-9)


def test_unknown_chunk_sizes_fit_and_transform(X):
    lazy = da.from_array(X, chunks=(100, -1))
    kept = X[X[:, 0] > 0]
    unknown = lazy[lazy[:, 0] > 0]
    one, other = igtm().fit(kept), igtm().fit(unknown)
    assert_same_fit(other, one)
    assert_allclose(other.transform(unknown).compute(), one.transform(kept), atol=1e-9)
    assert_allclose(other.score_samples(unknown).compute(), one.score_samples(kept), rtol=1e-9)
    assert_allclose(other.score(unknown), one.score(kept), rtol=1e-9)
    assert_allclose(np.concatenate(list(other.transform_blocks(unknown))), one.transform(kept), atol=1e-9)


def test_unknown_chunk_sizes_with_an_empty_block(X):
    lazy = da.from_array(np.sort(X, axis=0), chunks=(50, -1))
    unknown = lazy[lazy[:, 0] > np.median(X[:, 0])]
    one = igtm().fit(unknown.compute())
    assert_same_fit(igtm().fit(unknown), one)
    assert_allclose(one.transform(unknown).compute(), one.transform(unknown.compute()), atol=1e-9)


def test_unknown_chunk_sizes_take_weights_with_the_chunks_of_x(X):
    lazy, weight = da.from_array(X, chunks=(100, -1)), da.arange(N, chunks=100) % 3
    keep = lazy[:, 0] > 0
    kept = X[:, 0] > 0
    one = igtm().fit(X[kept], sample_weight=(np.arange(N) % 3)[kept])
    assert_same_fit(igtm().fit(lazy[keep], sample_weight=weight[keep]), one)


def test_weights_in_other_chunks_of_unknown_sizes_are_refused(X):
    lazy = da.from_array(X, chunks=(100, -1))
    unknown, weight = lazy[lazy[:, 0] > 0], da.ones(N, chunks=100)
    with pytest.raises(ValueError, match="give them in the chunks of X") as caught:
        igtm().fit(unknown, sample_weight=weight[da.ones(N, chunks=100) > 0])
    assert "block" in caught.value.__notes__[0]


# Lazy in, lazy out


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", LAZY)
def test_transform_of_lazy_input_computes_nothing(kinds, fitted, X, kind, model):
    estimator = pickle.loads(pickle.dumps(fitted)).set_params(model=model)
    with dask.config.set(scheduler=computing):
        result = estimator.transform(kinds[kind])
    assert isinstance(result, da.Array)
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
    assert isinstance(scores, da.Array)
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


@pytest.mark.parametrize("method", ["fit", "fit_transform", "transform", "score", "score_samples"])
def test_input_in_memory_never_meets_the_scheduler_of_dask_config(fitted, X, method):
    estimator = pickle.loads(pickle.dumps(fitted))
    with dask.config.set(scheduler=computing):
        result = getattr(estimator, method)(X)
    assert not isinstance(result, da.Array)


def test_rows_of_lazy_results_are_computed_alone(counted, fitted):
    lazy, computed = counted
    fitted.transform(lazy)[250:260].compute()
    assert computed == [2]


def test_set_output_gives_a_frame_in_memory_and_leaves_lazy_output_lazy(counted, X):
    frame = pd.DataFrame(X, columns=list("abcde"), index=range(7, 7 + N))
    estimator = igtm().set_output(transform="pandas")
    for result in (estimator.fit_transform(frame), estimator.transform(frame)):
        assert isinstance(result, pd.DataFrame)
        assert list(result.columns) == ["igtm0", "igtm1"]
        assert_array_equal(result.index, frame.index)
    assert_array_equal(estimator.feature_names_in_, frame.columns)
    lazy, computed = counted
    result = estimator.fit(X).transform(lazy)
    assert isinstance(result, da.Array)
    assert not computed
    assert isinstance(estimator.fit_transform(lazy), da.Array)
    assert_allclose(result.compute(), estimator.transform(X), atol=1e-9)


def test_get_feature_names_out(X, fitted):
    assert list(fitted.get_feature_names_out()) == ["igtm0", "igtm1"]
    responsibilities = igtm(model="responsibilities", niter=1).fit(X)
    assert list(responsibilities.get_feature_names_out()) == [f"igtm{node}" for node in range(36)]
    with pytest.raises(ValueError, match="input_features"):
        fitted.get_feature_names_out(["too", "few"])


# Block by block


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_transform_blocks_yields_the_rows_of_transform(kinds, fitted, X, kind, model):
    estimator = pickle.loads(pickle.dumps(fitted)).set_params(model=model)
    blocks = list(estimator.transform_blocks(kinds[kind], block_size=70))
    assert all(isinstance(block, np.ndarray) for block in blocks)
    assert [len(block) for block in blocks] == [70, 70, 70, 70, 20]
    assert_allclose(np.concatenate(blocks), estimator.transform(X), atol=1e-12)
    assert_allclose(
        np.concatenate(list(estimator.transform_blocks(kinds[kind]))), estimator.transform(X), atol=1e-12
    )


@pytest.mark.parametrize("kind", ["ndarray", "dask", "path"])
def test_transform_blocks_of_complete_yields_results_in_memory(kinds, fitted, X, kind):
    estimator = pickle.loads(pickle.dumps(fitted)).set_params(model="complete")
    blocks = list(estimator.transform_blocks(kinds[kind], block_size=200))
    assert [block.matR.shape for block in blocks] == [(200, 36), (100, 36)]
    assert_allclose(np.concatenate([block.matMeans for block in blocks]), fitted.transform(X), atol=1e-12)


def test_default_blocks_are_5000_rows_in_memory_and_the_chunks_of_a_dask_array(kinds, fitted, X):
    rows = np.tile(X, (40, 1))
    assert [len(block) for block in fitted.transform_blocks(rows)] == [5000, 5000, 2000]
    assert [len(block) for block in fitted.transform_blocks(kinds["uneven"])] == [1, 199, 37, 63]


@pytest.mark.parametrize("block_size", [None, 100, 50, 30, 150, 1000])
def test_transform_blocks_computes_no_block_ahead(counted, fitted, block_size):
    lazy, computed = counted
    generator = fitted.transform_blocks(lazy, block_size)
    assert not computed
    rows = 0
    for block in generator:
        rows += len(block)
        assert set(computed) == set(range(-(-rows // 100)))
    assert rows == N


def test_transform_blocks_reads_no_chunk_ahead(counting_store, fitted, X):
    rows = zarr.create_array(counting_store, data=X, chunks=(100, 5))
    generator = fitted.transform_blocks(rows, block_size=100)
    for number, block in enumerate(generator):
        assert len(block) == 100
        assert counting_store.read == [f"c/{chunk}/0" for chunk in range(number + 1)]


# How often the data are read


def test_a_fit_computes_one_graph_for_the_moments_one_an_iteration_and_one_at_the_end(X):
    lazy = da.from_array(X, chunks=(100, -1))
    for parameters in ({"niter": 6}, {"niter": 0}, {"niter": 100, "tol": 1e-2}):
        with dask.config.set(scheduler="threads"), Computes() as computes:
            estimator = igtm(**parameters, persist=False).fit(lazy)
        assert computes.count == 1 + estimator.n_iter_ + 1
        assert estimator.n_passes_ == estimator.n_iter_ + 1
        assert len(estimator.history_) == estimator.n_iter_
    assert 4 < estimator.n_iter_ < 100
    assert estimator.converged_


@pytest.mark.parametrize("parameters", [{}, {"scale": "standard"}, {"k": 0}, {"n_blocks": 3}], ids=str)
def test_each_pass_computes_each_block_once(counted, parameters):
    lazy, computed = counted
    estimator = igtm(**parameters, persist=False).fit(lazy, sample_weight=da.ones(N, chunks=100))
    assert sorted(computed) == sorted([0, 1, 2] * (1 + estimator.n_iter_ + 1))


def test_each_pass_reads_each_chunk_once(counting_store, X):
    rows = zarr.create_array(counting_store, data=X, chunks=(100, 5))
    CountingStore.read.clear()
    estimator = igtm(persist=False).fit(rows)
    expected = [f"c/{chunk}/0" for chunk in range(3)] * (1 + estimator.n_iter_ + 1)
    assert sorted(counting_store.read) == sorted(expected)


def test_score_computes_one_graph(counted, fitted):
    lazy, computed = counted
    with dask.config.set(scheduler="threads"), Computes() as computes:
        fitted.score(lazy)
    assert computes.count == 1
    assert sorted(computed) == [0, 1, 2]


# How rows are divided


@pytest.mark.parametrize("n_blocks", [1, 7, 40])
@pytest.mark.parametrize("kind", ["ndarray", "dask", "zarr"])
def test_results_do_not_depend_on_n_blocks(kinds, fitted, kind, n_blocks):
    assert_same_fit(igtm(n_blocks=n_blocks).fit(kinds[kind]), fitted)


def test_as_many_blocks_as_rows_give_the_same_fit(fitted, X):
    assert_same_fit(igtm(n_blocks=N).fit(X), fitted)


@pytest.mark.parametrize("kind", ["ndarray", "dask", "uneven", "path"])
@pytest.mark.parametrize(("n_blocks", "rows"), [(1, "0:300"), (3, "200:300"), (7, "258:300")])
def test_n_blocks_divides_the_rows_of_every_kind_anew(kinds, kind, n_blocks, rows):
    """The row range of an error tells which block the last row is in."""
    weight = np.r_[np.ones(N - 1), -1]
    with pytest.raises(ValueError, match="sample_weight") as error:
        igtm(n_blocks=n_blocks).fit(kinds[kind], sample_weight=weight)
    assert f"rows {rows}" in "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])


# Weights


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


# What a fitted estimator is


def test_a_pickled_fitted_estimator_is_small_and_holds_no_data():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 50)) * np.r_[5, 4, np.ones(48)]
    sizes = {
        len(pickle.dumps(IGTM(niter=2, tol=0).fit(given, sample_weight=np.ones(len(given)))))
        for given in (rows, rows[:300], da.from_array(rows, chunks=(500, -1)))
    }
    assert max(sizes) < 100_000
    assert max(sizes) - min(sizes) < 100


def test_a_pickled_fitted_estimator_projects_as_before(fitted, X):
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X))


def test_fit_prints_a_line_an_iteration_if_verbose_and_nothing_by_default(X, capfd):
    igtm().fit(X)
    igtm().fit_transform(da.from_array(X, chunks=(100, -1))).compute()
    assert capfd.readouterr() == ("", "")
    igtm(verbose=True).fit(X)
    printed = capfd.readouterr()
    assert len((printed.out + printed.err).strip().splitlines()) == 6
