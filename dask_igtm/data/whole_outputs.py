"""Outputs that are either whole or not there."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import tempfile
import uuid
from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from dask_igtm.data.disks import check_may_write, naming_full_disk

logger = logging.getLogger("dask_igtm")

Path = str | os.PathLike[str]

LOCAL = ("file://", "local://")  # URLs of paths, which are better known by those


def is_url(path: Path) -> bool:
    """Whether `path` is a URL such as `s3://bucket/name`."""
    return "://" in os.fspath(path)


def absolute(path: Path) -> str:
    """Return a path that means the same in other processes, as URLs do; without a slash at its end."""
    name = os.fspath(path)
    if is_url(name) and not name.startswith(LOCAL):
        return name.rstrip("/")
    return os.path.abspath(fsspec.core.strip_protocol(name) if is_url(name) else name)


def check_writable(path: Path) -> None:
    """Raise OSError if a file could not be written to a local `path`; URLs show that when written."""
    folder = "." if is_url(path) else os.path.dirname(os.path.abspath(os.fspath(path)))
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder!r}; make it, or give another path.")
    if not is_url(path):
        check_may_write(folder)


def check_folder(path: Path) -> None:
    """Raise OSError if nothing could be written to a local folder, or to the one where it would be made."""
    folder = absolute(path)
    if is_url(folder):
        return  # which show that when written
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    check_may_write(folder)


def check_new_file(path: Path, *, overwrite: bool) -> None:
    """Raise OSError, before any work is done, if a file could not be written, or is not to be replaced."""
    check_writable(path)
    files, name = fsspec.core.url_to_fs(path)
    if files.isdir(name) or (files.exists(name) and not overwrite):
        raise FileExistsError(
            f"There is something at {str(path)!r}; give another path, or overwrite=True (--overwrite) to "
            "replace a file."
        )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there; one that exists is replaced.

    Raises
    ------
    OSError
        As `check_writable` does, or if the disk is full.
    """
    files, name = fsspec.core.url_to_fs(absolute(path))
    if not isinstance(files, LocalFileSystem):
        files.pipe_file(name, content)  # one request: an object appears whole
        return
    check_writable(name)
    with naming_full_disk(name), _or_nothing(files, f"{name}.{uuid.uuid4().hex}.part") as partial:
        _write(partial, content)
        os.replace(partial, name)


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[str]:
    """Yield the local path of a file to write, which then takes its place at `path`, whole.

    Raises
    ------
    FileExistsError
        If something has come there meanwhile that is not to be replaced.
    """
    files, name = fsspec.core.url_to_fs(absolute(path))
    local = isinstance(files, LocalFileSystem)
    folder = os.path.dirname(name) if local else tempfile.gettempdir()
    disk, part = LocalFileSystem(), os.path.join(folder, f"{os.path.basename(name)}.{uuid.uuid4().hex}.part")
    with naming_full_disk(name if local else folder), _or_nothing(disk, part) as partial:
        yield partial
        files.invalidate_cache()
        if files.exists(name) and not overwrite:
            raise FileExistsError(f"Something has come to {str(path)!r} meanwhile; give another path.")
        if local:
            os.replace(partial, name)
        else:
            files.put_file(partial, name)  # an object appears whole
            disk.rm_file(partial)


def create_whole(path: Path, content: bytes) -> None:
    """Write a file, whole, where none is; no other writer may give the same content.

    Of several that try at once, one succeeds: on disks, and in object stores that can be asked for it, as
    fsspec can ask S3. In others the last one does, if they are so close that none sees another's.

    Raises
    ------
    FileExistsError
        If something is there.
    """
    files, name = fsspec.core.url_to_fs(absolute(path))
    if not isinstance(files, LocalFileSystem):
        _create_object(files, name, content)
        return
    with naming_full_disk(name), _or_nothing(files, f"{name}.{uuid.uuid4().hex}.part") as partial:
        _write(partial, content)
        try:
            os.link(partial, name)  # which replaces nothing, other than a rename
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with open(name, "xb") as file:
                file.write(content)
        os.remove(partial)


def _write(name: str, content: bytes) -> None:
    with open(name, "xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _create_object(files: Any, name: str, content: bytes) -> None:
    try:
        files.pipe_file(name, content, mode="create")
    except Exception as error:
        files.invalidate_cache()
        if not files.exists(name):
            if getattr(error, "errno", errno.ENOSYS) != errno.ENOSYS:
                raise
            files.pipe_file(name, content)  # a store that cannot be asked to replace nothing
        if files.cat_file(name) != content:  # which may be there, and its receipt be lost
            raise FileExistsError(f"There is something at {name!r}.") from None


@contextlib.contextmanager
def whole_zarr(target: Path, *, overwrite: bool) -> Iterator[str]:
    """Yield a path to write a Zarr array or group to, which then takes the place of what is at `target`.

    Where writing or moving fails, what was at `target` stays or comes back.

    Raises
    ------
    FileExistsError
        If something is at `target`, or has come there meanwhile, that is not to be replaced.
    """
    files, name = fsspec.core.url_to_fs(os.fspath(target))
    name = name.rstrip("/")
    with naming_full_disk(name), _or_nothing(files, f"{name}.{uuid.uuid4().hex}.part") as partial:
        yield files.unstrip_protocol(partial) if is_url(target) else partial
        with _alone_at(files, name):
            files.invalidate_cache()
            if not files.exists(name):
                _move(files, partial, name)
            elif overwrite:
                _replace(files, partial, name)
            else:
                raise FileExistsError(f"Something has come to {str(target)!r} meanwhile; give another path.")
    files.invalidate_cache()


@contextlib.contextmanager
def _alone_at(files: Any, name: str) -> Iterator[None]:
    """Let one process at a time move something to a place; the others get FileExistsError."""
    lock = f"{name}.lock"
    try:
        create_whole(files.unstrip_protocol(lock), uuid.uuid4().bytes)
    except FileExistsError:
        raise FileExistsError(
            f"Another process is about to put something at {name!r}, as {lock!r} says; let it end, or remove "
            "that file if it was killed."
        ) from None
    try:
        yield
    finally:
        try:
            files.rm_file(lock)
        except OSError:
            logger.warning("%s could not be removed; remove it before something is to be put there", lock)


@contextlib.contextmanager
def _or_nothing(files: Any, name: str) -> Iterator[str]:
    """Remove what has come to be under this name if anything fails."""
    try:
        yield name
    except BaseException:
        if files.exists(name):
            files.rm(name, recursive=True)
        raise


def _replace(files: Any, new: str, name: str) -> None:
    """Move an array or group to the place of another, of which a whole copy is there until the new one is."""
    old = f"{new}.old"
    if not isinstance(files, LocalFileSystem):
        with _or_nothing(files, old):
            files.copy(name, old, recursive=True)
    try:
        if isinstance(files, LocalFileSystem):
            os.rename(name, old)
        else:
            files.rm(name, recursive=True)
        _move(files, new, name)
    except BaseException as error:
        if files.exists(old):
            _put_back(files, old, name, error)
        raise
    try:
        files.rm(old, recursive=True)
    except OSError:
        logger.warning("what was at %s is replaced, and could not be removed from %s", name, old)


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
