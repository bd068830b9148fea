"""An array that is to be replaced is there until the new one is, whatever fails at whatever step."""

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from numpy.testing import assert_array_equal

from dask_igtm import convert
from dask_igtm.cli.commands import main
from dask_igtm.data import convert as converting
from dask_igtm.data import whole_stores
from dask_igtm.data.zarr_io import open_zarr

OLD = np.arange(280.0).reshape(70, 4)
NEW = -np.arange(120.0).reshape(30, 4)
URL = "memory://replaced/x.zarr"
STEPS = {
    "memory": [(MemoryFileSystem, name) for name in ("copy", "cp_file", "rm", "rm_file")],
    "local": [(os, "rename"), (LocalFileSystem, "rm"), (shutil, "rmtree")],
}


@pytest.fixture(params=["memory", "local"])
def place(request, tmp_path, monkeypatch):
    """An empty folder of a file system, as a prefix; and chunks of ten rows."""
    monkeypatch.setattr(converting, "CHUNK_BYTES", 10 * 4 * 8)
    monkeypatch.chdir(tmp_path)
    np.save("new.npy", NEW)
    files = fsspec.filesystem("memory")
    if files.exists("/replaced"):
        files.rm("/replaced", recursive=True)
    yield "memory://replaced/" if request.param == "memory" else f"{tmp_path / 'replaced'}/"
    if files.exists("/replaced"):
        files.rm("/replaced", recursive=True)


def kind_of(place):
    return "memory" if "://" in place else "local"


def clear(place):
    files, root = fsspec.core.url_to_fs(place)
    if files.exists(root):
        files.rm(root, recursive=True)
    files.makedirs(root, exist_ok=True)


def store(place, zarr_format=3, chunks=(5, 4)):
    """Put the old array there, which has more chunks than the new one."""
    clear(place)
    zarr.create_array(f"{place}x.zarr", data=OLD, chunks=chunks, zarr_format=zarr_format)


def keys(place):
    files, root = fsspec.core.url_to_fs(place)
    files.invalidate_cache()
    return {key.removeprefix(root.rstrip("/") + "/") for key in files.find(root)}


def stored(place, name="x.zarr"):
    return zarr.open_array(f"{place}{name}", mode="r")[:]


def failing(monkeypatch, owner, name, error, which):
    """Let a function fail at the calls that `which` picks by their numbers; return those numbers."""
    real, calls, failed = getattr(owner, name), itertools.count(), []

    def sometimes(*args, **kwargs):
        number = next(calls)
        if which(number):
            failed.append(number)
            raise type(error)(*error.args)  # anew, for notes stick to an error
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, sometimes)
    return failed


@pytest.mark.parametrize("number", range(3))
def test_what_cannot_be_written_leaves_the_old_array(place, monkeypatch, number):
    store(place)
    before = keys(place)
    with monkeypatch.context() as patch:
        failing(patch, zarr.Array, "append", OSError("the line is cut"), lambda call: call == number)
        with pytest.raises(OSError, match="the line is cut"):
            convert("new.npy", f"{place}x.zarr", overwrite=True)
    assert keys(place) == before
    assert_array_equal(stored(place), OLD)


ALL_STEPS = [(kind, step) for kind, steps in STEPS.items() for step in steps]


@pytest.mark.parametrize(
    ("zarr_format", "error"),
    [(2, OSError("the line is cut")), (3, KeyboardInterrupt())],
    ids=["error", "ctrl-c"],
)
@pytest.mark.parametrize(("kind", "step"), ALL_STEPS, ids=[f"{kind}-{step[1]}" for kind, step in ALL_STEPS])
def test_what_fails_once_leaves_the_old_array(place, monkeypatch, kind, step, zarr_format, error):
    if kind != kind_of(place):
        pytest.skip("a step of the other kind of place")
    broken = {}
    clear(place)
    convert("new.npy", f"{place}x.zarr")
    alone = keys(place)
    for number in range(200):
        store(place, zarr_format)
        before = keys(place)
        with monkeypatch.context() as patch:
            failed = failing(patch, *step, error, lambda call, number=number: call == number)
            try:
                convert("new.npy", f"{place}x.zarr", overwrite=True)
            except type(error):
                raised = True
            else:
                raised = False
        if not failed:
            break
        after = keys(place)
        if not raised:  # the failure did not matter, so that the new one must be there
            assert_array_equal(stored(place), NEW)
        elif after != before or not np.array_equal(stored(place), OLD):
            broken[number] = {"gone": sorted(before - after), "more": sorted(after - before)}
            # Ctrl-C cannot be kept silent where nothing is left to do but to clear the old one away.
            if isinstance(error, KeyboardInterrupt) and alone <= after and stored(place).shape == NEW.shape:
                assert_array_equal(stored(place), NEW)
                del broken[number]
    assert not failed  # all calls had their turn
    assert broken == {}


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("chunks", [(5, 4), (5, 1), (70, 4)])
def test_success_replaces_the_old_array_wholly(place, zarr_format, chunks):
    clear(place)
    convert("new.npy", f"{place}x.zarr")
    alone = keys(place)
    store(place, zarr_format, chunks)
    array = convert("new.npy", f"{place}x.zarr", overwrite=True)
    assert_array_equal(array[:], NEW)
    assert_array_equal(stored(place), NEW)
    assert keys(place) == alone


