"""Zarr arrays and groups that are either whole or not there, and folders that go away at once."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_igtm.data.file_lock import locked
from dask_igtm.data.interrupts import uninterrupted
from dask_igtm.data.whole_outputs import Path, check_folder, create_whole, is_url, meanwhile, real
from dask_igtm.data.work_folders import OLD, work_folder

logger = logging.getLogger("dask_igtm")


@contextlib.contextmanager
def whole_zarr(target: Path, check: Callable[[], None]) -> Iterator[str]:
    """Yield a path to write a Zarr array or group to, which then takes the place of what is at `target`.

    Where writing or moving fails, what was at `target` stays or comes back. Where that is a symbolic link, it
    stays, and what it leads to is replaced.

    Parameters
    ----------
    target : path or URL
    check : callable
        Raises FileExistsError if something is at `target` that is not to be replaced.

    Raises
    ------
    FileExistsError
        If something has come there meanwhile that is not to be replaced, or another process puts something
        there.
    """
    files, name = fsspec.core.url_to_fs(real(target))
    with _made_for(files, name) as new:
        check()  # before anything is written, and after it, for something may have come meanwhile
        yield files.unstrip_protocol(new) if is_url(real(target)) else new
        with _alone_at(files, name):
            files.invalidate_cache()
            with meanwhile(target):
                check()
            if files.exists(name):
                _replace(files, new, name)
            else:
                _move(files, new, name)
    files.invalidate_cache()


def remove_whole(path: Path) -> None:
    """Remove a folder, or what a link leads to; on a disk all that is in it is gone at once."""
    name = real(path)
    if is_url(name):
        files, key = fsspec.core.url_to_fs(name)
        files.rm(key, recursive=True)
        return
    with work_folder(name) as aside:
        os.rename(name, aside)


@contextlib.contextmanager
def _made_for(files: Any, name: str) -> Iterator[str]:
    """Yield where to make what is to come to be under this name, of which nothing stays there."""
    if not isinstance(files, LocalFileSystem):
        with _or_nothing(files, f"{name}.{uuid.uuid4().hex}.part") as new:
            yield new
        return
    folder = os.path.dirname(name)
    check_folder(folder)
    os.makedirs(folder, exist_ok=True)
    with work_folder(name) as new:
        yield new


@contextlib.contextmanager
def _alone_at(files: Any, name: str) -> Iterator[None]:
    """Let one process at a time move something to a place; the others get FileExistsError."""
    if isinstance(files, LocalFileSystem):
        try:
            with locked(name), uninterrupted():
                yield
        except BlockingIOError:
            raise _taken(name, "let it end") from None
        return
    lock = f"{name}.lock"
    try:
        create_whole(files.unstrip_protocol(lock), uuid.uuid4().bytes)
    except FileExistsError:
        raise _taken(name, "let it end, or remove that file if it was killed") from None
    try:
        yield
    finally:
        try:
            files.rm_file(lock)
        except OSError:
            logger.warning("%r could not be removed; remove it before something is to be put there", lock)


def _taken(name: str, remedy: str) -> FileExistsError:
    return FileExistsError(
        f"Another process is about to put something at {name!r}, as {name + '.lock'!r} says; {remedy}."
    )


@contextlib.contextmanager
def _or_nothing(files: Any, name: str) -> Iterator[str]:
    """Remove what has come to be under this name if anything fails."""
    try:
        yield name
    except BaseException:
        with uninterrupted():
            if files.exists(name):
                files.rm(name, recursive=True)
        raise


def _replace(files: Any, new: str, name: str) -> None:
    """Move an array or group to the place of another, of which a whole copy is there until the new one is."""
    old, on_disk = new + OLD, isinstance(files, LocalFileSystem)
    if not on_disk:
        with _or_nothing(files, old):
            files.copy(name, old, recursive=True)
    try:
        if on_disk:
            os.rename(name, old)
        else:
            files.rm(name, recursive=True)
        _move(files, new, name)
    except BaseException as error:
        if files.exists(old):
            _put_back(files, old, name, error)
        raise
    if on_disk:  # where it goes with the folder that it is in
        return
    try:
        files.rm(old, recursive=True)
    except OSError:
        logger.warning("what was at %r is replaced, and could not be removed from %r", name, old)


def _put_back(files: Any, old: str, name: str, error: BaseException) -> None:
    try:
        if files.exists(name):
            files.rm(name, recursive=True)
        if isinstance(files, LocalFileSystem):
            os.rename(old, name)
        else:
            files.copy(old, name, recursive=True)
            files.rm(old, recursive=True)
    except Exception:  # noqa: BLE001 - file systems raise what they like
        error.add_note(f"What was at {name!r} is whole at {old!r}; it could not be put back.")


def _move(files: Any, new: str, name: str) -> None:
    """Move an array or group to where nothing is; of objects what is in it, and last what makes it one."""
    if isinstance(files, LocalFileSystem):
        os.rename(new, name)
        return
    with _or_nothing(files, name):
        for part in sorted(key.rpartition("/")[2] for key in files.ls(new, detail=False)):
            if part != "zarr.json":
                files.copy(f"{new}/{part}", f"{name}/{part}", recursive=True)
        files.copy(f"{new}/zarr.json", f"{name}/zarr.json")
        files.rm(new, recursive=True)
