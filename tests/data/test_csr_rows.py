"""CSR groups of Zarr and HDF5 open like arrays: the rows that were written, or a clear error."""

import itertools
import shutil

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from helpers.csr_groups import PARTS, describe, hdf5_csr, zarr_csr
from helpers.errors import assert_says, raised
from helpers.lazy import CountingStore, computing
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm import IGTM, IGTMClassifier, landscape, quality
from dask_igtm.data.containers import array_in
from dask_igtm.data.csr_rows import csr_rows
from dask_igtm.data.row_blocks import row_blocks

N, D = 400, 30
X = sparse.random_array(
    (N, D), density=0.2, random_state=np.random.default_rng(0), format="csr", dtype=np.float32
)
BLOCKS = 7


def igtm(**parameters):
    return IGTM(**{"k": 5, "m": 2, "niter": 3, "tol": 0, "n_blocks": BLOCKS, **parameters})


@pytest.fixture(scope="module")
def fitted():
    return igtm().fit(X)


@pytest.fixture
def path(tmp_path):
    zarr_csr(tmp_path / "x.zarr", X)
    return str(tmp_path / "x.zarr")


class CSRDataset:
    """As AnnData's of a matrix that is not loaded."""

    __module__ = "anndata._core.sparse_dataset"

    def __init__(self, group):
        self.group = group


_CSRDataset = type("_CSRDataset", (CSRDataset,), {"__module__": CSRDataset.__module__})
CSRDataset.__name__ = "BaseCompressedSparseDataset"


def zipped(path):
    shutil.make_archive(path, "zip", path)
    return f"{path}.zip"


KINDS = {
    "path": lambda path, _: path,
    "group": lambda path, _: zarr.open_group(path, mode="r"),
    "format 2": lambda path, _: zarr_csr(f"{path}2", X, zarr_format=2),
    "zip": lambda path, _: zipped(path),
    "hdf5": lambda _, file: hdf5_csr(file, "cells/X", X),
    "backed": lambda path, _: _CSRDataset(zarr.open_group(path, mode="r")),
    "backed in hdf5": lambda _, file: _CSRDataset(hdf5_csr(file, "X", X)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_gives_the_bits_of_its_rows_and_lazy_results(fitted, path, tmp_path, kind):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        given = KINDS[kind](path, file)
        one = igtm().fit(given)
        assert_array_equal(one.centers_, fitted.centers_)
        positions = one.transform(given)
        assert isinstance(positions, da.Array)
        assert_array_equal(positions.compute(), fitted.transform(X))
        assert one.score(given) == pytest.approx(fitted.score(X), rel=1e-12)


def test_all_that_reads_rows_takes_a_group(fitted, path, tmp_path):
    density = landscape.density(fitted, X)
    assert_array_equal(landscape.density(fitted, path).values, density.values)
    labels = np.arange(N) % 2
    found = IGTMClassifier(k=4, m=2, niter=2).fit(path, labels)
    assert_array_equal(found.predict(path).compute(), found.predict(X))
    group = fitted.project_to_zarr(path, tmp_path / "map.zarr")
    assert_array_equal(group["means"][:], fitted.transform(X))
    assert_array_equal(np.concatenate(list(fitted.transform_blocks(path, 90))), fitted.transform(X))
    assert quality(fitted, path, random_state=0).log_likelihood == pytest.approx(fitted.score(X))
    assert_array_equal(igtm().partial_fit(path).centers_, igtm().partial_fit(X).centers_)
    assert igtm().estimate(path).bytes_read > 0


def test_chunks_of_the_dask_array_are_csr(path):
    array = row_blocks(path).X
    assert isinstance(array._meta, sparse.csr_array)
    assert isinstance(array.blocks[0].compute(), sparse.csr_array)
    assert (array[10:90:3, 2:20].compute() != X[10:90:3, 2:20]).nnz == 0


def test_nothing_but_the_last_start_is_read_until_asked(fitted):
    CountingStore.read.clear()
    store = CountingStore()
    zarr_csr(store, X, chunk=100)
    CountingStore.read.clear()
    with dask.config.set(scheduler=computing):
        fitted.transform(zarr.open_group(store, mode="r"))
        igtm().estimate(zarr.open_group(store, mode="r"))
    assert set(CountingStore.read) == {"indptr/c/4"}


def test_a_pass_reads_each_chunk_of_entries_once(monkeypatch):
    monkeypatch.setattr("dask_igtm.passes.graph.FOLDS", (1, 1))
    CountingStore.read.clear()
    store = CountingStore()
    zarr_csr(store, X, chunk=100)
    rows = zarr.open_group(store, mode="r")
    CountingStore.read.clear()
    igtm(n_blocks=40, persist=False, niter=1).fit(rows)
    entries = [key for key in CountingStore.read if not key.startswith("indptr")]
    assert sorted(entries) == sorted(3 * [f"{part}/c/{i}" for part in PARTS[:2] for i in range(24)])


def test_worker_processes_open_the_file_themselves(fitted, tmp_path):
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        hdf5_csr(file, "X", X)
    with h5py.File(tmp_path / "x.h5ad", "r") as file, dask.config.set(scheduler="processes", num_workers=1):
        assert_array_equal(fitted.transform(file["X"]).compute(), fitted.transform(X))


def test_blocks_have_a_good_size_by_the_entries_that_there_are(tmp_path, monkeypatch):
    monkeypatch.setattr("dask_igtm.data.row_blocks.READ_BYTES", 8 * 6 * 100)
    assert X.nnz == 6 * N
    rows = row_blocks(zarr_csr(tmp_path / "small.zarr", X))  # of 97 entries of 8 bytes, 16 rows
    assert rows.X.chunks[0] == (96, 96, 96, 96, 16)
    assert rows.row_bytes == 8 * 6
    assert row_blocks(zarr_csr(tmp_path / "large.zarr", X, chunk=1200)).X.chunks[0] == (200, 200)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2", ">f8", ">i2"])
def test_entries_of_every_type_are_those_that_were_written(tmp_path, dtype):
    stored = (X.data * 20).astype(dtype)
    group = zarr_csr(tmp_path / "x.zarr", X, data=stored)
    rows = array_in(group)
    found = rows[0:N, 0:D]
    assert found.dtype == rows.dtype
    assert_array_equal(found.data, stored)
    other = sparse.csr_array((found.data, X.indices, X.indptr), shape=X.shape)
    assert_array_equal(igtm().fit(group).centers_, igtm().fit(other).centers_)


@st.composite
def matrices(draw):
    n, d = draw(st.integers(1, 40)), draw(st.integers(1, 12))
    lengths = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))  # also more entries than columns
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    total, index = sum(lengths), draw(st.sampled_from(["i4", "i8", "u4", "u8"]))
    indptr = np.r_[0, np.cumsum(lengths)].astype(index)
    parts = rng.integers(-1, 3, total).astype("f8"), rng.integers(0, d, total).astype(index), indptr
    edges = sorted({0, n, *draw(st.lists(st.integers(0, n), max_size=5))})
    return parts, (n, d), edges, draw(st.integers(1, 20))


