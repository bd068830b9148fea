"""Files without pickle: whole, or refused."""

import io
import json
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from helpers.data import correlated

from dask_igtm import IGTM, load
from dask_igtm.data import npz_io

X = correlated(300, 5)


def test_a_file_holds_no_pickle(tmp_path):
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as file:
        assert not any(b"|O" in file.read(name)[:128] for name in file.namelist())


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    igtm = IGTM(k=4, niter=2).fit(X)
    igtm.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        igtm.save(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == before


@pytest.mark.parametrize("keep", [0, 10, 1000, -10])
def test_a_truncated_file_is_refused(tmp_path, keep):
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    (tmp_path / "model").write_bytes((tmp_path / "model").read_bytes()[:keep])
    with pytest.raises(ValueError, match="not a file saved by dask_igtm, or is damaged"):
        load(tmp_path / "model")


ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"]), "c": np.array(True)}


@pytest.fixture
def file(tmp_path):
    npz_io.write(tmp_path / "file", npz_io.MODEL, {"n": 1}, ARRAYS)
    return tmp_path / "file"


def repacked(path, change, compression=zipfile.ZIP_STORED):
    """Write the members of an archive anew, of which `change` has altered some."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def test_arrays_come_back_in_their_order_of_memory(tmp_path):
    in_columns = np.asfortranarray(np.random.default_rng(0).normal(size=(3, 4)))
    npz_io.write(tmp_path / "file", npz_io.MODEL, {}, {"a": in_columns, "none": np.empty((0, 3))})
    _, arrays = npz_io.read(tmp_path / "file", npz_io.MODEL)
    assert arrays["a"].flags.f_contiguous
    assert arrays["a"].flags.writeable
    assert arrays["a"].tobytes() == in_columns.tobytes()
    assert arrays["none"].shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda members: members.pop("b.npy"), "lists other arrays than there are: 'b'"),
        (lambda members: members.update({"d.npy": npy(np.ones(1))}), "lists other arrays .*: 'd'"),
        (lambda members: members.update({"a.npy": npy(ARRAYS["a"].T)}), "lists other arrays .*: 'a'"),
        (lambda members: members.update({"a.npy": npy(-ARRAYS["a"])}), "lists other arrays .*: 'a'"),
        (
            lambda members: members.update({"a.npy": npy(ARRAYS["a"]) + b"more"}),
            "52 bytes, and is said to be",
        ),
        (lambda members: members.pop("header.npy"), "KeyError 'header'"),
        (lambda members: members.update({"header.npy": npy(np.array('{"n": NaN}'))}), "has the number NaN"),
        (lambda members: members.update({"header.npy": npy(np.array("[]"))}), "JSON is no object, but list"),
    ],
)
def test_a_file_with_anything_missing_or_other_is_refused(file, change, reason):
    repacked(file, change)
    with pytest.raises(
        ValueError, match=f"file' is not a file saved by dask_igtm, or is damaged: .*{reason}"
    ):
        npz_io.read(file, npz_io.MODEL)


@pytest.mark.parametrize(
    "claim",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': '<U0', 'fortran_order': False, 'shape': (1099511627776,), }",
        "{'descr': [('a', '<f8', (1099511627776,))], 'fortran_order': False, 'shape': (), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1), }",
        "((((",
    ],
)
def test_an_array_is_no_larger_than_its_bytes_and_holds_no_code(file, claim):
    text = f"{claim}\n".encode()
    array = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(8)
    repacked(file, lambda members: members.update({"a.npy": array}))
    with pytest.raises(ValueError, match="is not a file saved by dask_igtm, or is damaged"):
        npz_io.read(file, npz_io.MODEL)


def test_what_is_small_cannot_become_large(file):
    zeros = npy(np.zeros(2**24))
    repacked(file, lambda members: members.update({"a.npy": zeros}), zipfile.ZIP_DEFLATED)
    assert file.stat().st_size < 2**20
    tracemalloc.start()
    with pytest.raises(ValueError, match="its members are compressed"):
        npz_io.read(file, npz_io.MODEL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**23


def test_an_archive_whose_list_is_not_whole_is_refused(file):
    """Also of older files, which list nothing themselves."""
    repacked(file, lambda members: None)
    content = bytearray(file.read_bytes())
    content[-12] -= 1  # of the number of members
    file.write_bytes(content)
    with pytest.raises(ValueError, match="its list of members is not whole"):
        npz_io.read(file, npz_io.MODEL)


def test_a_place_that_cannot_be_read_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match=str(tmp_path)):
        npz_io.read(tmp_path, npz_io.MODEL)


@pytest.mark.parametrize("version", [0, "1", None, 1.0])
def test_a_format_that_is_no_number_is_refused(file, version):
    def change(members):
        header = {"format": npz_io.MODEL, "format_version": version}
        members["header.npy"] = npy(np.array(json.dumps(header)))

    repacked(file, change)
    with pytest.raises(ValueError, match="which is no number of a format"):
        npz_io.read(file, npz_io.MODEL)
