"""Checkpoints: the whole state of a fit between two iterations, and what fit it belongs to."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dask_igtm.data import npz_io
from dask_igtm.data.whole_outputs import Path, check_writable
from dask_igtm.model.arrays import Arrays, digest
from dask_igtm.solvers.em import State
from dask_igtm.statistics.moments import Moments

logger = logging.getLogger("dask_igtm")

Fingerprint = dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit in a file, which is read once.

    Attributes
    ----------
    path : path or URL
    fingerprint : dict of str to JSON values
        All that decides the bits of the fit.
    found : tuple of dict and dict, or None
        Fingerprint and state in the file as it was opened; None where there was none.
    """

    path: Path
    fingerprint: Fingerprint
    found: tuple[Fingerprint, Arrays] | None

    @classmethod
    def open(cls, path: Path, fingerprint: Fingerprint) -> Self:
        """Read the file, if there is one.

        Raises
        ------
        ValueError
            If the file is no checkpoint, is damaged, or belongs to another fit.
        OSError
            If there is none, and none could be written.
        """
        try:
            header, arrays = npz_io.read(path, npz_io.CHECKPOINT)
        except FileNotFoundError:
            check_writable(path)
            return cls(path, fingerprint, None)
        return cls(path, fingerprint, (header["fingerprint"], arrays))._checked()

    def of(self, moments: Moments) -> Self:
        """Return the checkpoint of a fit to data with these moments; raise ValueError if it had others."""
        named = vars(moments).items()
        arrays = {
            name: np.asarray(value) for name, value in named if name != "n_rows"
        }  # newer than files of 0.1
        fingerprint = self.fingerprint | {"moments": digest(arrays)}
        return dataclasses.replace(self, fingerprint=fingerprint)._checked()

    def resume(self, start: State) -> State:
        """Return the saved state, or else save `start`, whose model lends what all models of a fit share."""
        if self.found is None:
            self.write(start)
            return start
        state = start.unpack(self.found[1], start.model)
        logger.info("going on after iteration %d of checkpoint %s", len(state.history), self.path)
        return state

    def write(self, state: State) -> None:
        """Replace the file by one of `state`."""
        npz_io.write(self.path, npz_io.CHECKPOINT, {"fingerprint": self.fingerprint}, state.pack())

    def remedy(self, state: State) -> str:
        """Say where the work done is, and how to go on."""
        return (
            f"The {len(state.history)} iterations done are in the checkpoint {str(self.path)!r}; call fit "
            "again with it to go on."
        )

    def _checked(self) -> Self:
        if self.found is None:
            return self
        saved = self.found[0]
        other = [
            f"{name} was {saved.get(name)!r} and is {value!r}"
            for name, value in self.fingerprint.items()
            if saved.get(name) != value
        ]
        if other:
            raise ValueError(
                f"The checkpoint {str(self.path)!r} belongs to another fit: {'; '.join(other)}. Give the "
                "same data and settings to go on from it, or another path to start anew."
            )
        return self
