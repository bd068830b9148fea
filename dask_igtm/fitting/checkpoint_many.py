"""A checkpoint of many fits that advance side by side: the state of each between two passes, in one file."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from dask_igtm.data import npz_io
from dask_igtm.data.user_warnings import warn
from dask_igtm.data.whole_outputs import Path, check_writable
from dask_igtm.fitting.checkpoint import BY_ROUNDING, Checkpoint, Fingerprint, another_machine, checked
from dask_igtm.fitting.checkpoint_file import CheckpointFile
from dask_igtm.fitting.unchanged import Seen
from dask_igtm.model.affine import Affine
from dask_igtm.model.stored import Arrays
from dask_igtm.solvers.em import State
from dask_igtm.statistics.moments import ColumnMoments

logger = logging.getLogger("dask_igtm")


@dataclass(frozen=True)
class CheckpointMany:
    """The states of many fits in a file, which is read once.

    Attributes
    ----------
    file : CheckpointFile
    names : tuple of str
        Of the fits, for messages; those of one candidate are alike.
    each : tuple of Checkpoint
        What a checkpoint of each fit would be.
    given : path or URL, optional
        What to call again with, where that is another path.
    """

    file: CheckpointFile
    names: tuple[str, ...]
    each: tuple[Checkpoint, ...]
    given: Path | None = None

    @classmethod
    def open(cls, path: Path, fits: Sequence[tuple[str, Fingerprint]]) -> Self:
        """Read the file, if there is one, for fits with these names and fingerprints.

        Raises
        ------
        ValueError
            If the file is no checkpoint of many fits, is damaged, or belongs to others.
        OSError
            If what is there cannot be read or is no file, or none could be written.
        """
        check_writable(path)
        file = CheckpointFile(path, npz_io.MANY)
        each = tuple(Checkpoint(file, fingerprint, None) for _, fingerprint in fits)
        opened = cls(file, tuple(name for name, _ in fits), each)._with_file()
        for name, one in opened._named():
            with _noting(name):
                one.refuse_other_than(BY_ROUNDING)
        return opened

    def of(self, moments: Sequence[ColumnMoments], seen: Sequence[Seen], affines: Sequence[Affine]) -> Self:
        """Return the same for rows that the first pass has seen, each fit's own; see `Checkpoint.of`."""
        if self._found:
            self.file.check()
        now = self if self._found else self._with_file()
        each = []
        for (name, one), *told in zip(now._named(), moments, seen, affines, strict=True):
            with _noting(name):
                each.append(one.knowing(*told))  # type: ignore[arg-type]
        if any(one.other() for one in each):
            warn(another_machine(self.file.path))
        return dataclasses.replace(now, each=tuple(each))

    def resume(self, starts: Sequence[State]) -> list[State]:
        """Return the saved states, or else save `starts`, which lend what all states of a fit share."""
        if not self._found:
            self.write(starts)
            return list(starts)
        with npz_io.understood(self.file.path):
            states = [
                start.unpack(one.found[1]) if one.found else start
                for start, one in zip(starts, self.each, strict=True)
            ]
        n_passes = max(len(state.history) for state in states)
        logger.info("going on after pass %d of checkpoint %s", n_passes, self.file)
        return states

    def write(self, states: Sequence[State]) -> None:
        """Replace the file by one of `states`; raise AnotherWriterError if another fit writes there."""
        arrays = {
            f"{number}_{name}": array
            for number, (one, state) in enumerate(zip(self.each, states, strict=True))
            for name, array in {**state.pack(), **one.known}.items()
        }
        header = {"fits": list(self.names), "fingerprints": [one.fingerprint for one in self.each]}
        self.file.write(header, arrays)

    @property
    def remedy(self) -> str:
        """Say where the work done is, and how to go on."""
        given = "it" if self.given is None else repr(str(self.given))
        return f"What was done is in the checkpoint {self.file}; call again with {given} to go on."

    @property
    def _found(self) -> bool:
        return any(one.found for one in self.each)

    def _named(self) -> Iterator[tuple[str, Checkpoint]]:
        return zip(self.names, self.each, strict=True)

    def _with_file(self) -> Self:
        """Return the same with what is in the file now; raise ValueError if that is of other fits."""
        read = self.file.read()
        if read is None:
            return self
        header, arrays = read
        with npz_io.understood(self.file.path):
            saved = [str(name) for name in header["fits"]]
            found = list(zip(map(checked, header["fingerprints"]), _of_fits(arrays, len(saved)), strict=True))
        if saved != list(self.names):
            before, now = (", ".join(dict.fromkeys(names)) for names in (saved, self.names))
            raise ValueError(
                f"The checkpoint {self.file} belongs to other fits: there were {len(saved)} "
                f"({before}), and there are {len(self.names)} ({now}). Give the same to go on from it, or "
                "another path to start anew."
            )
        each = (dataclasses.replace(one, found=its) for one, its in zip(self.each, found, strict=True))
        return dataclasses.replace(self, each=tuple(each))


def _of_fits(arrays: Arrays, n_fits: int) -> list[Arrays]:
    """Return the arrays of each fit."""
    own: list[Arrays] = [{} for _ in range(n_fits)]
    for key, array in arrays.items():
        number, _, name = key.partition("_")
        own[int(number)][name] = array
    return own


@contextmanager
def _noting(name: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        error.add_note(f"This happened in the fit of {name}.")
        raise