def run_convert(*arguments):
    with pytest.raises(SystemExit) as ended:
        main(["convert", *arguments], prog_name="dask-igtm")
    return ended.value.code


def test_the_command_replaces_too(place, monkeypatch, capsys):
    store(place)
    before = keys(place)
    assert run_convert("new.npy", f"{place}x.zarr") != 0
    assert keys(place) == before
    with monkeypatch.context() as patch:
        owner, name = (os, "rename") if kind_of(place) == "local" else (MemoryFileSystem, "cp_file")
        failing(patch, owner, name, OSError("the line is cut"), lambda call: call == 1)
        assert run_convert("new.npy", f"{place}x.zarr", "--overwrite") != 0
    assert "the line is cut" in capsys.readouterr().err
    assert_array_equal(stored(place), OLD)
    assert keys(place) == before
    assert run_convert("new.npy", f"{place}x.zarr", "--overwrite") == 0
    assert_array_equal(stored(place), NEW)


def test_where_putting_back_fails_too_a_note_says_where_the_old_array_is(place, monkeypatch):
    """From some step on nothing can be moved any more."""
    owner, name = (os, "rename") if kind_of(place) == "local" else (MemoryFileSystem, "copy")
    noted = 0
    for number in range(20):
        store(place)
        with monkeypatch.context() as patch:
            broken = failing(patch, owner, name, OSError("the line is cut"), lambda call, n=number: call >= n)
            try:
                convert("new.npy", f"{place}x.zarr", overwrite=True)
            except OSError as error:
                notes = " ".join(getattr(error, "__notes__", ()))
        if not broken:
            break
        try:
            there = np.array_equal(stored(place), OLD)
        except FileNotFoundError:
            there = False
        if there:
            continue
        files = fsspec.core.url_to_fs(place)[0]
        places = [files.unstrip_protocol(path) for path in re.findall(r"'([^']+)'", notes) if ".old" in path]
        assert places, f"call {number} on: no note says where the old array is"
        assert_array_equal(zarr.open_array(places[0], mode="r")[:], OLD)
        noted += 1
    assert noted


def test_an_array_that_is_not_replaced_is_made_or_not_there(place, monkeypatch):
    """Where nothing was, a failure leaves nothing."""
    clear(place)
    owner, name = (os, "rename") if kind_of(place) == "local" else (MemoryFileSystem, "cp_file")
    for number in range(50):
        with monkeypatch.context() as patch:
            failed = failing(patch, owner, name, OSError("the line is cut"), lambda call, n=number: call == n)
            try:
                convert("new.npy", f"{place}x.zarr")
            except OSError as error:
                assert "the line is cut" in str(error), f"after call {number} it cannot be made at all"  # noqa: PT017
            else:
                break
        assert failed
        assert keys(place) == set(), f"call {number} left something"
    assert number > 0
    assert_array_equal(stored(place), NEW)


def test_what_is_made_meanwhile_is_not_replaced_unasked(place, monkeypatch):
    clear(place)
    real = zarr.Array.append

    def append(self, rows):
        if not keys(place) & {"x.zarr/zarr.json"}:
            zarr.create_array(f"{place}x.zarr", data=OLD, chunks=(5, 4))
        return real(self, rows)

    monkeypatch.setattr(zarr.Array, "append", append)
    with pytest.raises(FileExistsError, match="meanwhile"):
        convert("new.npy", f"{place}x.zarr")
    assert_array_equal(stored(place), OLD)
    assert not [key for key in keys(place) if ".part" in key]


