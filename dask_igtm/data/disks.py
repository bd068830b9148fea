"""Disks that cannot be written to, or are full: who says so, and in what words."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator

REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OTHER_THING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)  # is there, if any, than a file
MORE_ROOM = "Make room there, or give another path."


def check_may_write(folder: str) -> None:
    """Raise OSError if nothing can be made in a folder, by trying: of some disks rights do not tell it."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        if error.errno not in REFUSED:
            error.filename = folder
            raise
        raise PermissionError(
            f"Folder {folder!r} cannot be written to ({error.strerror}); give another path."
        ) from None


@contextlib.contextmanager
def naming_full_disk(place: str) -> Iterator[None]:
    """Let an error of a full disk, which mostly names nothing, tell what was to be written there."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL and MORE_ROOM not in getattr(error, "__notes__", ()):
            error.filename = place
            error.add_note(MORE_ROOM)
        raise