@given(matrices())
@settings(max_examples=60, deadline=None)
def test_rows_are_those_of_scipy_however_they_are_cut_and_stored(case):
    """Explicit zeros, duplicates, unsorted and 64-bit indices, and empty rows are as they were written."""
    (data, indices, indptr), shape, edges, chunk = case
    whole = sparse.csr_array((data, indices.astype(int), indptr.astype(int)), shape=shape)
    store = zarr.storage.MemoryStore()
    rows = csr_rows(zarr_csr(store, whole, chunk, data=data, indices=indices, indptr=indptr), "X")
    assert rows.nnz == len(data)
    parts = list(rows.walk(edges))
    assert [part.shape for part in parts] == [(b - a, shape[1]) for a, b in itertools.pairwise(edges)]
    assert_array_equal(np.concatenate([part.data for part in parts]), data)
    for part, (start, stop) in zip(parts, itertools.pairwise(edges), strict=True):
        assert_array_equal(part.toarray(), whole[start:stop].toarray())
        part.check_format(full_check=True)


def test_duplicates_zeros_and_unsorted_columns_fit_as_their_sums_do(tmp_path):
    rng = np.random.default_rng(1)
    twice = sparse.vstack([X, X]).tocsr()[np.arange(2 * N).reshape(2, N).T.ravel()]
    indptr = X.indptr * 2  # each row has its entries twice, out of order
    order = np.concatenate([rng.permutation(np.arange(a, b)) for a, b in itertools.pairwise(indptr)])
    group = zarr_csr(
        tmp_path / "x.zarr", X, data=twice.data[order], indices=twice.indices[order], indptr=indptr
    )
    one, other = igtm().fit(group), igtm().fit((2 * X).toarray())
    assert one.beta_inv_ == pytest.approx(other.beta_inv_, rel=1e-6)


