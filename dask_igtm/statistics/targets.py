"""What rows are labelled with: values as numbers, classes as labels, and which of them are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LABEL_KINDS = "OUTSbiuf"
LARGEST_VALUE = 1e300  # of a property: sums over 10^8 rows are numbers


def numbers_of(y: Any) -> Array:
    """Return values as floats (n, T), NaN where they are missing."""
    values = np.asarray(y)
    if values.dtype.kind == "O":
        values = np.where(missing(values), np.nan, values)
    try:
        numbers = values.astype(np.float64, casting="unsafe" if values.dtype.kind == "O" else "same_kind")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y holds what is not a real number ({error}); give numbers here, and labels to classes."
        ) from None
    if np.isinf(numbers).any():
        raise ValueError(f"y contains {np.isinf(numbers).sum()} infinite values; drop or replace them.")
    large = np.abs(numbers) > LARGEST_VALUE
    if large.any():
        raise ValueError(
            f"y contains {large.sum()} values beyond {LARGEST_VALUE:.0e}, too large to add up; "
            "divide y by a constant, or drop or replace them."
        )
    return numbers.reshape(len(numbers), -1)


def labels_of(labels: Any) -> NDArray[Any]:
    """Return labels (n,) as an array that can be sorted; raise ValueError if they are no labels."""
    given = np.asarray(labels)
    if given.ndim != 1:
        raise ValueError(f"labels has shape {given.shape}; give a 1D array, one label a row.")
    if given.dtype.kind not in LABEL_KINDS:
        raise ValueError(f"labels has dtype {given.dtype}; give strings, whole numbers or bools.")
    if given.dtype.kind == "f" and ((given != np.trunc(given)) & ~np.isnan(given)).any():
        raise ValueError("labels holds fractions, so it is no set of classes; give them as a property.")
    return given.astype(object) if given.dtype.kind == "T" else given


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values are NaN, None, or pandas' NA."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    if values.dtype.kind != "O":
        return np.zeros(values.shape, bool)
    return np.array([_ismissing(value) for value in values.ravel()], bool).reshape(values.shape)


def _ismissing(value: Any) -> bool:
    equal = value == value  # noqa: PLR0124 - NaN and NaT are not, and pandas' NA does not say
    return value is None or not (isinstance(equal, (bool, np.bool_)) and equal)


def distinct(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the sorted labels, and which of them each one is."""
    try:
        found, inverse = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"labels are of several types ({error}); give them as strings.") from None
    return found, inverse


def known_numbers(y: Any) -> Array:
    """Return values as floats (n, T); raise ValueError where one is missing, infinite or no number."""
    numbers = numbers_of(y)
    if np.isnan(numbers).any():
        raise ValueError(
            f"y contains NaN or None {np.isnan(numbers).sum()} times; drop those rows, or give the values to "
            "landscape.property, which leaves them out."
        )
    return numbers


def known_labels(labels: Any) -> NDArray[Any]:
    """Return labels (n,); raise ValueError where one is missing or not such."""
    given = labels_of(labels)
    if missing(given).any():
        raise ValueError(
            f"y contains NaN or None {missing(given).sum()} times; drop those rows, or give the labels to "
            "landscape.classes, which leaves them out."
        )
    return given
