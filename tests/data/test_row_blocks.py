"""Every kind of input gives the same map, however its rows are divided."""

import dataclasses
import re

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from helpers.data import correlated
from helpers.errors import assert_says, raised
from helpers.inputs import KINDS, all_kinds, assert_same_fit
from helpers.lazy import computing
from numpy.testing import assert_allclose
from scipy import sparse

from dask_igtm import IGTM, IGTMSearch, landscape, quality, saturation
from dask_igtm.data.row_blocks import check_table, row_blocks
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
    # All but float64 are small enough to be multiplied in float32.
    precision = 1e-9 if dtype == ">f8" else 3e-5
    assert_same_fit(other, one, rtol=precision)
    means = one.transform(values.astype(float))
    assert_allclose(np.asarray(other.transform(given)), means, atol=10 * precision)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_whole_numbers_that_float32_has_not_give_the_fit_in_float64(X, dtype):
    values = 2**24 + np.abs(6 * X).astype(dtype)
    one, other = igtm(scale="center").fit(values.astype(float)), igtm(scale="center").fit(values)
    assert_same_fit(other, one)
    assert_allclose(other.transform(values), one.transform(values.astype(float)), atol=1e-9)


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


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_more_blocks_than_rows_names_both_numbers(X, convert):
    with dask.config.set(scheduler=computing):
        message = raised(ValueError, igtm(n_blocks=301).fit, convert(X))
    assert_says(message, "n_blocks=301", "300 rows", "at most|n_blocks=0|or 0")


# What is refused, and what is warned of


def test_unknown_chunk_sizes_where_sizes_are_needed_name_compute_chunk_sizes(X, fitted):
    rows = lazy(X)
    rows = rows[rows[:, 0] > 0]
    for name, call in {
        "n_blocks": lambda: igtm(n_blocks=2).fit(rows),
        "sample_weight": lambda: igtm().fit(rows, sample_weight=np.ones(N)),
    }.items():
        with dask.config.set(scheduler=computing):
            assert_says(raised(ValueError, call), name, "unknown", r"compute_chunk_sizes\(\)")


@pytest.mark.parametrize(
    "size", [{"shape": (10**8, 5), "chunks": (10**8, 5)}, {"shape": (2 * 10**5, 5), "chunks": (10, 5)}]
)
def test_chunks_of_a_wrong_size_get_a_warning_whose_remedy_works(fitted, size):
    rows = da.zeros(**size)
    with dask.config.set(scheduler=computing):
        with pytest.warns(UserWarning, match="chunk.*rechunk") as warned:
            fitted.transform(rows)
        assert len(warned) == 1
        remedy = re.search(r"rechunk\(\{0: (\d+)\}\)", str(warned[0].message))
        fitted.transform(rows.rechunk({0: int(remedy[1])}))


def frame(X):
    """Return X as a data frame of Dask, whose numbers of rows are unknown."""
    return dd.from_pandas(pd.DataFrame(X, columns=list("abcde")), npartitions=3)


def some(X):
    rows = lazy(X)
    return rows[rows[:, 0] > 0]


OF_UNKNOWN_SIZES = {  # and what makes them known
    "dask": (some, "call X.compute_chunk_sizes()", lambda given: given.compute_chunk_sizes()),
    "frame": (frame, "give X.to_dask_array(lengths=True)", lambda given: given.to_dask_array(lengths=True)),
    "xarray": (
        lambda X: xr.DataArray(some(X)),
        "call X.data.compute_chunk_sizes()",
        lambda given: given.data.compute_chunk_sizes(),
    ),
}
WITH_SIZES = {
    "IGTMSearch": lambda X, *_: IGTMSearch(igtm(), {"regul": [0.1]}, cv=2).fit(X),
    "saturation": lambda X, *_: saturation(igtm(), X, shares=(1 / 2, 1)),
    "An estimate": lambda X, *_: igtm().estimate(X),
    "A projection": lambda X, _, folder: igtm().fit(X).project_to_zarr(X, folder / "y.zarr"),
    "n_blocks=2": lambda X, *_: igtm(n_blocks=2).fit(X),
    "sample_weight in memory": lambda X, n_rows, _: igtm().fit(X, sample_weight=np.ones(n_rows)),
    "y in memory": lambda X, n_rows, _: landscape.property(igtm().fit(X), X, np.ones(n_rows)),
    "A sample of rows": lambda X, *_: quality(igtm().fit(X), X),
}


