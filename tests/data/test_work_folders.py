"""What killed runs leave is found and cleared, and what belongs to anybody else is not."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from dask_igtm.data.work_folders import HERE, NEW, OLD, clear_left, work_folder

WORKING = """
import os, sys
from dask_igtm.data.work_folders import work_folder
with work_folder(sys.argv[1]) as new:
    os.mkdir(new)
    print(new, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def name(tmp_path):
    return str(tmp_path / "x.zarr")


@pytest.fixture
def another(name):
    """A process that works on the same output, and where it does."""
    command = [sys.executable, "-c", WORKING, name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, os.path.dirname(process.stdout.readline().strip())
        process.kill()


def test_nothing_is_left_of_what_ends_or_fails(name, tmp_path):
    with work_folder(name) as new:
        os.rename(_folder(new), name)
    with pytest.raises(FileExistsError), work_folder(name) as new:
        _folder(_folder(new))
    assert os.listdir(tmp_path) == ["x.zarr"]


def _folder(path):
    os.mkdir(path)
    return path


def test_what_a_killed_run_left_is_cleared_and_what_a_living_one_has_is_not(name, another, tmp_path):
    process, folder = another
    clear_left(name)
    clear_left(str(tmp_path / "x"))
    assert os.path.isdir(folder)
    process.send_signal(signal.SIGKILL)
    process.wait()
    clear_left(str(tmp_path / "other.zarr"))
    assert os.path.isdir(folder)
    with work_folder(name):
        assert not os.path.exists(folder)


def test_what_another_machine_left_is_left_alone(name, tmp_path):
    theirs = tmp_path / ".x.zarr.01234567-0123456789ab.part"
    assert not theirs.name.startswith(f".x.zarr.{HERE}")
    theirs.mkdir()
    clear_left(name)
    assert theirs.is_dir()


@pytest.mark.parametrize("there", [False, True])
def test_what_was_about_to_be_replaced_comes_back(name, another, there):
    process, folder = another
    with open(os.path.join(folder, NEW + OLD), "w") as file:
        file.write("old")
    if there:
        with open(name, "w") as file:
            file.write("new")
    process.kill()
    process.wait()
    clear_left(name)
    with open(name) as file:
        assert file.read() == ("new" if there else "old")
    assert not os.path.exists(folder)


def test_errors_tell_of_the_output_alone(tmp_path):
    missing = str(tmp_path / "none" / "x.zarr")
    with pytest.raises(FileNotFoundError) as caught, work_folder(missing):
        pass
    assert caught.value.filename == missing


def test_ctrl_c_while_it_is_removed_leaves_nothing(name, tmp_path, monkeypatch):
    def interrupted(folder):
        signal.raise_signal(signal.SIGINT)
        remove(folder)

    remove = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), work_folder(name) as new:
        _folder(new)
    monkeypatch.undo()
    signal.signal(signal.SIGINT, before)
    assert os.listdir(tmp_path) == []


def test_a_place_without_locks(name, tmp_path, monkeypatch):
    import fcntl  # noqa: PLC0415 - of the test alone

    def unknown(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unknown)
    with work_folder(name) as new:
        _folder(new)
        clear_left(name)  # nobody can know that this is left
        assert os.path.isdir(new)
    assert os.listdir(tmp_path) == []