def test_ctrl_c_just_after_the_old_array_was_set_aside(tmp_path, monkeypatch):
    place = f"{tmp_path / 'replaced'}/"
    monkeypatch.chdir(tmp_path)
    np.save("new.npy", NEW)
    store(place)
    rename, calls = os.rename, []

    def interrupted(*names):
        rename(*names)
        calls.append(names)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        convert("new.npy", f"{place}x.zarr", overwrite=True)
    assert_array_equal(stored(place), OLD)


# Several processes that put an array in one place


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("step", ["_move", "_replace"])
def test_while_one_array_is_moved_no_other_is(place, monkeypatch, overwrite, step):
    """Another conversion comes in the middle of the first one's move."""
    if step == "_replace":
        store(place)
    else:
        clear(place)
    np.save("other.npy", OLD)
    real, said = getattr(whole_stores, step), []

    def disturbed(files, partial, name):
        monkeypatch.setattr(whole_stores, step, real)
        with pytest.raises(FileExistsError) as caught:
            convert("other.npy", f"{place}x.zarr", overwrite=overwrite or step == "_replace")
        said.append(str(caught.value))
        real(files, partial, name)

    monkeypatch.setattr(whole_stores, step, disturbed)
    convert("new.npy", f"{place}x.zarr", overwrite=True)
    assert re.search(r"Another process is about to put something at .*x\.zarr.*lock", said[0])
    assert_array_equal(stored(place), NEW)
    assert not [key for key in keys(place) if "part" in key or "lock" in key]


def test_a_lock_that_was_left_says_what_to_remove(place):
    """On a disk it is known to be left, and needs nobody."""
    clear(place)
    files, root = fsspec.core.url_to_fs(place)
    files.pipe_file(f"{root.rstrip('/')}/x.zarr.lock", b"")
    if kind_of(place) == "memory":
        with pytest.raises(FileExistsError, match=r"x\.zarr\.lock.* remove that file if it was killed"):
            convert("new.npy", f"{place}x.zarr")
        files.rm_file(f"{root.rstrip('/')}/x.zarr.lock")
    assert_array_equal(convert("new.npy", f"{place}x.zarr")[:], NEW)
    assert not [key for key in keys(place) if "lock" in key]


def test_what_is_replaced_at_once_is_said(place, monkeypatch):
    def taken_away(files, name):
        with real(files, name):
            yield
        files.rm(name, recursive=True)

    clear(place)
    real = whole_stores._alone_at
    monkeypatch.setattr(whole_stores, "_alone_at", contextlib.contextmanager(taken_away))
    with pytest.raises(FileExistsError, match="already being replaced"):
        convert("new.npy", f"{place}x.zarr")


def test_an_array_that_comes_between_two_looks_is_opened(place, monkeypatch):
    """Zarr looks for an array and then for a group; what was put there in between was an error of its own."""

    def late(*args, **kwargs):
        if not keys(place):
            convert("new.npy", f"{place}x.zarr")
            monkeypatch.undo()
            return zarr.open_group(*args, **kwargs)
        return real(*args, **kwargs)

    clear(place)
    real = zarr.open
    monkeypatch.setattr(zarr, "open", late)
    assert_array_equal(open_zarr(f"{place}x.zarr")[:], NEW)


def test_a_folder_may_be_named_as_a_zip_file(place):
    """What was converted to it could be neither read nor replaced."""
    clear(place)
    for overwrite in (False, True):
        convert("new.npy", f"{place}x.zip", overwrite=overwrite)
        assert_array_equal(open_zarr(f"{place}x.zip")[:], NEW)


@pytest.mark.parametrize("overwrite", [False, True])
def test_many_conversions_to_one_place(place, overwrite):
    """What is there in the end is whole, of one that succeeded; the others say what was in the way."""

    def run(number):
        barrier.wait()
        try:
            convert(f"{number}.npy", f"{place}x.zarr", overwrite=overwrite)
        except FileExistsError as error:
            assert re.search("meanwhile|Another process|something at|already being replaced", str(error))  # noqa: PT017
            return []
        return [number]

    for number in range(4):
        np.save(f"{number}.npy", np.full((100, 4), number))
    for _ in range(5):
        clear(place)
        barrier = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            done = list(itertools.chain.from_iterable(pool.map(run, range(4))))
        assert len(done) == 1 or overwrite
        assert any(np.array_equal(stored(place), np.full((100, 4), number)) for number in done)


