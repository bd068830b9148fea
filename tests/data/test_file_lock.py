"""One at a time has a file, and the lock ends with its process."""

import os
import signal
import subprocess
import sys

import pytest

from dask_igtm.data import file_lock
from dask_igtm.data.file_lock import locked

HOLDS = """
import sys, time
from dask_igtm.data.file_lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_at_a_time_and_nothing_is_left(tmp_path):
    path = str(tmp_path / "a")
    with locked(path):
        assert os.listdir(tmp_path) == ["a.lock"]
        with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on "), locked(path):
            pass
    assert os.listdir(tmp_path) == []
    with locked(path):
        pass


def test_a_killed_process_holds_nobody_back(tmp_path):
    path = str(tmp_path / "a")
    process = subprocess.Popen([sys.executable, "-c", HOLDS, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGSTOP)
    with pytest.raises(BlockingIOError, match=f"process {process.pid} "), locked(path):
        pass
    process.kill()
    process.communicate()
    assert os.listdir(tmp_path) == ["a.lock"]
    with locked(path):
        assert f"process {os.getpid()} " in (tmp_path / "a.lock").read_text()
    assert os.listdir(tmp_path) == []


def test_a_lock_that_is_removed_before_it_is_taken_is_made_anew(tmp_path, monkeypatch):
    path, flock, removed = str(tmp_path / "a"), file_lock.fcntl.flock, []

    def late(*args):
        if not removed:
            os.remove(f"{path}.lock")  # as whoever held it does
            removed.append(path)
        flock(*args)

    monkeypatch.setattr(file_lock.fcntl, "flock", late)
    with locked(path), pytest.raises(BlockingIOError), locked(path):
        pass


def test_what_is_there_by_that_name_stays(tmp_path):
    (tmp_path / "a.lock").write_bytes(b"mine \xff")
    (tmp_path / "b.lock").mkdir()
    os.mkfifo(tmp_path / "c.lock")
    with locked(f"{tmp_path}/a"), locked(f"{tmp_path}/b"), locked(f"{tmp_path}/c"):
        pass
    assert sorted(os.listdir(tmp_path)) == ["a.lock", "b.lock", "c.lock"]
    assert (tmp_path / "a.lock").read_bytes() == b"mine \xff"


def test_a_full_disk_can_be_locked(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with (
        locked(f"{tmp_path}/a"),
        pytest.raises(BlockingIOError, match="another process"),
        locked(f"{tmp_path}/a"),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_nothing_is_locked_where_nothing_can_be(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError("no locks")

    with locked(f"{tmp_path}/no folder/a"):
        pass
    monkeypatch.setattr(file_lock.fcntl, "flock", unsupported)
    with locked(f"{tmp_path}/a"), locked(f"{tmp_path}/a"):
        pass
    assert os.listdir(tmp_path) == []
