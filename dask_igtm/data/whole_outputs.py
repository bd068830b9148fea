"""Files that are either whole or not there, and what may be replaced by one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from typing import Any

import fsspec

from dask_igtm.data.disks import check_may_write
from dask_igtm.data.work_folders import work_folder

Path = str | os.PathLike[str]

LOCAL = ("file://", "local://")  # URLs of paths, which are better known by those
FILE, FOLDER = "a file", "a folder"
KINDS = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def is_url(path: Path) -> bool:
    """Whether `path` is a URL such as `s3://bucket/name`."""
    return "://" in os.fspath(path)


def without_secrets(path: str) -> str:
    """Return a path or URL without the password and the signature that a URL may have in it."""
    return re.sub(r"(?<=://)[^/]*@|\?.*", "", path) if "://" in path else path


def without_scheme(path: Path) -> str:
    """Return the path of a URL of a local file, and all else as it is."""
    name = os.fspath(path)
    return str(fsspec.core.strip_protocol(name)) if name.startswith(LOCAL) else name


def beside(path: Path, word: str) -> str:
    """Return the path of another file beside one, with `word` before the ending."""
    root, ending = os.path.splitext(os.fspath(path))
    return f"{root}.{word}{ending}"


def absolute(path: Path) -> str:
    """Return a path that means the same in other processes, as URLs do; without a slash at its end."""
    name = without_scheme(path)
    return name.rstrip("/") if is_url(name) else os.path.abspath(name)


def real(path: Path) -> str:
    """Return where something given a path comes to be: `absolute`, and to where symbolic links lead.

    Raises
    ------
    FileExistsError
        If these lead nowhere.
    """
    name = absolute(path)
    if is_url(name):
        return name
    found = os.path.realpath(name)
    if os.path.islink(found):
        raise FileExistsError(
            f"There is a symbolic link at {os.fspath(path)!r} that leads back to itself; give another path, "
            "or remove it."
        )
    return found


def check_kind(path: Path, *known: str) -> None:
    """Raise FileExistsError if what is at a path, or where links lead from there, is none of the known kinds.

    These are FILE and FOLDER, and nothing else is ever replaced. URLs have no other.
    """
    if is_url(real(path)):
        return
    try:
        mode = os.stat(absolute(path)).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    kind = KINDS.get(stat.S_IFMT(mode), "a device")
    if kind not in known:
        raise FileExistsError(
            f"There is {kind} at {os.fspath(path)!r}, which is not replaced; give another path, or remove it."
        )


def check_writable(path: Path) -> None:
    """Raise OSError if a file could not be written to `path`, or would replace something that is no file.

    URLs show that when written.
    """
    name = real(path)
    if is_url(name):
        return
    check_kind(path, FILE)
    folder = os.path.dirname(name)
    if not os.path.isdir(folder):
        raise FileNotFoundError(f"There is no folder {folder!r}; make it, or give another path.")
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
    files, name = fsspec.core.url_to_fs(absolute(path))
    if files.isdir(name) or (files.exists(name) and not overwrite):
        raise FileExistsError(
            f"There is something at {os.fspath(path)!r}; give another path, or overwrite=True (--overwrite) "
            "to replace a file."
        )


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is either whole or not there; one that exists is replaced, where a link leads too.

    Raises
    ------
    OSError
        As `check_writable` does, or if the disk is full.
    """
    name = real(path)
    if is_url(name):
        files, key = fsspec.core.url_to_fs(name)
        files.pipe_file(key, content)  # one request: an object appears whole
        return
    check_writable(path)
    with work_folder(name) as new:
        _write(new, content)
        check_kind(path, FILE)  # something else may have come there meanwhile
        os.replace(new, name)


@contextlib.contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[str]:
    """Yield the local path of a file to write, which then takes its place at `path`, whole.

    Raises
    ------
    OSError
        As `check_new_file` does, before and after it is written.
    """
    check_new_file(path, overwrite=overwrite)
    name = real(path)
    beside = os.path.join(tempfile.gettempdir(), os.path.basename(name)) if is_url(name) else name
    with work_folder(beside) as new:
        yield new
        files, key = fsspec.core.url_to_fs(name)
        files.invalidate_cache()
        with meanwhile(path):
            check_new_file(path, overwrite=overwrite)
        if is_url(name):
            files.put_file(new, key)  # an object appears whole
        else:
            os.replace(new, name)


@contextlib.contextmanager
def meanwhile(path: Path) -> Iterator[None]:
    """Say of what is not to be replaced that it was not there at first."""
    try:
        yield
    except FileExistsError as error:
        raise FileExistsError(f"Something has come to {os.fspath(path)!r} meanwhile. {error}") from None


def create_whole(path: Path, content: bytes) -> None:
    """Write a file, whole, where none is; no other writer may give the same content.

    Of several that try at once, one succeeds: on disks, and in object stores that can be asked for it, as
    fsspec can ask S3. In others the last one does, if they are so close that none sees another's.

    Raises
    ------
    FileExistsError
        If something is there.
    """
    name = real(path)
    if is_url(name):
        files, key = fsspec.core.url_to_fs(name)
        _create_object(files, key, content)
        return
    with work_folder(name) as new:
        _write(new, content)
        try:
            os.link(new, name)  # which replaces nothing, other than a rename
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with open(name, "xb") as file:
                file.write(content)


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
