"""Sparse rows are written as they are, however they come in parts."""

import itertools

import numpy as np
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm.data.csr_groups import write_csr
from dask_igtm.data.csr_rows import csr_rows


@given(
    st.integers(1, 40),
    st.lists(st.integers(0, 40), max_size=4),
    st.floats(0, 1),
    st.integers(1, 400),
    st.integers(),
)
@settings(max_examples=30, deadline=None)
def test_parts_come_back_as_the_rows_of_one_matrix(n_rows, cuts, density, chunk_bytes, seed):
    rng = np.random.default_rng(seed % 2**32)
    X = sparse.random_array((n_rows, 7), density=density, random_state=rng, format="csr", dtype=np.float32)
    edges = sorted({0, n_rows, *(cut for cut in cuts if cut < n_rows)})
    store = zarr.storage.MemoryStore()
    parts = (X[start:stop] for start, stop in itertools.pairwise(edges))
    write_csr(store, parts, {"columns": list("abcdefg")}, codec="none", chunk_bytes=chunk_bytes)
    group = zarr.open_group(store, mode="r")
    rows = csr_rows(group, "X")
    assert (rows.shape, rows.nnz, rows.dtype) == (X.shape, X.nnz, X.dtype)
    assert_array_equal(rows[0:n_rows, 0:7].toarray(), X.toarray())
    assert group.attrs["columns"] == list("abcdefg")
    assert group["data"].chunks[0] <= max(1, chunk_bytes // 8)
