"""Digests of blocks: the same for the same numbers, whatever holds them and whoever computes."""

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from helpers.inputs import KINDS, all_kinds
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.passes import digests as module
from dask_igtm.passes.digests import digests, sampled
from dask_igtm.passes.graph import prepare

X = correlated(400, 5)
SPARSE = {"csr", "csc", "sparse_chunks", "coo_chunks"}


def of(data, **blocks):
    return digests(prepare(row_blocks(data, **blocks)))


@given(st.integers(1, 10_000))
def test_blocks_are_spread_over_all(n_blocks):
    numbers = sampled(n_blocks)
    assert numbers[0] == 0
    assert numbers[-1] == n_blocks - 1
    assert len(numbers) == min(n_blocks, 16)
    if n_blocks > 1:
        assert np.diff(numbers).min() >= 1
        assert np.diff(numbers).max() <= -(-(n_blocks - 1) // 15)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    zeros = np.where(X[:300] > 1.2, X[:300], 0.0)
    return all_kinds(zeros, tmp_path_factory.mktemp("kinds")), zeros


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"list", "frame"}))
def test_what_holds_the_numbers_does_not_matter(kinds, kind):
    held, X = kinds
    like = sparse.csr_array(X) if kind in SPARSE else X  # which would have to be written out
    assert of(held[kind], n_blocks=3) == of(like, n_blocks=3)


def test_how_sparse_rows_are_laid_out_does_not_matter():
    csr = sparse.csr_array(np.where(X > 1.2, X, 0.0))
    with_zeros, turned = csr.copy(), csr.copy()
    with_zeros.data[::3] = 0.0
    turned.data[:2], turned.indices[:2] = turned.data[1::-1].copy(), turned.indices[1::-1].copy()
    turned.has_canonical_format = turned.has_sorted_indices = False
    assert of(turned, n_blocks=4) == of(csr, n_blocks=4) != of(with_zeros, n_blocks=4)
    assert of(with_zeros, n_blocks=4) == of(sparse.csr_array(with_zeros.toarray()), n_blocks=4)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_nor_does_the_scheduler_nor_how_blocks_are_gathered(scheduler):
    rows = row_blocks(da.from_array(X, chunks=(20, 5)))
    with dask.config.set(scheduler=scheduler):
        found = digests(prepare(rows, 7))
    assert found == digests(prepare(rows, 1))
    assert list(found) == [f"{20 * i}:{20 * i + 20}" for i in sampled(20)]


def test_the_height_of_a_tile_does_not_matter(monkeypatch):
    before = of(X)
    tiles = module.row_tiles
    monkeypatch.setattr(module, "row_tiles", lambda rows: tiles(rows, 7))
    assert of(X) == before


def test_any_entry_matters():
    before = of(X, n_blocks=4)
    changed = X.copy()
    changed[257, 3] = np.nextafter(changed[257, 3], 9)
    after = of(changed, n_blocks=4)
    assert [rows for rows in before if before[rows] != after[rows]] == ["200:300"]


def test_of_many_blocks_few_are_read():
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    of(da.from_array(X, chunks=(4, 5)).map_blocks(seen, dtype=float, meta=np.empty((0, 0))))
    assert reads == [4] * 16


def test_blocks_of_frames_with_gaps_have_digests():
    pandas, frames = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pandas.DataFrame(np.where(X > 1.2, np.nan, X))
    lazy = frames.from_pandas(frame, npartitions=4)
    array = lazy.to_dask_array(lengths=True)
    assert of(array) == of(da.from_array(frame.to_numpy(), chunks=array.chunks))
