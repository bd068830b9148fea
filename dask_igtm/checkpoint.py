"""Checkpoints: the whole state of a fit between two iterations, and what fit it belongs to."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm import accelerate, archive, em, evidence
from dask_igtm.model import Model
from dask_igtm.progress import State
from dask_igtm.statistics import Moments

logger = logging.getLogger("dask_igtm")

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The state of a fit in a file.

    Attributes
    ----------
    path : path or URL
    fingerprint : dict of str to JSON values
        All that decides the bits of the fit; `check` refuses to go on from a file with another one.
    """

    path: archive.Path
    fingerprint: dict[str, Any]

    def check(self) -> bool:
        """Return whether there is a file to go on from.

        Raises
        ------
        ValueError
            If the file is no checkpoint, is damaged, or belongs to another fit.
        OSError
            If there is none, and none could be written.
        """
        try:
            header, _ = archive.read(self.path, archive.CHECKPOINT)
        except FileNotFoundError:
            archive.check_writable(self.path)
            return False
        found = header["fingerprint"]
        other = [
            f"{name} was {found.get(name)!r} and is {value!r}"
            for name, value in self.fingerprint.items()
            if found.get(name) != value
        ]
        if other:
            raise ValueError(
                f"The checkpoint {str(self.path)!r} belongs to another fit: {'; '.join(other)}. Give the "
                "same data and settings to go on from it, or another path to start anew."
            )
        return True

    def of(self, moments: Moments) -> Checkpoint:
        """Return the checkpoint of a fit to data with these moments."""
        arrays = {name: np.asarray(value) for name, value in vars(moments).items()}
        return dataclasses.replace(self, fingerprint=self.fingerprint | {"moments": archive.digest(arrays)})

    def resume(self, start: State) -> State:
        """Return the saved state, or else save `start`, whose model lends what all models of a fit share."""
        if not self.check():
            self.write(start)
            return start
        _, arrays = archive.read(self.path, archive.CHECKPOINT)
        state = _unpack(arrays, start.model)
        logger.info("going on after iteration %d of checkpoint %s", len(state.history), self.path)
        return state

    def write(self, state: State) -> None:
        """Replace the file by one of `state`."""
        archive.write(self.path, archive.CHECKPOINT, {"fingerprint": self.fingerprint}, _pack(state))

    def remedy(self, state: State) -> str:
        """Say where the work done is, and how to go on."""
        return (
            f"The {len(state.history)} iterations done are in the checkpoint {str(self.path)!r}; call fit "
            "again with it to go on."
        )


def _pack(state: State) -> Arrays:
    history = [dataclasses.astuple(iteration) for iteration in state.history]
    arrays: Arrays = {
        "history": np.array(history, dtype=np.float64).reshape(-1, len(dataclasses.fields(em.Iteration))),
        "calm": np.array(state.calm),
        **_pack_model("model", state.model),
    }
    if isinstance(state, evidence.State):
        arrays["regul"] = np.array(state.regul)
    if isinstance(state, accelerate.State):
        arrays["failures"] = np.array(state.failures)
        arrays["steps"] = np.array([secant.step for secant in state.secants])
        arrays["losses"] = np.array([secant.loss for secant in state.secants])
        if state.direction is not None:
            arrays["direction"] = state.direction
        if state.best is not None:
            arrays |= _pack_point(state.best)
    return arrays


def _unpack(arrays: Arrays, model: Model) -> State:
    common: dict[str, Any] = {
        "model": _unpack_model("model", arrays, model),
        "history": tuple(em.Iteration(int(number), *rest) for number, *rest in arrays["history"].tolist()),
        "calm": int(arrays["calm"]),
    }
    if "regul" in arrays:
        return evidence.State(**common, regul=float(arrays["regul"]))
    if "failures" not in arrays:
        return em.State(**common)
    pairs = zip(arrays["steps"], arrays["losses"], strict=True)
    return accelerate.State(
        **common,
        best=_unpack_point(arrays, model) if "metric" in arrays else None,
        direction=arrays.get("direction"),
        failures=int(arrays["failures"]),
        secants=tuple(accelerate.Secant(step, loss) for step, loss in pairs),
    )


def _pack_point(point: accelerate.Point) -> Arrays:
    return {
        **_pack_model("best", point.model),
        **_pack_model("em", point.em_model),
        "weight": np.array(point.weight),
        "objective": np.array(point.objective),
        "gradient": point.gradient,
        "metric": point.metric,
        "inverse": point.inverse,
    }


def _unpack_point(arrays: Arrays, model: Model) -> accelerate.Point:
    return accelerate.Point(
        model=_unpack_model("best", arrays, model),
        em_model=_unpack_model("em", arrays, model),
        weight=float(arrays["weight"]),
        objective=float(arrays["objective"]),
        gradient=arrays["gradient"],
        metric=arrays["metric"],
        inverse=arrays["inverse"],
    )


def _pack_model(name: str, model: Model) -> Arrays:
    return {f"{name}_weights": model.weights, f"{name}_beta_inv": np.array(model.beta_inv)}


def _unpack_model(name: str, arrays: Arrays, model: Model) -> Model:
    weights, beta_inv = arrays[f"{name}_weights"], float(arrays[f"{name}_beta_inv"])
    return dataclasses.replace(model, weights=weights, beta_inv=beta_inv)
