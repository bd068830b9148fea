"""Checkpoints: the whole state of a fit between two iterations, and what fit it belongs to."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data import npz_io
from dask_igtm.data.column_names import different_names
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.user_warnings import warn
from dask_igtm.data.whole_outputs import Path, check_writable
from dask_igtm.fitting.checkpoint_file import CheckpointFile
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.unchanged import Seen
from dask_igtm.model.affine import Affine
from dask_igtm.model.arrays import digest
from dask_igtm.model.stored import Arrays
from dask_igtm.solvers.em import State
from dask_igtm.statistics.moments import ColumnMoments

logger = logging.getLogger("dask_igtm")

Fingerprint = dict[str, Any]

NAMES = "columns"  # of the fingerprint, where the columns have some
BY_ROUNDING = {"kernel", "moments"}  # differ from one machine to another in a fit that is the same
OLDER = {"noise": "isotropic"}  # what files are of that do not say
SAME_AXES = 1e-6  # largest difference between entries of axes that are the same


def fingerprint(
    rows: RowBlocks, settings: Settings, names: Sequence[str] | None, *, drawn: bool
) -> Fingerprint:
    """Name what decides the bits of a fit, beside the values of X: `drawn` says whether the seed does."""
    chosen = {name: value for name, value in dataclasses.asdict(settings).items() if name != "niter"}
    if not drawn:
        del chosen["seed"]
    empty = {"keep_empty_rows": rows.skip_empty or None}  # as in older files, which lack it
    return {**rows.layout, **chosen, **empty, **({} if names is None else {NAMES: list(names)})}


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit in a file, which is read once.

    Attributes
    ----------
    file : CheckpointFile
    fingerprint : dict of str to JSON values
        All that decides the bits of the fit.
    found : tuple of dict and dict, or None
        Fingerprint and arrays in the file as it was opened; None where there was none.
    known : dict of str to ndarray
        What stands beside the state in the file: what another machine knows the fit by.
    """

    file: CheckpointFile
    fingerprint: Fingerprint
    found: tuple[Fingerprint, Arrays] | None
    known: Arrays = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, fingerprint: Fingerprint) -> Self:
        """Read the file, if there is one.

        Raises
        ------
        ValueError
            If the file is no checkpoint, is damaged, or belongs to another fit.
        OSError
            If what is there cannot be read or is no file, or none could be written.
        """
        check_writable(path)
        file = CheckpointFile(path, npz_io.CHECKPOINT)
        opened = cls(file, fingerprint, _read(file))
        opened.refuse_other_than(BY_ROUNDING)
        return opened

    def of(self, moments: ColumnMoments, seen: Seen, affine: Affine) -> Self:
        """Return the checkpoint of a fit to data with these moments; raise ValueError if it had others.

        Moments that differ by rounding are those of another machine. A file that a fit at the same time has
        put there since is read now; one that it has written since is its own.
        """
        if self.found:
            self.file.check()
        now = dataclasses.replace(self, found=self.found or _read(self.file))
        now = now.knowing(moments, seen, affine)
        if now.other():
            warn(another_machine(self.file.path))
        return now

    def knowing(self, moments: ColumnMoments, seen: Seen, affine: Affine) -> Self:
        """Return the same with what the first pass tells; raise ValueError if the file's was another."""
        named = vars(moments).items()
        arrays = {name: np.asarray(value) for name, value in named if name != "n_rows"}  # as files of 0.1 do
        now = dataclasses.replace(
            self,
            fingerprint=self.fingerprint | {"moments": digest(arrays)},
            known=seen.pack() if affine.axes is None else seen.pack() | {"axes": affine.axes},
        )
        if now.found is None:
            return now
        with npz_io.understood(self.file.path):
            before = Seen.unpack(now.found[1], len(seen.mean))
        differs = "of which the file tells no more" if before is None else before.differs(seen)
        now.refuse_other_than({"kernel"} if differs else BY_ROUNDING, differs)
        return now

    def resume(self, start: State) -> State:
        """Return the saved state, or else save `start`, which lends what all states of a fit share."""
        if self.found is None:
            self.write(start)
            return start
        with npz_io.understood(self.file.path):
            state = start.unpack(self.found[1])
        logger.info("going on after iteration %d of checkpoint %s", len(state.history), self.file)
        return state

    def write(self, state: State) -> None:
        """Replace the file by one of `state`; raise AnotherWriterError if another fit writes there."""
        arrays = {**state.pack(), **self.known}
        self.file.write({"fingerprint": self.fingerprint}, arrays)

    def remedy(self, state: State) -> str:
        """Say where the work done is, and how to go on."""
        return (
            f"The {len(state.history)} iterations done are in the checkpoint {self.file}; call "
            "fit again with it to go on."
        )

    def other(self) -> dict[str, str]:
        """Say what of the fingerprint differs from the file's."""
        found, arrays = self.found or (self.fingerprint, {})
        saved = {name: found.get(name, OLDER.get(name)) for name in self.fingerprint}
        other = {
            name: f"{name} was {saved[name]!r} and is {value!r}"
            for name, value in self.fingerprint.items()
            if name != NAMES and saved[name] != value
        }
        saved_names, names = saved.get(NAMES), self.fingerprint.get(NAMES)
        if saved_names is not None and names is not None and saved_names != names:
            other[NAMES] = different_names(saved_names, names)
        before, now = arrays.get("axes"), self.known.get("axes")
        # Axes of equal variance are whatever rounding makes of them.
        if before is not None and now is not None and not _same_axes(before, now):
            other["axes"] = "principal axes of nearly equal variance were turned otherwise"
        return other

    def refuse_other_than(self, known: Collection[str], details: str = "") -> None:
        """Raise ValueError if anything differs but what may; `details` are of the moments."""
        other = self.other()
        if set(other) <= set(known):
            return
        if details and "moments" in other:
            other["moments"] += f" ({details})"
        raise ValueError(
            f"The checkpoint {self.file} belongs to another fit: {'; '.join(other.values())}. Give "
            "the same data and settings to go on from it, or another path to start anew."
        )


def another_machine(path: Path) -> str:
    """Say that a checkpoint was written elsewhere."""
    return (
        f"The checkpoint {str(path)!r} comes from another machine, or from before its packages changed: the "
        "data and settings are the same but for rounding. The fit goes on, and its bits may differ from "
        "those of a fit on one machine."
    )


def _read(file: CheckpointFile) -> tuple[Fingerprint, Arrays] | None:
    read = file.read()
    if read is None:
        return None
    header, arrays = read
    with npz_io.understood(file.path):
        return checked(header["fingerprint"]), arrays


def checked(fingerprint: Any) -> Fingerprint:
    """Return a fingerprint of a file; raise ValueError if it is none."""
    names = fingerprint.get(NAMES) or []
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{NAMES} of the fingerprint are no names")
    return dict(fingerprint)


def _same_axes(before: NDArray[Any], now: NDArray[Any]) -> bool:
    return before.shape == now.shape and bool(np.abs(before - now).max() <= SAME_AXES)
