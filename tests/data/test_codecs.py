"""What is stored by each codec is read again, and never read where a chunk was cut."""

import numpy as np
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_array_equal

from dask_igtm.data.codecs import CODEC, CODECS, compressors

X = correlated(500, 4)


def stored(path, codec, rows):
    return zarr.create_array(path, data=rows, chunks=rows.shape, compressors=compressors(codec, rows.nbytes))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i4", "u1", "?"])
@pytest.mark.parametrize("codec", CODECS)
def test_numbers_stay(tmp_path, codec, dtype):
    rows = X.astype(dtype)
    assert_array_equal(stored(tmp_path / "x.zarr", codec, rows)[:], rows)


@pytest.mark.parametrize("lost", [1, 100])
@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_that_was_cut_is_an_error(tmp_path, codec, lost):
    array = stored(tmp_path / "x.zarr", codec, X)
    chunk = tmp_path / "x.zarr" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-lost])
    with pytest.raises((ValueError, RuntimeError)):
        array[:]


@pytest.mark.parametrize("codec", ["blosc-lz4", "blosc-zstd"])
def test_a_flipped_bit_is_an_error_where_there_is_a_checksum(tmp_path, codec):
    array = stored(tmp_path / "x.zarr", codec, X)
    chunk = tmp_path / "x.zarr" / "c" / "0" / "0"
    flipped = np.frombuffer(chunk.read_bytes(), dtype=np.uint8).copy()
    flipped[len(flipped) // 2] ^= 1
    chunk.write_bytes(flipped.tobytes())
    with pytest.raises(ValueError, match="checksum"):
        array[:]


def test_chunks_that_are_too_large_for_blosc_are_stored_without():
    assert compressors(CODEC, 2**31 - 17) == CODECS[CODEC]
    assert compressors(CODEC, 2**31 - 16) == CODECS["zstd"]
    assert compressors("none", 2**31) == []
