"""Sparse files become CSR groups: the same rows and names, whole or not at all."""

import gzip
import sys
from pathlib import Path

import fsspec
import h5py
import numpy as np
import pytest
import scipy.io
import zarr
from helpers.csr_groups import hdf5_csr
from helpers.errors import assert_says, raised
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm import IGTM
from dask_igtm.data import convert as converting
from dask_igtm.data import sparse_files
from dask_igtm.data.codecs import CODECS
from dask_igtm.data.containers import array_in
from dask_igtm.data.convert import convert

N, D = 400, 30
X = sparse.random_array(
    (N, D), density=0.2, random_state=np.random.default_rng(0), format="csr", dtype=np.float32
)
WORDS = [f"gene {i}" for i in range(D)]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder, and chunks of 200 entries that are read by some 90 rows at a time."""
    monkeypatch.setattr(converting, "CHUNK_BYTES", 200 * 8)
    monkeypatch.setattr(sparse_files, "READ_BYTES", 90 * 6 * 4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def h5ad(name, X, words=WORDS, **others):
    with h5py.File(name, "w") as file:
        if sparse.issparse(X):
            hdf5_csr(file, "X", X)
        else:
            file["X"] = X
        var = file.create_group("var")
        var.attrs["_index"] = "_index"
        var["_index"] = np.array(words, dtype=object)


def npz(name, X):
    sparse.save_npz(name, X)


def mtx(name, X):
    scipy.io.mmwrite("plain.mtx", X.astype(float))
    content = Path("plain.mtx").read_bytes()
    Path(name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


FILES = {
    "csr": ("x.npz", npz, X),
    "csc": ("x.npz", npz, X.tocsc()),
    "coo": ("x.npz", npz, X.tocoo()),
    "bsr": ("x.npz", npz, sparse.bsr_array(X)),
    "mtx": ("x.mtx", mtx, X),
    "mtx.gz": ("x.mtx.gz", mtx, X),
    "h5ad": ("x.h5ad", h5ad, X),
    "h5ad by columns": ("x.h5ad", h5ad, X.tocsc()),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_group_has_the_rows_of_the_file_as_anndata_writes_them(kind):
    name, write, rows = FILES[kind]
    write(name, rows)
    group = convert(name, "x.zarr")
    assert isinstance(group, zarr.Group)
    assert group.metadata.zarr_format == 3
    expected = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": [N, D]}
    assert dict(group.attrs) == expected | ({"columns": WORDS} if name == "x.h5ad" else {})
    assert {part: group[part].chunks for part in group} == {
        "data": (200,) if "mtx" not in kind else (133,),
        "indices": (200,) if "mtx" not in kind else (133,),
        "indptr": (200,),
    }
    found = array_in(group)[0:N, 0:D]
    assert (found.dtype, group["indices"].dtype) == (np.float64 if "mtx" in kind else np.float32, np.int32)
    assert found.nnz == X.nnz
    assert_array_equal(found.toarray(), X.toarray())
    assert found.has_canonical_format


def test_a_dense_x_becomes_an_array():
    h5ad("x.h5ad", X.toarray())
    array = convert("x.h5ad", "x.zarr")
    assert isinstance(array, zarr.Array)
    assert_array_equal(array[:], X.toarray())
    assert array.attrs["columns"] == WORDS


def test_names_stay_with_the_map():
    h5ad("x.h5ad", X)
    convert("x.h5ad", "x.zarr")
    igtm = IGTM(k=4, m=2, niter=2).fit("x.zarr")
    assert list(igtm.feature_names_in_) == WORDS
    h5ad("other.h5ad", X, WORDS[::-1])
    convert("other.h5ad", "other.zarr")
    assert_says(raised(ValueError, igtm.transform, "other.zarr"), "same order")


def test_names_that_are_those_of_several_columns_are_left_out():
    h5ad("x.h5ad", X, ["same"] * D)
    with pytest.warns(UserWarning, match=r"several columns same.*left out"):
        group = convert("x.h5ad", "x.zarr")
    assert "columns" not in group.attrs


def test_entries_are_put_in_order_and_added_up_once():
    order = np.random.default_rng(0).permutation(2 * X.nnz)
    entries = X.tocoo()
    columns, rows, data = (np.r_[part, part][order] for part in (entries.col, entries.row, entries.data))
    npz("x.npz", sparse.coo_array((data, (rows, columns)), shape=X.shape))
    found = array_in(convert("x.npz", "x.zarr"))[0:N, 0:D]
    assert_array_equal(found.toarray(), 2 * X.toarray())
    assert found.nnz == X.nnz


def test_zeros_and_empty_rows_are_stored():
    rows = sparse.csr_array((np.r_[0.0, 0.0, 0.0], np.r_[0, 0, 0], np.r_[0, 0, 0, 3, 3]), shape=(4, 2))
    npz("x.npz", rows)
    found = array_in(convert("x.npz", "x.zarr"))[0:4, 0:2]
    assert (found.shape, found.nnz) == ((4, 2), 1)
    npz("empty.npz", sparse.csr_array((4, 2)))
    assert array_in(convert("empty.npz", "empty.zarr"))[0:4, 0:2].nnz == 0


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_is_chosen(codec):
    npz("x.npz", X)
    group = convert("x.npz", "x.zarr", codec=codec)
    np.save("x.npy", X.toarray())
    array = convert("x.npy", "dense.zarr", codec=codec)
    assert group["data"].compressors == group["indices"].compressors == array.compressors


@pytest.mark.parametrize("place", ["", "memory://sparse/"])
def test_a_replacement_is_whole(place):
    npz("x.npz", X)
    np.save("x.npy", X.toarray())
    target = f"{place}x.zarr"
    convert("x.npz", target)
    with pytest.raises(FileExistsError, match="another path, or --overwrite"):
        convert("x.npz", target)
    npz("x.npz", 2 * X)
    group = convert("x.npz", target, overwrite=True)
    assert_array_equal(array_in(group)[0:N, 0:D].toarray(), 2 * X.toarray())
    assert isinstance(convert("x.npy", target, overwrite=True), zarr.Array)
    assert isinstance(convert("x.npz", target, overwrite=True), zarr.Group)
    files, name = fsspec.core.url_to_fs(target)
    assert [key for key in files.ls(name.rpartition("/")[0] or ".") if "x.zarr." in str(key)] == []
    files.rm(name, recursive=True)


def test_another_group_is_never_overwritten(folder):
    npz("x.npz", X)
    zarr.open_group("cells.zarr", mode="w").create_array("X", data=np.ones((3, 2)))
    with pytest.raises(FileExistsError, match="no table in Zarr"):
        convert("x.npz", "cells.zarr", overwrite=True)
    assert zarr.open_array("cells.zarr/X").shape == (3, 2)


@pytest.mark.parametrize("target", ["x.zarr", "memory://sparse/cut.zarr"])
def test_what_is_cut_short_is_not_there(folder, monkeypatch, target):
    npz("x.npz", X)
    write, left = zarr.Array.append, [9]

    def append(self, *arguments):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return write(self, *arguments)

    monkeypatch.setattr(zarr.Array, "append", append)
    with pytest.raises(KeyboardInterrupt):
        convert("x.npz", target)
    assert names(folder) == ["x.npz"]
    assert not fsspec.filesystem("memory").find("/sparse")


BAD = {
    "arrays": ("x.npz", lambda: np.savez("x.npz", a=np.ones(3)), "holds no sparse matrix"),
    "complex": ("x.npz", lambda: npz("x.npz", X * 1j), "Complex data not supported"),
    "out of range": (
        "x.npz",
        lambda: np.savez(
            "x.npz",
            format=b"csr",
            shape=[2, 2],
            data=[1.0, 1],
            indices=[0, 5],
            indptr=[0, 1, 2],
            _is_array=True,
        ),
        "an entry in column 5",
    ),
    "no X": ("x.h5ad", lambda: h5py.File("x.h5ad", "w").close(), "has no X"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_holds_no_table_is_refused(folder, case):
    name, write, message = BAD[case]
    write()
    assert_says(raised(ValueError, convert, name, "x.zarr"), message)
    assert names(folder) == [name]


@pytest.mark.parametrize("name", ["x.npz", "x.mtx", "x.h5ad"])
def test_no_columns_are_chosen_of_sparse_files(name):
    assert_says(raised(ValueError, lambda: convert(name, "x.zarr", columns=["a"])), "without --columns")


def test_without_h5py_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'dask_igtm\[cells\]'"):
        convert("x.h5ad", "x.zarr")


@pytest.mark.parametrize("name", ["x.npz", "x.mtx", "x.mtx.gz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(range(128, 256)), b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_empty_or_cut_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}' holds no "):
        convert(str(tmp_path / name), str(tmp_path / "x.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
