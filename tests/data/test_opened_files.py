"""Datasets of h5py and unloaded arrays of xarray are read a block at a time, by any process."""

import dask
import h5py
import numpy as np
import pytest
import xarray as xr
from helpers.data import correlated
from helpers.errors import assert_says, raised
from helpers.lazy import computing
from numpy.testing import assert_array_equal

from dask_igtm import IGTM, IGTMClassifier, landscape
from dask_igtm.data import opened_files
from dask_igtm.data.row_blocks import row_blocks

X = correlated(600, 5)
LABELS = np.where(X[:, 0] > 1, "high", "low")


def igtm(**parameters):
    return IGTM(**{"k": 4, "m": 2, "niter": 3, "tol": 0, **parameters})


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["x"] = X
        file.create_dataset("chunked", data=X, chunks=(40, 2))
        file["labels"] = LABELS.astype(object)
        file["weights"] = np.arange(600.0)
        yield file


@pytest.fixture
def unloaded(tmp_path):
    xr.Dataset({"x": (("row", "column"), X)}).chunk({"row": 40}).to_zarr(
        tmp_path / "x.zarr", consolidated=False
    )
    return xr.open_zarr(tmp_path / "x.zarr", chunks=None, consolidated=False)["x"]


@pytest.mark.parametrize("name", ["x", "chunked"])
def test_a_dataset_gives_the_bits_of_its_rows(file, name):
    blocks = {"n_blocks": 7} if name == "x" else {"n_blocks": 0}
    one = igtm(**blocks).fit(file[name])
    other = igtm(n_blocks=blocks["n_blocks"] or 1).fit(X)
    assert_array_equal(one.centers_, other.centers_)
    assert_array_equal(one.transform(file[name]).compute(), other.transform(X))


def test_a_dataset_is_read_in_whole_chunks_of_a_good_size(file, monkeypatch):
    monkeypatch.setattr("dask_igtm.data.row_blocks.READ_BYTES", 100 * 5 * 8)
    assert row_blocks(file["chunked"]).X.chunks[0][:2] == (80, 80)
    assert row_blocks(file["x"]).X.chunks[0][:2] == (100, 100)


@pytest.mark.parametrize("kind", ["hdf5", "xarray"])
def test_nothing_is_read_until_asked(file, unloaded, monkeypatch, kind):
    given, rows = (file["chunked"], "Hdf5Rows") if kind == "hdf5" else (unloaded, "XarrayRows")
    fitted = igtm().fit(X)
    with monkeypatch.context() as patch:
        patch.setattr(getattr(opened_files, rows), "__getitem__", computing)
        positions = fitted.transform(given)
    assert_array_equal(positions.compute(), fitted.transform(X))


def test_worker_processes_open_the_file_themselves(file, tmp_path):
    file.close()  # which was open for writing
    fitted = igtm().fit(X)
    with h5py.File(tmp_path / "x.h5", "r") as again, dask.config.set(scheduler="processes", num_workers=1):
        assert_array_equal(fitted.transform(again["x"]).compute(), fitted.transform(X))


def test_labels_and_weights_of_datasets(file):
    weighted = igtm().fit(file["x"], sample_weight=file["weights"])
    assert_array_equal(weighted.centers_, igtm(n_blocks=1).fit(X, sample_weight=np.arange(600.0)).centers_)
    classifier = IGTMClassifier(k=4, m=2, niter=3).fit(file["x"], file["labels"])
    assert list(classifier.classes_) == ["high", "low"]
    found = landscape.classes(weighted, file["x"], file["labels"])
    assert_array_equal(found.values, landscape.classes(weighted, X, LABELS).values)


def test_a_dataset_of_another_shape_is_refused_at_once(file):
    assert_says(
        raised(ValueError, igtm().fit, file["weights"]), r"2D array, got 1D array with shape \(600,\)"
    )
    empty = file.create_dataset("empty", data=h5py.Empty("f8"))
    assert_says(raised(ValueError, igtm().fit, empty), r"got 0D array")


def test_a_dataset_that_only_this_process_has_is_refused_with_what_works(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w", driver="core", backing_store=False) as file:
        file["x"] = X
        assert_says(raised(TypeError, igtm().fit, file["x"]), "driver 'core'", r"X\[\.\.\.\]", "from_array")


def test_a_dataset_of_a_closed_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        rows = file.create_dataset("x", data=X)
    assert_says(raised(ValueError, igtm().fit, rows), "its file is closed; open the file again")


def test_a_file_that_cannot_be_opened_is_named(file):
    positions = igtm().fit(X).transform(file["x"])
    path = file.filename
    file.close()
    open(path, "wb").close()
    assert_says(raised(OSError, positions.compute), f"cannot open {path}; give a path that every worker sees")


def test_a_view_of_a_dataset_is_refused_for_it_would_be_read_whole(file):
    assert_says(
        raised(TypeError, igtm().fit, file["x"].astype("f4")), "h5py.As?[Tt]ype", "give the dataset itself"
    )


def test_an_unloaded_array_of_xarray_is_read_by_blocks_and_stays_unloaded(unloaded, monkeypatch):
    monkeypatch.setattr("dask_igtm.data.row_blocks.READ_BYTES", 100 * 5 * 8)
    assert row_blocks(unloaded).X.chunks[0][:2] == (80, 80)
    one = igtm(n_blocks=7).fit(unloaded)
    assert not unloaded.variable._in_memory
    assert_array_equal(one.centers_, igtm(n_blocks=7).fit(X).centers_)
    with dask.config.set(scheduler="processes", num_workers=1):
        assert_array_equal(one.transform(unloaded).compute(), one.transform(X))
