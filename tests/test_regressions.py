"""What once broke."""

import threading

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose
from threadpoolctl import threadpool_info

from dask_igtm import IGTM, runIGTM
from dask_igtm.data.row_blocks import check_table, row_blocks
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.resources import single_threaded_blas

X = correlated(300, 5)


def blas_threads():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_concurrent_tasks_share_one_limit_of_blas_and_lift_it():
    before = blas_threads()
    entered, leave = threading.Barrier(2), threading.Event()

    def other():
        with single_threaded_blas:
            entered.wait()
            leave.wait()

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait()
    with single_threaded_blas:
        assert set(blas_threads()) == {1}
    assert set(blas_threads()) == {1}
    leave.set()
    thread.join()
    assert blas_threads() == before
    with single_threaded_blas:
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


@pytest.mark.parametrize("seed", range(8))
def test_axes_with_tied_entries_keep_their_signs(seed):
    two = correlated(500, 2, seed)
    maps = [
        IGTM(k=6, m=3, niter=5, scale="standard").fit(da.from_array(two, chunks=(rows, -1))).transform(two)
        for rows in (500, 100, 37, 7)
    ]
    for map_ in maps[1:]:
        assert_allclose(map_, maps[0], atol=1e-9)


def test_weights_that_sum_to_one():
    expected = IGTM(k=6, m=3, niter=10, scale="standard", regul=0).fit(X)
    for total in (1.0, 1.0 + 1e-12, 1.0 - 1e-12):
        weight = np.full(300, total / 300)
        igtm = IGTM(k=6, m=3, niter=10, scale="standard", regul=0).fit(X, sample_weight=weight)
        assert_allclose(igtm.log_likelihood_, expected.log_likelihood_, rtol=1e-2)


def test_bits_of_wide_rows_do_not_depend_on_the_scheduler():
    wide = np.random.default_rng(0).normal(size=(1200, 784))
    lazy = da.from_array(wide, chunks=(1200, -1))
    fits = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            fits.append(IGTM(niter=2, tol=0, scale="center").fit(lazy))
    assert fits[0].centers_.tobytes() == fits[1].centers_.tobytes()
    in_memory = fits[0].transform(wide[:1200])
    assert (
        fits[0].transform(da.from_array(wide, chunks=(5000, -1))).compute().tobytes() == in_memory.tobytes()
    )


def test_masked_chunks_are_refused():
    with pytest.raises(TypeError, match=r"mask.*filled"):
        IGTM().fit(da.ma.masked_greater(da.from_array(X), 1))


def test_sparse_rows_that_scipy_does_not_know_are_refused_by_name():
    class COO:
        todense = None

    with pytest.raises(TypeError, match=r"chunks of COO.*todense"):
        check_table(COO())


def test_complete_on_an_empty_block():
    lazy = da.from_array(X, chunks=(100, -1))
    kept = lazy[(da.arange(300, chunks=100) // 100) != 1]
    igtm = IGTM(k=4, m=2, niter=2, model="complete").fit(X)
    (result,) = dask.compute(igtm.transform(kept))
    rows = np.r_[X[:100], X[200:]]
    assert_allclose(result.matP, igtm.transform(rows).matP)
    assert_allclose(result.matModes, igtm.transform(rows).matModes)


def test_a_failed_refit_leaves_the_old_fit():
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    before = igtm.transform(X)
    with pytest.raises(ValueError, match="NaN"):
        igtm.fit(np.full((50, 3), np.nan))
    assert igtm.n_features_in_ == 5
    assert (igtm.transform(X) == before).all()


def test_names_of_ugtm_belong_to_the_fit():
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    before = igtm.optimizedModel.matY
    assert (igtm.set_params(scale="standard").optimizedModel.matY == before).all()


def test_data_in_memory_are_not_copied():
    rows = row_blocks(X, n_blocks=3)
    (block, *_) = prepare(rows).folds[0].blocks
    held, *_ = block.read({})
    assert np.shares_memory(held, X)


def test_small_blocks_of_a_transform_compute_each_chunk_once():
    computed = []
    lazy = da.from_array(X, chunks=(100, -1)).map_blocks(
        lambda rows: (computed.append(len(rows)), rows)[1], dtype=float, meta=np.empty((0, 0))
    )
    igtm = IGTM(k=4, m=2, niter=2, model="complete").fit(X)
    sizes = [len(one.matMeans) for one in igtm.transform_blocks(lazy, block_size=35)]
    assert sizes == [35] * 8 + [20]
    assert computed == [100] * 3


@pytest.mark.parametrize("persist", [True, "auto"])
def test_persisted_blocks_are_computed_once(persist, caplog):
    computed = []
    lazy = da.from_array(X, chunks=(100, -1)).map_blocks(
        lambda rows: (computed.append(len(rows)), rows)[1], dtype=float, meta=np.empty((0, 0))
    )
    weight = da.ones(300, chunks=60)
    with caplog.at_level("INFO", "dask_igtm"):
        kept = IGTM(k=4, m=2, niter=3, persist=persist).fit(lazy, sample_weight=weight)
    assert "keeping the blocks" in caplog.text
    assert computed == [100] * 3
    read = IGTM(k=4, m=2, niter=3, persist=False).fit(lazy, sample_weight=weight)
    assert kept.centers_.tobytes() == read.centers_.tobytes()


def test_lazy_weights_of_data_in_memory():
    weight = da.ones(300, chunks=70).persist()
    igtm = IGTM(k=4, m=2, niter=2).fit(X, sample_weight=weight)
    assert igtm.log_likelihood_ == IGTM(k=4, m=2, niter=2).fit(X, sample_weight=np.ones(300)).log_likelihood_


def test_a_subclass_that_overrides_transform_stays_lazy():
    class Doubled(IGTM):
        def transform(self, X):
            return 2 * super().transform(X)

    igtm = Doubled(k=4, m=2, niter=2).set_output(transform="pandas").fit(X)
    assert isinstance(igtm.transform(da.from_array(X)), da.Array)
    assert igtm.transform(X).columns.tolist() == ["doubled0", "doubled1"]


def test_other_collections_of_dask_are_refused_by_name():
    with pytest.raises(TypeError, match="Delayed"):
        IGTM().fit(dask.delayed(X))


@pytest.mark.parametrize("missing", ["error", "mean", "median", "marginalize"])
@pytest.mark.parametrize(("factor", "message"), [(1e300, "large"), (1e150, "large"), (1e-160, "small")])
def test_values_that_do_not_square(factor, message, missing):
    for given in (X * factor, da.from_array(X * factor, chunks=(1, -1))):
        with pytest.raises(ValueError, match=f"too {message}.*(divide|multiply) X by a constant"):
            IGTM(missing=missing).fit(given)


@pytest.mark.parametrize("factor", [1e-100, 1e-20, 1e20, 1e90])
def test_values_that_square(factor):
    one = IGTM(k=4, m=2, niter=5, tol=0, scale="standard").fit(X)
    other = IGTM(k=4, m=2, niter=5, tol=0, scale="standard").fit(X * factor)
    assert_allclose(other.transform(X * factor), one.transform(X), atol=1e-8)


@pytest.mark.parametrize("n_components", ["mle", 2.7, 0, -2, 99])
def test_wrong_numbers_of_components(n_components):
    with pytest.raises(ValueError, match="n_components"):
        runIGTM(X, doPCA=True, n_components=n_components)
