"""Rows of Zarr that must be there: what was lost never passes for the fill value."""

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_array_equal

from dask_igtm import IGTM, landscape
from dask_igtm.data.zarr_io import FILL_UNSTORED, open_zarr, stored_rows

N, HEIGHT = 60, 10
LOST = 3  # chunk along the rows
X = correlated(600, 5)

# Fill values, None where that of the type is meant, and rows of which none is filled.
KINDS = {
    "float": (np.arange(1.0, N + 1), (None, 0.0, -0.0, 7.5, np.nan, np.inf)),
    "integer": (np.arange(4, N + 4, dtype="i4"), (None, 0, 3)),
    "bool": (np.ones(N, bool), (None, False)),
    "other bool": (np.zeros(N, bool), (True,)),
    "words": (np.full(N, "ab", dtype="U2"), (None, "", "c")),
    "bytes": (np.full(N, b"ab", dtype="S2"), (None, b"", b"c")),
    "words of any length": (np.full(N, "ab", dtype=object), (None, "", "c")),
    "dates": (np.full(N, "2020-01-01", dtype="M8[s]"), (None,)),
}
CASES = [(kind, fill) for kind, (_, fills) in KINDS.items() for fill in fills]


def written(path, rows, fill_value, zarr_format, **layout):
    with warnings.catch_warnings():  # of words, which Zarr has yet to settle
        warnings.simplefilter("ignore")
        dtype = str if rows.dtype == object else rows.dtype
        array = zarr.create_array(
            path, shape=rows.shape, dtype=dtype, fill_value=fill_value, zarr_format=zarr_format, **layout
        )
        array[:] = rows
    return array


@pytest.mark.filterwarnings("ignore:The data type:Warning")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("kind", "fill_value"), CASES)
def test_a_lost_chunk_is_named_whatever_the_fill_value(tmp_path, kind, fill_value, zarr_format):
    rows, _ = KINDS[kind]
    array = written(tmp_path / "x", rows, fill_value, zarr_format, chunks=(HEIGHT,))
    part = slice(25, 45)
    assert_array_equal(stored_rows(array)[part,], rows[part])
    key = array.metadata.encode_chunk_key((LOST,))
    (tmp_path / "x" / key).unlink()
    with pytest.raises(FileNotFoundError, match=rf"Chunk {key} \(rows 30:40\) is not stored in .*/x as "):
        stored_rows(array)[part,]
    assert_array_equal(stored_rows(array)[slice(0, 30),], rows[:30])  # what is there is read


@pytest.mark.filterwarnings("ignore:The data type:Warning")
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_stored_is_data_though_it_is_the_fill_value(tmp_path, kind, zarr_format):
    rows, _ = KINDS[kind]
    with zarr.config.set({"array.write_empty_chunks": True}):
        array = written(tmp_path / "x", rows, rows[0], zarr_format, chunks=(HEIGHT,))
    same = rows == rows[0]
    assert_array_equal(stored_rows(array)[slice(0, N),][same], rows[same])


def test_a_lost_part_of_a_shard_is_named_by_its_rows(tmp_path):
    array = zarr.create_array(tmp_path / "x", shape=(N, 4), dtype="f8", chunks=(5, 2), shards=(20, 4))
    array[:25] = 1.0
    array[30:] = 1.0
    with pytest.raises(FileNotFoundError, match=r"Chunk c/1/0 \(rows 25:30\) is not stored"):
        stored_rows(array)[slice(20, 40), slice(0, 4)]
    (tmp_path / "x" / "c" / "0" / "0").unlink()
    with pytest.raises(FileNotFoundError, match=r"Chunk c/0/0 \(rows 15:20\) is not stored"):
        stored_rows(array)[slice(15, 25), slice(0, 4)]


@pytest.mark.parametrize("role", ["X", "y", "sample_weight"])
def test_a_lost_chunk_of_a_null_fill_value_is_an_error_in_every_role(tmp_path, role):
    rows = {"X": X, "y": X[:, 0], "sample_weight": np.ones(len(X))}
    given = rows | {role: str(tmp_path / "x")}
    layout = {"chunks": (100, *rows[role].shape[1:])}
    array = written(tmp_path / "x", rows[role], None, 2, **layout)

    def run():
        igtm = IGTM(k=4, m=2, niter=1).fit(given["X"], sample_weight=given["sample_weight"])
        return landscape.property(igtm, given["X"], given["y"])

    assert run().values.size
    (tmp_path / "x" / array.metadata.encode_chunk_key((2, 0)[: rows[role].ndim])).unlink()
    with pytest.raises(FileNotFoundError, match="rows 200:300"):
        run()


@pytest.fixture
def empty_chunk(tmp_path):
    """Return rows with a chunk of zeros, and where Zarr left this chunk out."""
    rows = X.copy()
    rows[100:200] = 0
    da.from_array(rows, chunks=(100, 5)).to_zarr(str(tmp_path / "x.zarr"))
    return rows, str(tmp_path / "x.zarr")


def test_the_message_names_both_ways_round(empty_chunk):
    _, path = empty_chunk
    with pytest.raises(FileNotFoundError, match=r"dask\.config\.set.*--fill-unstored"):
        IGTM(k=4, m=2, niter=1).fit(path)


def test_chunks_that_are_not_stored_are_filled_where_the_configuration_says_so(empty_chunk):
    rows, path = empty_chunk
    igtm = IGTM(k=4, m=2, niter=3)
    with dask.config.set({FILL_UNSTORED: True}):
        filled, positions = igtm.fit(path).centers_, igtm.transform(path)
    assert_array_equal(filled, igtm.fit(da.from_array(rows, chunks=(600, 5))).centers_)
    assert_array_equal(positions.compute(), igtm.transform(rows))  # it was decided when it was built


def test_zipped_arrays_are_read_and_their_lost_chunks_found(tmp_path):
    path = str(tmp_path / "x.zarr.zip")
    with zarr.storage.ZipStore(path, mode="w") as store:
        zarr.create_array(store, data=X, chunks=(100, 5))
    assert_array_equal(open_zarr(path)[:], X)
    igtm = IGTM(k=4, m=2, niter=3).fit(path)
    assert_array_equal(igtm.centers_, IGTM(k=4, m=2, niter=3).fit(da.from_array(X, chunks=(600, 5))).centers_)
    with dask.config.set(scheduler="processes", num_workers=1):
        assert_array_equal(igtm.transform(path).compute(), igtm.transform(X))
    with zarr.storage.ZipStore(tmp_path / "lost.zip", mode="w") as store:
        zarr.create_array(store, shape=X.shape, dtype=float, chunks=(100, 5))[:500] = X[:500]
    with pytest.raises(FileNotFoundError, match=r"c/5/0 \(rows 500:600\)"):
        igtm.fit(tmp_path / "lost.zip")


def test_chunks_in_memory_can_be_lost_too():
    store = zarr.storage.MemoryStore()
    array = zarr.create_array(store, shape=X.shape, dtype=float, chunks=(100, 5))
    array[:] = X
    assert IGTM(k=4, m=2, niter=1).fit(array).n_iter_ == 1
    del store._store_dict["c/5/0"]
    with pytest.raises(FileNotFoundError, match=r"c/5/0 \(rows 500:600\)"):
        IGTM(k=4, m=2, niter=1).fit(array)
