"""Files that are whole or not there, of several writers that may be at work, and what they may replace."""

import errno
import itertools
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from dask_igtm.data.whole_outputs import absolute, create_whole, whole_file, write_whole


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


# What may be replaced, and where links lead


def pipe(path):
    os.mkfifo(path)


def in_use(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # in full it may be too long


OTHERS = [(pipe, "named pipe"), (in_use, "socket"), (os.mkdir, "folder")]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written_csv(path):
    with whole_file(path, overwrite=True) as new, open(new, "wb") as file:
        file.write(b"new")


WRITERS = [lambda path: write_whole(path, b"new"), written_csv]


@pytest.mark.parametrize(("make", "kind"), OTHERS)
@pytest.mark.parametrize("write", WRITERS)
def test_only_files_are_replaced(inside, make, kind, write):
    make(str(inside / "out"))
    before = os.lstat("out")
    with pytest.raises(FileExistsError, match=f"There is a {kind} at '.*out'.* give another path"):
        write(inside / "out")
    assert os.path.samestat(os.lstat("out"), before)
    assert os.listdir() == ["out"]


@pytest.mark.parametrize("write", WRITERS)
def test_what_comes_while_a_file_is_written_is_not_replaced(inside, write, monkeypatch):
    def late(*args, **kwargs):
        if "new" in str(args[0]) and not os.path.exists("out"):
            os.mkfifo("out")
        return opened(*args, **kwargs)

    opened = open
    monkeypatch.setattr("builtins.open", late)
    with pytest.raises(FileExistsError, match="a named pipe at"):
        write(inside / "out")
    assert os.listdir() == ["out"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("there", [False, True])
def test_links_are_followed(inside, write, there):
    (inside / "far").mkdir()
    if there:
        (inside / "far" / "real").write_bytes(b"old")
    os.symlink("far/real", "one")
    os.symlink("one", "out")
    write("out")
    assert os.readlink("out") == "one"
    assert (inside / "far" / "real").read_bytes() == b"new"
    assert sorted(os.listdir()) == ["far", "one", "out"]
    assert os.listdir("far") == ["real"]


@pytest.mark.parametrize("write", WRITERS)
def test_links_that_lead_nowhere_are_refused(inside, write):
    os.symlink("two", "one")
    os.symlink("one", "two")
    with pytest.raises(FileExistsError, match="leads back to itself"):
        write("one")
    os.symlink("none/real", "out")
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*none'") as caught:
        write("out")
    assert ".part" not in str(caught.value)
    assert sorted(os.listdir()) == ["one", "out", "two"]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_missing_folder_is_named(inside, write, scheme):
    with pytest.raises(FileNotFoundError, match=f"There is no folder '{inside}/none'") as caught:
        write(f"{scheme}{inside}/none/out")
    assert ".part" not in str(caught.value)
