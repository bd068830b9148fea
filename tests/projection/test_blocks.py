"""Projections block by block: the rows of a transform, and no block ahead."""

import pickle
import re

import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from helpers.errors import assert_says, raised
from helpers.inputs import KINDS, MODELS, all_kinds
from helpers.lazy import CountingStore, counting
from numpy.testing import assert_allclose

from dask_igtm import IGTM

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


@pytest.fixture
def counting_store():
    CountingStore.read.clear()
    return CountingStore()


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


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


@pytest.mark.parametrize("block_size", [-1, 2.5, "many"])
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_wrong_block_size_is_named(X, fitted, convert, block_size):
    message = raised(ValueError, lambda: list(fitted.transform_blocks(convert(X), block_size)))
    assert_says(message, re.escape(f"block_size={block_size!r}"), "give|must")


ROWS = correlated(300, 5)


def test_small_blocks_of_a_transform_compute_each_chunk_once():
    computed = []
    lazy = da.from_array(ROWS, chunks=(100, -1)).map_blocks(
        lambda rows: (computed.append(len(rows)), rows)[1], dtype=float, meta=np.empty((0, 0))
    )
    igtm = IGTM(k=4, m=2, niter=2, model="complete").fit(ROWS)
    sizes = [len(one.matMeans) for one in igtm.transform_blocks(lazy, block_size=35)]
    assert sizes == [35] * 8 + [20]
    assert computed == [100] * 3
