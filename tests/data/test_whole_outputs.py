"""Files that are whole or not there, of several writers that may be at work, and what they may replace."""

import errno
import itertools
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from dask_igtm.data.whole_outputs import absolute, create_whole, write_whole


@pytest.fixture(params=["memory", "local"])
def new(request, tmp_path):
    """A file that is not there."""
    yield "memory://made/file" if request.param == "memory" else str(tmp_path / "file")
    fsspec.filesystem("memory").store.clear()


def content_of(path):
    files, name = fsspec.core.url_to_fs(path)
    return files.cat_file(name)


def test_a_file_is_made_once(new):
    create_whole(new, b"first")
    with pytest.raises(FileExistsError):
        create_whole(new, b"second")
    assert content_of(new) == b"first"


def test_of_many_writers_at_once_one_makes_the_file(new):
    def make(number):
        barrier.wait()
        try:
            create_whole(new, bytes([number]) * 100_000)
        except FileExistsError:
            return []
        return [bytes([number]) * 100_000]

    for _ in range(10):
        barrier = threading.Barrier(8)
        with ThreadPoolExecutor(8) as pool:
            made = list(itertools.chain.from_iterable(pool.map(make, range(8))))
        assert made == [content_of(new)]
        fsspec.core.url_to_fs(new)[0].rm(fsspec.core.url_to_fs(new)[1])


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def link(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    create_whole(tmp_path / "file", b"first")
    with pytest.raises(FileExistsError):
        create_whole(tmp_path / "file", b"second")
    assert (tmp_path / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]


def answers(monkeypatch, mode, error, written):
    """Let requests of a mode fail, whether or not the store has done what they asked for."""

    def pipe_file(self, path, value, mode="overwrite"):
        if written or mode != asked:
            real(self, path, value, mode)
        if mode == asked:
            raise error

    real, asked = MemoryFileSystem.pipe_file, mode
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)


@pytest.mark.parametrize("error", [TypeError("mode"), OSError(errno.ENOSYS, "NotImplemented")])
def test_a_store_that_knows_no_such_request(monkeypatch, error):
    answers(monkeypatch, "create", error, written=False)
    create_whole("memory://asked/file", b"first")
    with pytest.raises(FileExistsError):
        create_whole("memory://asked/file", b"second")
    assert content_of("memory://asked/file") == b"first"
    fsspec.filesystem("memory").store.clear()


def test_a_request_whose_receipt_is_lost_has_made_the_file(monkeypatch):
    answers(monkeypatch, "create", OSError(errno.EIO, "Slow Down"), written=True)
    create_whole("memory://receipt/file", b"first")
    fsspec.filesystem("memory").store.clear()


def test_a_request_that_fails_makes_nothing(monkeypatch):
    answers(monkeypatch, "create", OSError(errno.EIO, "Slow Down"), written=False)
    with pytest.raises(OSError, match="Slow Down"):
        create_whole("memory://failed/file", b"first")
    assert not fsspec.filesystem("memory").exists("/failed/file")


@pytest.mark.parametrize("scheme", ["file://", "local://"])
def test_urls_of_local_files_are_paths(tmp_path, monkeypatch, scheme):
    assert absolute(f"{scheme}{tmp_path}/map.zarr/") == str(tmp_path / "map.zarr")
    monkeypatch.setattr(LocalFileSystem, "pipe_file", None)  # which may leave half a file
    write_whole(f"{scheme}{tmp_path}/file", b"whole")
    with pytest.raises(FileExistsError):
        create_whole(f"{scheme}{tmp_path}/file", b"other")
    assert (tmp_path / "file").read_bytes() == b"whole"
