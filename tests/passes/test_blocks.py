"""Rows of a store are read by the task that walks them: the same bits in few reads, few tasks, few keys."""

import itertools
import pickle
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.csr_groups import zarr_csr
from helpers.data import correlated
from helpers.errors import assert_says, raised
from helpers.lazy import CountingStore, computing
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm import IGTM
from dask_igtm.data.opened_files import Hdf5Rows
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.passes import blocks as reading
from dask_igtm.passes import reduce as reducing
from dask_igtm.passes.blocks import Held
from dask_igtm.passes.graph import keep, prepare
from dask_igtm.passes.reduce import FAN_IN, folds_per_task, reduce

N, HEIGHT = 3000, 4
X = correlated(N, 5)
WEIGHT = np.random.default_rng(0).random(N)


def igtm(**parameters):
    return IGTM(**{"k": 4, "m": 2, "niter": 3, "tol": 0, **parameters})


@pytest.fixture
def stored(tmp_path):
    return zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(HEIGHT, 5))


def small_blocks(monkeypatch):
    """Blocks of one chunk, and reads of two and a half."""
    monkeypatch.setattr("dask_igtm.data.row_blocks.READ_BYTES", HEIGHT * 5 * 8)
    monkeypatch.setattr(reading, "READ_BYTES", 5 * HEIGHT * 5 * 8 // 2)


def total(X, sample_weight, y=None, numbers=None):
    """Return sums whose bits depend on how rows are gathered and added."""
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    return np.concatenate([X.T @ weight, X.sum(axis=0), [len(weight), 0.1 * weight.sum()]])


@pytest.mark.parametrize(
    ("solver", "weights"),
    [("em", None), ("em", WEIGHT), ("accelerated", da.from_array(WEIGHT, chunks=77))],
    ids=["alike", "memory", "lazy"],
)
def test_a_store_gives_the_bits_of_a_dask_array_of_its_chunks(stored, monkeypatch, weights, solver):
    small_blocks(monkeypatch)
    rows, chunks = row_blocks(stored), da.from_zarr(stored)
    assert rows.X.chunks == chunks.chunks
    one, other, kept = (
        igtm(solver=solver, persist=persist).fit(given, sample_weight=weights)
        for given, persist in ((stored, False), (chunks, False), (stored, True))
    )
    assert one.centers_.tobytes() == other.centers_.tobytes() == kept.centers_.tobytes()
    assert one.score(stored, sample_weight=weights) == one.score(chunks, sample_weight=weights)


def test_the_bits_of_kept_sparse_rows_are_those_of_rows_that_are_read(tmp_path, monkeypatch):
    rows = sparse.random_array((N, 30), density=0.2, random_state=np.random.default_rng(0), format="csr")
    group = zarr_csr(tmp_path / "x.zarr", rows, chunk=100)
    one, kept = (igtm(n_blocks=50, persist=persist).fit(group) for persist in (False, True))
    assert one.centers_.tobytes() == kept.centers_.tobytes()


def test_the_graph_has_one_key_for_the_store_and_reads_nothing(stored, monkeypatch):
    small_blocks(monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(zarr.Array, "__getitem__", computing)
        with dask.config.set(scheduler=computing):
            source = prepare(row_blocks(stored, WEIGHT))
            weighted = prepare(row_blocks(stored, da.from_array(WEIGHT, chunks=N)))
    assert len(source.graph) == 1
    assert len(weighted.graph) == 2
    assert sum(len(fold.blocks) for fold in source.folds) == N // HEIGHT
    assert max(len(pickle.dumps(fold)) for fold in prepare(row_blocks(stored)).folds) < 1500


def test_a_hundred_thousand_blocks_are_no_objects():
    rows = Hdf5Rows("", "", (10**9, 50), np.dtype("f4"), (10_000, 50))
    source = prepare(row_blocks(rows, n_blocks=100_000))
    assert sum(len(fold.blocks) for fold in source.folds) == 100_000
    assert sum(len(pickle.dumps(fold)) for fold in source.folds) < 3e6


def test_small_blocks_are_read_several_at_a_time(monkeypatch):
    small_blocks(monkeypatch)
    read, real = [], reading.Stored.__args__[0].__getitem__

    def noted(self, index):
        read.append((index[0].start, index[0].stop))
        return real(self, index)

    monkeypatch.setattr(reading.Stored.__args__[0], "__getitem__", noted)
    array = zarr.create_array(zarr.storage.MemoryStore(), data=X, chunks=(HEIGHT, 5))
    found = reduce(prepare(row_blocks(array), 5), total, label="test")
    assert_array_equal(found[-2], N)
    assert sorted(read)[:4] == [(0, 8), (8, 16), (16, 20), (20, 28)]  # folds of five blocks, two in a read


def test_each_block_of_a_read_that_fails_is_read_by_itself_and_named(tmp_path, monkeypatch):
    stored = zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(HEIGHT, 5))
    monkeypatch.setattr("dask_igtm.data.row_blocks.READ_BYTES", HEIGHT * 5 * 8)
    (tmp_path / "x.zarr" / "c" / "2" / "0").write_bytes(b"damaged")
    seen = []
    source = prepare(row_blocks(stored), 10)
    with dask.config.set(scheduler="synchronous"):
        message = raised(Exception, reduce, source, lambda X, _: seen.append(X) or 0, label="test")
    assert_says(message, "This happened in rows 8:12 of X")


def test_kept_rows_of_a_store_are_a_key_a_fold_whose_bytes_are_known(stored, monkeypatch):
    small_blocks(monkeypatch)
    source = prepare(row_blocks(stored, WEIGHT), 100)
    kept = keep(source)
    assert len(kept.graph) == len(source.folds) == 8
    held = [node.value if hasattr(node, "value") else node for node in kept.graph.values()]
    assert all(isinstance(part, Held) for part in held)
    assert sum(map(sys.getsizeof, held)) == pytest.approx(X.nbytes + WEIGHT.nbytes, rel=0.3)
    one, other = (reduce(each, total, label="test") for each in (source, kept))
    assert one.tobytes() == other.tobytes()


def test_the_bytes_of_kept_sparse_rows_are_those_of_their_arrays():
    rows = sparse.csr_array(np.ones((100, 50)))
    n_bytes = rows.data.nbytes + rows.indices.nbytes + rows.indptr.nbytes
    assert sys.getsizeof(Held(((rows, rows), (None, None)))) == pytest.approx(2 * n_bytes, rel=0.1)


@pytest.mark.parametrize("kept", [False, True])
def test_blocks_are_numbered_and_taken_alone_wherever_they_are_read(stored, monkeypatch, kept):
    small_blocks(monkeypatch)
    source = prepare(row_blocks(stored), 7)
    source = keep(source) if kept else source

    def numbered(X, _, numbers):
        return ((X, numbers),)

    parts = reduce(source.numbered(), numbered, label="test")
    assert_array_equal(np.concatenate([numbers for _, numbers in parts]), np.arange(N))
    chosen = source.alone(lambda n: (0, 6, 7, n - 1))
    parts = reduce(chosen.numbered(), numbered, label="test")
    assert [numbers[0] // HEIGHT for _, numbers in parts] == [0, 6, 7, N // HEIGHT - 1]
    assert all(np.array_equal(rows, X[numbers]) for rows, numbers in parts)


def test_many_folds_that_need_the_same_are_walked_by_one_task_to_the_same_bits(stored, monkeypatch):
    small_blocks(monkeypatch)
    sources = [prepare(row_blocks(given), 1) for given in (stored, da.from_zarr(stored))]
    monkeypatch.setattr(reducing, "TASKS_PER_THREAD", 10**9)
    apart = [reduce(source, total, label="test") for source in sources]
    assert folds_per_task(sources[0]) == 1
    monkeypatch.setattr(reducing, "TASKS_PER_THREAD", 2)
    assert [folds_per_task(source) for source in sources] == [FAN_IN, FAN_IN]
    together = [reduce(source, total, label="test") for source in sources]
    assert len({found.tobytes() for found in (*apart, *together)}) == 1


def test_folds_that_need_values_of_their_own_have_a_task_each(stored, monkeypatch):
    monkeypatch.setattr(reducing, "TASKS_PER_THREAD", 1)
    small_blocks(monkeypatch)
    assert folds_per_task(prepare(row_blocks(stored), 1)) == FAN_IN
    assert folds_per_task(keep(prepare(row_blocks(stored), 1))) == 1


def test_parts_of_blocks_are_parts_of_each_array(stored, monkeypatch):
    small_blocks(monkeypatch)
    (fold,) = prepare(row_blocks(stored, WEIGHT), N).folds
    blocks = fold.blocks.part(3, 9).part(2, 100)
    assert (len(blocks), blocks.first, blocks.edges[0]) == (4, 5, 20)
    key, *_ = fold.inputs
    values = {key: row_blocks(stored).stored}
    for (block, (rows, weight)), (start, stop) in zip(
        blocks.read(values), itertools.pairwise(range(20, 37, 4)), strict=True
    ):
        assert block.rows == (start, stop)
        assert_array_equal(rows, X[start:stop])
        assert_array_equal(weight, WEIGHT[start:stop])


def test_each_pass_over_small_chunks_reads_each_once(monkeypatch):
    small_blocks(monkeypatch)
    CountingStore.read.clear()
    stored = zarr.create_array(CountingStore(), data=X[:400], chunks=(HEIGHT, 5))
    CountingStore.read.clear()
    igtm(persist=False, niter=1).fit(stored)
    assert sorted(CountingStore.read) == sorted(3 * [f"c/{i}/0" for i in range(100)])