# What stores replace, and where links lead


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("new.npy", NEW)
    return tmp_path


@pytest.mark.parametrize("ending", ["zarr", "zip"])
def test_a_pipe_or_a_socket_is_never_replaced(folder, ending):
    os.mkfifo(f"pipe.{ending}")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"socket.{ending}")
    for kind in ("pipe", "socket"):
        with pytest.raises(FileExistsError, match=f"There is a .*{kind} at '{kind}"):
            convert("new.npy", f"{kind}.{ending}", overwrite=True)
    assert sorted(os.listdir()) == ["new.npy", f"pipe.{ending}", f"socket.{ending}"]


def test_a_pipe_that_comes_meanwhile_is_not_replaced(folder, monkeypatch):
    def append(self, rows):
        if not os.path.exists("x.zarr"):
            os.mkfifo("x.zarr")
        return real(self, rows)

    real = zarr.Array.append
    monkeypatch.setattr(zarr.Array, "append", append)
    with pytest.raises(FileExistsError, match=r"meanwhile\. There is a named pipe"):
        convert("new.npy", "x.zarr", overwrite=True)
    assert sorted(os.listdir()) == ["new.npy", "x.zarr"]


@pytest.mark.parametrize("there", [False, True])
def test_a_link_stays_and_what_it_leads_to_is_replaced(folder, there):
    (folder / "far").mkdir()
    if there:
        zarr.create_array("far/real.zarr", data=OLD)
    os.symlink("far/real.zarr", "x.zarr")
    assert_array_equal(convert("new.npy", "x.zarr", overwrite=there)[:], NEW)
    assert os.readlink("x.zarr") == "far/real.zarr"
    assert os.listdir("far") == ["real.zarr"]
    assert sorted(os.listdir()) == ["far", "new.npy", "x.zarr"]


def test_links_that_lead_back_are_refused(folder):
    os.symlink("x.zarr", "x.zarr")
    with pytest.raises(FileExistsError, match="leads back to itself"):
        convert("new.npy", "x.zarr", overwrite=True)
    assert sorted(os.listdir()) == ["new.npy", "x.zarr"]


def test_urls_of_local_places_are_paths(folder):
    convert(f"file://{folder}/new.npy", f"file://{folder}/x.zarr")
    convert(f"file://{folder}/new.npy", f"file://{folder}/x.zarr", overwrite=True)
    assert_array_equal(zarr.open_array("x.zarr")[:], NEW)
    assert sorted(os.listdir()) == ["new.npy", "x.zarr"]


KILLED = """
import os, signal, sys
from dask_igtm import convert
rename, moved = os.rename, []
def killed(*names):
    if len(moved) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    moved.append(names)
    rename(*names)
os.rename = killed
convert("new.npy", "x.zarr", overwrite=True)
"""


@pytest.mark.parametrize("step", [0, 1])
def test_after_a_kill_the_next_conversion_finds_all_in_order(folder, step):
    """Killed before the old array is set aside, and between that and the new one's move."""
    zarr.create_array("x.zarr", data=OLD)
    subprocess.run([sys.executable, "-c", KILLED, str(step)], check=False)
    assert [name for name in os.listdir() if name.endswith(".part")]
    assert os.path.exists("x.zarr.lock")
    with pytest.raises(FileExistsError, match="something at"):
        convert("new.npy", "x.zarr")
    assert_array_equal(zarr.open_array("x.zarr")[:], OLD)
    convert("new.npy", "x.zarr", overwrite=True)
    assert_array_equal(zarr.open_array("x.zarr")[:], NEW)
    assert sorted(os.listdir()) == ["new.npy", "x.zarr"]


def test_ctrl_c_waits_for_what_is_written(folder, monkeypatch):
    """Threads of Zarr go on after an interrupt, and would put back what is removed."""
    monkeypatch.setattr(converting, "CHUNK_BYTES", 10 * 4 * 8)
    real, written = zarr.Array.append, []

    def append(self, rows):
        signal.raise_signal(signal.SIGINT)
        written.append(real(self, rows))

    monkeypatch.setattr(zarr.Array, "append", append)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        convert("new.npy", "x.zarr")
    signal.signal(signal.SIGINT, before)
    assert len(written) == 1
    assert os.listdir() == ["new.npy"]
