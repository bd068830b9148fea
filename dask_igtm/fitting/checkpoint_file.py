"""The file of a checkpoint, which one fit at a time writes."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

from dask_igtm.data import npz_io
from dask_igtm.data.file_lock import locked
from dask_igtm.data.whole_outputs import Path, is_url, real
from dask_igtm.model.stored import Arrays

WRITTEN = "written"  # of the header: an id that is new each time


class AnotherWriterError(ValueError):
    """Another fit writes to the checkpoint."""


@contextlib.contextmanager
def sole_writer(path: Path | None) -> Iterator[None]:
    """Keep other fits of this machine from a checkpoint, if there is one, before they do any work.

    Raises
    ------
    AnotherWriterError
        If one of them has it.
    """
    with contextlib.ExitStack() as stack:
        try:
            if path is not None and not is_url(real(path)):
                stack.enter_context(locked(real(path)))
        except BlockingIOError as error:
            raise AnotherWriterError(
                f"Another fit writes to the checkpoint {str(path)!r}: that of {error}. Let it "
                "end, or end it, and call again to go on from there; or give each fit a path of its own."
            ) from None
        yield


class CheckpointFile:
    """A file that is replaced only where nobody else has written it since it was read or written here.

    `sole_writer` keeps other fits away where it can. This is for where it cannot: object stores, and disks
    that several machines share. Of two fits that write at once one goes on: the last to write finds its own.

    Parameters
    ----------
    path : path or URL
    kind : {CHECKPOINT, MANY}
        Of `npz_io`.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self._kind = kind
        self._last: str | None = None  # id of what was read or written last

    def __str__(self) -> str:
        return repr(str(self.path))

    def read(self) -> tuple[dict[str, Any], Arrays] | None:
        """Return header and arrays, None where there is no file."""
        try:
            header, arrays = npz_io.read(self.path, self._kind)
        except FileNotFoundError:
            return None
        self._last = header.get(WRITTEN)
        return header, arrays

    def write(self, header: dict[str, Any], arrays: Arrays) -> None:
        """Replace the file; raise as `check` does."""
        self.check()
        written = uuid.uuid4().hex
        npz_io.write(self.path, self._kind, {**header, WRITTEN: written}, arrays)
        self._last = written

    def check(self) -> None:
        """Raise AnotherWriterError if another has written the file since it was read or written here."""
        with contextlib.suppress(FileNotFoundError):
            if npz_io.read_header(self.path, self._kind).get(WRITTEN) != self._last:
                raise AnotherWriterError(
                    f"Another fit has written to the checkpoint {self} meanwhile, and this one stops. Let "
                    "the other end, and call again to go on from there; or give each fit a path of its own."
                )
