"""Folders that cannot be written to, files that cannot be read, disks that are full: one sentence each."""

import contextlib
import os
import resource
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.cut import cut_after
from helpers.data import correlated
from helpers.errors import raised
from helpers.rights import rights

from dask_igtm import IGTM, convert, load, report

X = correlated(4000, 5)
SMALL = {"k": 4, "m": 2, "solver": "em", "tol": 0}


@pytest.fixture(scope="module")
def igtm():
    return IGTM(**SMALL, niter=2).fit(X)


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    np.save(folder / "x.npy", X)
    pd.DataFrame(X, columns=list("abcde")).to_csv(folder / "x.csv", index=False)
    zarr.create_array(folder / "x.zarr", data=X, chunks=(500, 5))
    return folder


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def work_on(igtm, source):
    """What writes something, by where it puts that."""
    zarr_path = source / "x.zarr"
    return {
        "m.npz": igtm.save,
        "c.npz": lambda path: IGTM(**SMALL, niter=4).fit(X, checkpoint=path),
        "x.zarr": lambda path: convert(str(source / "x.npy"), str(path)),
        "deep/x.zarr": lambda path: convert(str(source / "x.npy"), str(path)),
        "p.zarr": lambda path: igtm.project_to_zarr(zarr_path, path),
        "q.zarr": lambda path: igtm.write_table(zarr_path, path),
        "p.csv": lambda path: igtm.write_table(zarr_path, path),
        "p.parquet": lambda path: igtm.write_table(zarr_path, path),
        "r.html": lambda path: report(igtm, X, path),
    }


WRITTEN = list(work_on(IGTM(), Path()))


@pytest.mark.parametrize("name", WRITTEN)
def test_a_folder_that_cannot_be_written_to_is_refused(igtm, source, folder, name):
    work = work_on(igtm, source)[name]
    with rights(folder, 0o555):
        message = raised(PermissionError, work, folder / name)
    assert message == f"Folder {str(folder)!r} cannot be written to (Permission denied); give another path."
    assert not any(folder.iterdir())


@pytest.mark.parametrize("name", ["c.npz", "p.zarr", "p.csv", "p.parquet", "r.html"])
def test_it_is_refused_before_the_first_pass(igtm, source, folder, monkeypatch, name):
    work = work_on(igtm, source)[name]
    cut_after(monkeypatch, 0, AssertionError("a pass"))
    with rights(folder, 0o555):
        raised(PermissionError, work, folder / name)


def test_a_checkpoint_whose_folder_cannot_be_written_to_is_refused_before_the_first_pass(folder, monkeypatch):
    IGTM(**SMALL, niter=2).fit(X, checkpoint=folder / "c.npz")
    kept = (folder / "c.npz").read_bytes()
    cut_after(monkeypatch, 0, AssertionError("a pass"))
    with rights(folder, 0o555):
        raised(PermissionError, IGTM(**SMALL, niter=4).fit, X, checkpoint=folder / "c.npz")
    assert (folder / "c.npz").read_bytes() == kept


@pytest.mark.parametrize("name", ["p.zarr", "p.parquet"])
@pytest.mark.parametrize("which", ["itself", "above"])
def test_what_cannot_be_replaced_stays_whole(igtm, source, folder, name, which):
    target = folder / name
    igtm.write_table(source / "x.zarr", target)
    before = {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*")}
    with rights(target if which == "itself" else folder, 0o555):
        raised(PermissionError, igtm.write_table, source / "x.zarr", target, overwrite=True)
    assert {path: path.is_dir() or path.read_bytes() for path in folder.rglob("*")} == before


@pytest.mark.parametrize("name", ["p.zarr", "p.parquet"])
def test_a_projection_that_is_complete_is_found_so_where_nothing_can_be_written(igtm, source, folder, name):
    igtm.write_table(source / "x.zarr", folder / name)
    with rights(folder / name, 0o555):
        igtm.write_table(source / "x.zarr", folder / name)


READ = {
    "m.npz": load,
    "c.npz": lambda path: IGTM(**SMALL, niter=4).fit(X, checkpoint=path),
    "x.npy": lambda path: convert(str(path), str(path.with_name("new.zarr"))),
    "x.csv": lambda path: convert(str(path), str(path.with_name("new.zarr"))),
    "p.parquet/projection.parquet": lambda path: load(path.parents[1] / "m.npz").write_table(X, path.parent),
}


@pytest.mark.parametrize("name", READ)
def test_what_cannot_be_read_is_not_taken_for_something_else(igtm, source, name):
    igtm.save(source / "m.npz")
    IGTM(**SMALL, niter=2).fit(X, checkpoint=source / "c.npz")
    igtm.write_table(X, source / "p.parquet")
    with rights(source / name, 0o000):
        message = raised(PermissionError, READ[name], source / name)
    assert message == f"[Errno 13] Permission denied: {str(source / name)!r}"
    assert not (source / "new.zarr").exists()


def test_names_of_csv_files_are_no_urls(tmp_path):
    path = tmp_path / "100%20.csv"
    path.write_text("a,b\n1,2\n3,4\n")
    assert convert(str(path), str(tmp_path / "x.zarr")).shape == (2, 2)


@contextlib.contextmanager
def files_of_at_most(n_bytes):
    """Let the system refuse what makes a file longer, as it does where a disk or a quota is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITTEN)
def test_a_full_disk_is_named_by_what_was_to_be_written(igtm, source, folder, name):
    work, path = work_on(igtm, source)[name], folder / name
    with files_of_at_most(1500):
        message = raised(OSError, work, path)
    assert os.strerror(27) in message
    assert str(path) in message
    assert ".part" not in message.replace("p.parquet/part-", "")
    assert "Make room there, or give another path." in message
    assert not list(folder.rglob("*.part"))
    if name in {"p.zarr", "q.zarr", "p.parquet"}:  # of which finished parts stay
        work(path)
    elif name != "c.npz":
        assert not path.exists()
