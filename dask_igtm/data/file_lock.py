"""Locks on files of a disk, which end with the process that holds them, however that dies."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import IO

from dask_igtm.data.interrupts import uninterrupted

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

MARK = "dask_igtm, "  # with which the text of a lock begins


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one at a time, of the threads and processes of a machine, have a path to write to.

    The lock is the system's, on a file `<name>.lock` that is removed in the end; one that a killed process
    has left holds nobody back. Nothing is locked where `hold` cannot.

    Raises
    ------
    BlockingIOError
        If another has it; the message says who.
    """
    lock = f"{name}.lock"
    with contextlib.ExitStack() as stack:
        with uninterrupted():
            held = hold(lock)
            if held:
                stack.callback(held.close)
                stack.callback(_remove, lock)  # while it is held, so that it is nobody else's
        yield


def hold(lock: str) -> IO[str] | None:
    """Return a file, made where none is, that nobody else holds until it is closed.

    None where there can be no such: in folders that cannot be written to, on file systems without locks,
    under Windows, and where something else has that name.

    Raises
    ------
    BlockingIOError
        If another has it; the message says who.
    """
    while fcntl:
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
    return None


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
