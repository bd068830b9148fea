"""The columns of a map: what they are called, where its nodes lie in them, and how they vary over it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.frames import frame
from dask_igtm.model.model import Model
from dask_igtm.projection.validate import fitted_map, map_estimator

Array = NDArray[np.float64]

COORDINATES = ("x1", "x2")
SHOWN = 10  # columns in a message


def column_labels(model: Any) -> list[Any]:
    """Return the names of the columns of a map, or their numbers where they have none."""
    igtm = map_estimator(model)
    return list(getattr(igtm, "feature_names_in_", range(igtm.n_features_in_)))


def column_numbers(labels: Sequence[Any], columns: Sequence[Any]) -> list[int]:
    """Return where some of the labels of the columns are.

    Raises ValueError if there is no such label, or none is asked for.
    """
    place = {label: number for number, label in enumerate(labels)}
    unknown = [column for column in columns if column not in place]
    if unknown or len(columns) == 0:
        known = ", ".join(map(repr, labels[:SHOWN])) + (", ..." if len(labels) > SHOWN else "")
        raise ValueError(f"columns={list(columns)} has {unknown}; give some of {known}.")
    return [place[column] for column in columns]


def centers_table(model: Any) -> Any:
    """Return what `IGTM.centers_table` does."""
    fitted, labels = fitted_map(model), column_labels(model)
    taken = not set(COORDINATES).isdisjoint(labels)
    coordinates = [f"map_{name}" if taken else name for name in COORDINATES]
    table = frame(np.hstack([fitted.nodes, fitted.centers]), [*coordinates, *labels])
    return table.rename_axis(index="node")


def in_noise(model: Model) -> tuple[Array, Array]:
    """Return functions of the nodes, (K, r), and by them the centres with columns in units of noise, (r, D).

    These units are standard deviations; of bits and counts, where noise differs by node, of its mean over the
    nodes. Under principal axes each column has the noise of an axis, which rows have off the axes too; what
    the map itself says of a column is less the less of it is in the axes.
    """
    axes, noise = model.affine.axes, model.noise
    if noise.natural:
        deviation = np.sqrt(noise.variances(model).mean(axis=0))
        return np.eye(len(model.basis.nodes)), model.means / np.where(deviation > 0, deviation, 1.0)
    weights = model.weights if axes is None else model.weights @ axes.T
    return model.basis.phi, np.asarray(weights / np.sqrt(model.beta_inv))


def variation(model: Model) -> Array:
    """Return the standard deviation of each column over the nodes, (D,), in those of its noise."""
    functions, weights = in_noise(model)
    # By the few functions, for the centres of wide maps are large.
    triangle = np.linalg.qr(functions - functions.mean(axis=0), mode="r") / np.sqrt(len(functions))
    return np.asarray(np.linalg.norm(triangle @ weights, axis=0))
