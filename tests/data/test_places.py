"""Paths and groups without an array say what to give instead."""

import io

import h5py
import numpy as np
import pytest
import zarr
from helpers.csr_groups import describe, hdf5_csr
from helpers.data import correlated
from scipy.sparse import csr_array

from dask_igtm import IGTM, landscape
from dask_igtm.data.places import SHOWN

ROWS = correlated(60, 3)


def refused(kind, given):
    with pytest.raises(kind) as caught:
        IGTM().fit(given)
    return str(caught.value)


ENDINGS = {
    "x.npy": r"numpy.load('x.npy', mmap_mode='r'), or write it as Zarr by dask_igtm.convert",
    "x.npz": "or an array of numpy.load('x.npz'), or write it as Zarr by dask_igtm.convert",
    "x.mtx.gz": "scipy.io.mmread('x.mtx.gz'), or write it as Zarr by dask_igtm.convert",
    "x.h5": "a dataset of h5py.File('x.h5')",
    "x.h5ad": "anndata.read_h5ad('x.h5ad', backed='r').X, or write it as Zarr by dask_igtm.convert",
    "x.nc": "xarray.open_dataset('x.nc')",
    "x.txt": "the path or URL of one",
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_file_of_another_kind_names_what_reads_it(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"no array")
    message = refused(FileNotFoundError, name)
    assert message.startswith(f"There is no Zarr array at {name!r}; give ")
    assert ENDINGS[name] in message


@pytest.fixture
def group(tmp_path):
    return zarr.open_group(tmp_path / "g.zarr", mode="w")


def test_a_group_names_the_paths_of_nested_tables_alone(group):
    group.create_array("x", data=ROWS)
    inner = group.create_group("a").create_group("b")
    inner.create_array("rows", data=ROWS)
    inner.create_array("names", data=ROWS[:, 0])
    inner.create_array("stack", data=ROWS[None])
    assert refused(TypeError, group).endswith("g.zarr; give the path of one of its arrays: a/b/rows, x.")
    igtm = IGTM(k=3, m=2, niter=1).fit(ROWS)
    with pytest.raises(TypeError, match=r"y is the Zarr group .*arrays: a/b/names, a/b/rows, x"):
        landscape.property(igtm, ROWS, group)


def test_a_group_of_many_arrays_names_some(group):
    for number in range(SHOWN + 3):
        group.create_array(f"x{number:02}", data=ROWS)
    assert refused(TypeError, group).endswith("x06, x07 and 3 more.")


def test_a_group_without_tables_says_what_is_there(group):
    assert refused(TypeError, group).endswith("and none of its arrays is 2D: it has none.")
    group.create_array("0", data=ROWS[None, None])
    assert refused(TypeError, group).endswith("is 2D: 0 of shape (1, 1, 60, 3).")


def test_a_sparse_matrix_by_columns_names_the_remedy(group):
    group.attrs["encoding-type"] = "csc_matrix"
    for name in ("data", "indices", "indptr"):
        group.create_array(name, data=np.arange(3))
    message = refused(TypeError, group)
    assert "stored by columns" in message
    assert "anndata.io.read_elem(group).tocsr()" in message
    assert "indptr" not in message


def test_sparse_matrices_are_tables_of_a_group():
    cells = zarr.open_group(zarr.storage.MemoryStore())
    inner = cells.create_group("X")
    describe(inner, ROWS.shape)
    for name in ("data", "indices", "indptr"):
        inner.create_array(name, data=np.arange(3))
    cells.create_array("obsm/X_pca", data=ROWS)
    assert refused(TypeError, cells).endswith("give the path of one of its arrays: X, obsm/X_pca.")
    with h5py.File(io.BytesIO(), "w") as file:
        hdf5_csr(file, "layers/counts", csr_array(ROWS))
        assert refused(TypeError, file).endswith("give one of its datasets by its path: layers/counts.")


def test_a_group_of_hdf5_names_its_datasets():
    with h5py.File(io.BytesIO(), "w") as file:
        file["x"], file["a/rows"], file["a/names"] = ROWS, ROWS, ROWS[:, 0]
        assert refused(TypeError, file).endswith(
            "HDF5 group /; give one of its datasets by its path: a/rows, x."
        )
        assert refused(TypeError, file["a"]).endswith(
            "HDF5 group /a; give one of its datasets by its path: rows."
        )
