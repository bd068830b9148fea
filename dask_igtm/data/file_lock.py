"""A lock beside a local file, which ends with the process that holds it, however that dies."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import IO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_igtm.data.whole_outputs import Path, absolute

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MARK = "dask_igtm, "  # with which the text of a lock begins


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let one at a time, of the threads and processes of a machine, have a file to write.

    The lock is the system's, on a file `<path>.lock` that is removed in the end; one that a killed process
    has left holds nobody back. Nothing is locked where nothing can be: under URLs, in folders that cannot be
    written to, and on file systems without locks.

    Raises
    ------
    BlockingIOError
        If another has it; the message says who.
    """
    files, name = fsspec.core.url_to_fs(absolute(path))
    lock = f"{name}.lock"
    held = _take(lock) if fcntl and isinstance(files, LocalFileSystem) else None
    if held is None:
        yield
        return
    with held:
        try:
            yield
        finally:
            _remove(lock)  # while it is held, so that it is nobody else's


def _take(lock: str) -> IO[str] | None:
    """Return a lock file that is held until it is closed, or None where there can be none."""
    while True:
        try:
            file = open(lock, "a+", errors="replace")  # noqa: SIM115 - whose end is not here
        except OSError:
            return None
        if _text(file) and not _text(file).startswith(MARK):  # somebody's own
            file.close()
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                raise BlockingIOError(_text(file).removeprefix(MARK) or "another process") from None
        except OSError:  # a file system without locks
            file.close()
            _remove(lock)
            return None
        if _is_at(file, lock):
            file.truncate(0)
            with contextlib.suppress(OSError):  # a full disk has no room for words
                os.write(file.fileno(), f"{MARK}process {os.getpid()} on {socket.gethostname()}".encode())
            return file
        file.close()  # whoever held it has removed it meanwhile


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read(200)


def _is_at(file: IO[str], name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(name))
    return False


def _remove(lock: str) -> None:
    with contextlib.suppress(OSError):
        os.remove(lock)