def test_nan_is_refused_by_its_column(tmp_path):
    data = X.data.copy()
    data[5] = np.nan
    group = zarr_csr(tmp_path / "x.zarr", X, data=data)
    assert_says(raised(ValueError, igtm().fit, group), "NaN", f"column {X.indices[5]}")


def starts(**changed):
    indptr = X.indptr.copy()
    for place, value in changed.items():
        indptr[int(place[1:])] = value
    return indptr


BAD = {
    "indptr past the entries": ({"indptr": starts(_400=X.nnz + 1)}, "indptr ends at 2401, and data has 2400"),
    "indptr ends below 0": ({"indptr": starts(_400=-1)}, "indptr ends at -1"),
    "a row past the entries": ({"indptr": starts(_200=X.nnz + 9)}, "does not rise from 0 to 2400 in rows"),
    "indptr that falls": ({"indptr": starts(_200=0)}, "does not rise"),
    "indptr not from 0": ({"indptr": starts(_0=1)}, "does not rise from 0"),
    "short indptr": ({"indptr": X.indptr[:-1]}, "indptr has 400 entries, for 400 rows"),
    "float indptr": ({"indptr": X.indptr.astype(float)}, "indptr has dtype float64"),
    "float indices": ({"indices": X.indices.astype(float)}, "indices has dtype float64"),
    "short indices": ({"indices": X.indices[:-1]}, "data has 2400 entries and indices 2399"),
    "column out of range": ({"indices": np.r_[X.indices[:-1], D]}, "an entry is in column 30"),
    "negative column": ({"indices": np.r_[-1, X.indices[1:]]}, "an entry is in column -1"),
    "table for a part": ({"data": X.data[:, None]}, "no data of one dimension"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_csr_matrix_is_refused_with_its_name(fitted, tmp_path, case):
    parts, message = BAD[case]
    if case == "table for a part":
        group = zarr_csr(tmp_path / "x.zarr", X)
        group.create_array("data", data=parts["data"], overwrite=True)
    else:
        group = zarr_csr(tmp_path / "x.zarr", X, **parts)
    for call in (igtm().fit, lambda given: np.asarray(fitted.transform(given))):
        assert_says(raised(ValueError, call, group), "x.zarr", message, "write the group anew")


@pytest.mark.parametrize("shape", [(), (N,), (N, D, 1)])
def test_another_shape_than_that_of_a_table_is_refused(path, shape):
    describe(zarr.open_group(path, mode="r+"), shape)
    assert_says(raised(ValueError, igtm().fit, path), r"its attribute shape is \(")


def test_a_group_that_lacks_a_part_is_refused(path):
    del zarr.open_group(path, mode="r+")["indices"]
    assert_says(raised(ValueError, igtm().fit, path), "it has no indices of one dimension")


@pytest.mark.parametrize("part", PARTS)
def test_a_lost_chunk_is_named(path, tmp_path, part):
    (tmp_path / "x.zarr" / part / "c" / "2").unlink()
    assert_says(raised(FileNotFoundError, igtm().fit, path), "Chunk c/2", f"x.zarr/{part}", r"rows \d+:\d+")


@pytest.mark.parametrize("kind", ["zarr", "hdf5", "backed"])
def test_a_matrix_by_columns_is_refused_with_the_remedy(tmp_path, kind):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = hdf5_csr(file, "X", X.tocsc())
        if kind == "zarr":
            group = zarr_csr(tmp_path / "x.zarr", X.tocsc())
            describe(group, X.shape, "csc_matrix")
        given = _CSRDataset(group) if kind == "backed" else group
        assert_says(raised(TypeError, igtm().fit, given), "by columns", r"tocsr\(\)", "dask_igtm.convert")


def test_sparse_values_of_rows_are_refused(fitted, path):
    assert_says(raised(TypeError, landscape.property, fitted, X, path), "y is the Zarr group", r"toarray\(\)")


def test_a_matrix_without_entries_is_refused_as_equal_rows_are(tmp_path):
    group = zarr_csr(tmp_path / "x.zarr", sparse.csr_array((9, 4)))
    array = row_blocks(group).X
    assert array.compute().nnz == 0
    assert raised(ValueError, igtm(n_blocks=0).fit, group) == raised(ValueError, igtm().fit, np.zeros((9, 4)))