@pytest.mark.parametrize("who", WITH_SIZES)
@pytest.mark.parametrize("kind", OF_UNKNOWN_SIZES)
def test_what_needs_sizes_names_a_remedy_that_what_was_given_has(X, tmp_path, kind, who):
    given, remedy, follow = OF_UNKNOWN_SIZES[kind]
    rows, call, n_rows = given(X), WITH_SIZES[who], N if kind == "frame" else (X[:, 0] > 0).sum()
    message = raised(ValueError, call, rows, n_rows, tmp_path)
    assert_says(message, who, "unknown", re.escape(f"{remedy}, or "))
    call(follow(rows), n_rows, tmp_path)


def test_y_of_unknown_sizes_names_its_own_remedy(X, fitted):
    y = frame(X)["a"].repartition(npartitions=2)
    message = raised(ValueError, landscape.property, fitted, lazy(X), y)
    assert_says(message, "X has 3 blocks and y 2", r"; give y\.to_dask_array\(lengths=True\)\.$")
    message = raised(ValueError, landscape.property, fitted, some(X), y)
    assert_says(message, r"call X\.compute_chunk_sizes\(\) and give y\.to_dask_array\(lengths=True\)\.$")


@pytest.mark.parametrize("rows", ["all rows", "some rows"])
def test_unknown_columns_name_what_makes_them_known(X, fitted, rows):
    given = some(X) if rows == "some rows" else lazy(X)
    chosen = given[:, lazy(X).std(axis=0) > 0]
    remedy = r"X has an unknown number of columns.*call X\.compute_chunk_sizes\(\)"
    for call in (igtm().fit, igtm().partial_fit, fitted.transform, igtm().estimate):
        with dask.config.set(scheduler=computing):
            assert_says(raised(ValueError, call, chosen), remedy)
    with dask.config.set(scheduler=computing):
        assert_says(raised(ValueError, landscape.property, fitted, given, chosen), "y has an unknown number")
    assert igtm().fit(chosen.compute_chunk_sizes()).n_features_in_ == 5


ROWS = correlated(300, 5)


def test_masked_chunks_are_refused():
    with pytest.raises(TypeError, match=r"mask.*filled"):
        IGTM().fit(da.ma.masked_greater(da.from_array(ROWS), 1))


def test_sparse_rows_that_scipy_does_not_know_are_refused_by_name():
    class COO:
        todense = None

    with pytest.raises(TypeError, match=r"chunks of COO.*todense"):
        check_table(COO())


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "lil", "bsr", "dia", "dok"])
def test_sparse_rows_are_brought_to_csr_once_and_not_copied(kind):
    X = sparse.csr_array(ROWS[:20] * (ROWS[:20] > 1)).asformat(kind)
    rows = row_blocks(X, n_blocks=4)
    held = X if kind == "csr" else rows.origin[1]
    blocks = [read[0] for fold in prepare(rows).folds for _, read in fold.blocks.read({})]
    assert all(np.shares_memory(block.data, held.data) for block in blocks)
    np.testing.assert_array_equal(sparse.vstack(blocks).toarray(), X.toarray())
    assert rows.row_bytes == -(-held.nnz // 20) * (8 + 4)


def test_rows_of_a_store_are_known_as_long_as_they_are_all_of_x(tmp_path):
    path = tmp_path / "x.zarr"
    zarr.create_array(path, data=ROWS, chunks=(100, 5))
    rows = row_blocks(path, n_blocks=3)
    assert rows.stored.shape == (300, 5)
    assert rows.regular().stored is rows.stored
    weighted = dataclasses.replace(rows, sample_weight=da.ones(300, chunks=100))
    assert weighted.stored is rows.stored
    assert dataclasses.replace(rows, X=rows.X[:100]).stored is None
    assert [block.stored for block in rows.each()] == [None] * 3
    assert row_blocks(rows.X).stored is None


@pytest.mark.parametrize("n_columns", [4_096, 5_760])
def test_few_rows_of_very_many_columns_are_one_block(n_columns):
    """Dask makes no chunks of no rows where a row takes 32 KiB."""
    X = np.ones((9, n_columns))
    found = row_blocks(X).X
    assert found.chunks == ((9,), (n_columns,))
    np.testing.assert_array_equal(found.compute(), X)
