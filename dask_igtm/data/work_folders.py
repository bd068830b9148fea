"""Folders in which outputs are made, each beside the place where one is to come.

A run makes one for itself and holds a lock in it, which the system lets go when the process ends, however it
ends. So a later run knows what is left of one that was killed on this machine, and clears it. Of other
machines it knows nothing, and leaves theirs alone.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from typing import IO

from dask_igtm.data.disks import naming_full_disk
from dask_igtm.data.file_lock import hold
from dask_igtm.data.interrupts import uninterrupted

logger = logging.getLogger("dask_igtm")

HERE = uuid.uuid5(uuid.NAMESPACE_DNS, socket.gethostname()).hex[:8]  # in the names of folders made here
NEW, LOCK = "new", "lock"  # in a folder: what is made, and who makes it
OLD = ".old"  # how the name of what it replaces ends
TRIES = 5  # to remove a folder into which a thread may still write


@contextlib.contextmanager
def work_folder(name: str) -> Iterator[str]:
    """Yield a path for what is to come to `name`, in a new folder beside it, which is removed in the end.

    What killed runs with the same aim have left is cleared before. Errors tell of `name`, not of the folder.
    """
    clear_left(name)
    try:
        with naming_full_disk(name), contextlib.ExitStack() as stack:
            with uninterrupted():
                folder, held = _made(name)
                stack.callback(_settle, folder, name, held)
            yield os.path.join(folder, NEW)
    except OSError as error:
        if str(error.filename).startswith(_of_this_machine(name)):
            error.filename = name
        raise


def clear_left(name: str) -> None:
    """Remove the folders of runs that were killed on this machine before something of theirs came to `name`.

    What one of them was about to replace comes back, where nothing has taken its place.
    """
    for folder in glob.glob(f"{glob.escape(_of_this_machine(name))}*.part"):
        with contextlib.suppress(BlockingIOError):  # it is in use
            held = hold(os.path.join(folder, LOCK))
            if held is None:  # and may be in use
                continue
            logger.info("clearing %r, which a run has left that was killed", folder)
            _settle(folder, name, held)


def _of_this_machine(name: str) -> str:
    """Return how paths of the folders begin that are made here for `name`, hidden from readers of tables."""
    return os.path.join(os.path.dirname(name), f".{os.path.basename(name)}.{HERE}-")


def _made(name: str) -> tuple[str, IO[str] | None]:
    """Return a new folder and what holds it, None where nothing can be held."""
    while True:
        folder = f"{_of_this_machine(name)}{uuid.uuid4().hex[:12]}.part"
        os.mkdir(folder)
        with contextlib.suppress(BlockingIOError):
            held = hold(os.path.join(folder, LOCK))
            if os.path.isdir(folder):
                return folder, held
        # Another run has taken it for left.


def _settle(folder: str, name: str, held: IO[str] | None) -> None:
    """Remove a folder; what it was about to replace comes back, where nothing has taken its place."""
    old = os.path.join(folder, NEW + OLD)
    with uninterrupted():
        try:
            if os.path.lexists(old) and not os.path.lexists(name):
                os.rename(old, name)
            _remove(folder)
        except OSError:
            logger.warning("what was at %r is whole at %r; it could not be put back", name, old)
        finally:
            if held:
                held.close()


def _remove(folder: str) -> None:
    for name in (NEW, LOCK):  # files without a descriptor, of which there may be none left
        with contextlib.suppress(OSError):
            os.remove(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
        if not os.path.lexists(folder):
            return
        time.sleep(0.02)
    logger.warning("%r could not be removed; remove it yourself", folder)
