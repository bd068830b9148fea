"""What rows are labelled with: values as numbers, classes as labels, and which of them are missing."""

from __future__ import annotations

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LARGEST_VALUE = 1e300  # of a property: sums over 10^8 rows are numbers
# What labels may be, by the letter of NumPy's types and by those of Python's objects. A bool is an int too.
KINDS = {
    "bools": ("b", (bool, np.bool_)),
    "numbers": ("iuf", (int, float, np.integer, np.floating)),
    "strings": ("UT", (str,)),
    "bytes": ("S", (bytes,)),
}


def check_value_type(dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless arrays of this type hold real numbers, or objects that may be such."""
    if dtype.kind not in "biufO":
        raise ValueError(
            f"y holds what is not a real number (dtype {dtype}); give numbers here, and labels to classes."
        )


def check_labels(shape: tuple[float, ...], dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless arrays of this shape, (n,) or (n, 1), and type hold a label a row."""
    if len(shape) != 1 and (len(shape) != 2 or shape[1] != 1):
        raise ValueError(
            f"labels should be a 1d array, and has shape {shape}; give a 1D array, one label a row."
        )
    if dtype.kind != "O" and not any(dtype.kind in letters for letters, _ in KINDS.values()):
        raise ValueError(f"labels has dtype {dtype}; give strings, whole numbers or bools.")


def numbers_of(y: Any) -> Array:
    """Return values as floats (n, T), NaN where they are missing."""
    values = np.asarray(y)
    check_value_type(values.dtype)
    try:
        numbers = floats_of(values) if values.dtype.kind == "O" else values.astype(np.float64)
    except TypeError as error:
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
    return numbers if numbers.ndim == 2 else numbers[:, None]


def floats_of(values: NDArray[Any]) -> Array:
    """Return objects as floats, NaN where they are missing; raise TypeError where one is no real number."""
    gone = missing(values)
    for kind in set(map(type, values[~gone])):
        if not issubclass(kind, (Real, Decimal, np.bool_)) or issubclass(kind, np.timedelta64):
            raise TypeError(f"a {kind.__name__}")
    return np.where(gone, np.nan, values).astype(np.float64)


def labels_of(labels: Any) -> tuple[NDArray[np.bool_], NDArray[Any]]:
    """Return which rows have a label (n,), and their labels; raise ValueError if these are no labels."""
    given = np.asarray(labels)
    check_labels(given.shape, given.dtype)
    given = given.reshape(len(given))
    if given.dtype.kind == "T":
        given = given.astype(object)
    present = ~missing(given)
    known = given[present]
    if _kind_of(known) == "numbers":
        numbers = known.astype(np.float64)
        if (numbers != np.trunc(numbers)).any() or np.isinf(numbers).any():
            raise ValueError(
                "Unknown label type: labels holds fractions or infinity, so it is no set of classes; give "
                "them as a property."
            )
    return present, known


def missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which values are NaN, NaT, None, or pandas' NA."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values))
    if values.dtype.kind != "O":
        return np.zeros(values.shape, bool)
    return np.array([_ismissing(value) for value in values.ravel()], bool).reshape(values.shape)


def _ismissing(value: Any) -> bool:
    if value is None or type(value).__name__ == "NAType":
        return True
    unequal = value != value  # noqa: PLR0124 - as NaN and NaT are to themselves
    return isinstance(unequal, (bool, np.bool_)) and bool(unequal)


def _kind_of(labels: NDArray[Any]) -> str | None:
    """Return the kind of some labels, None of no objects; raise ValueError if they are of several."""
    if labels.dtype.kind != "O":
        return next(name for name, (letters, _) in KINDS.items() if labels.dtype.kind in letters)
    kinds = set()
    for found in set(map(type, labels)):
        names = [name for name, (_, types) in KINDS.items() if issubclass(found, types)]
        if not names or issubclass(found, np.timedelta64):
            raise ValueError(f"labels holds a {found.__name__}; give strings, whole numbers or bools.")
        kinds.add(names[0])
    if len(kinds) > 1:
        raise ValueError(f"labels are of several types ({', '.join(sorted(kinds))}); give them as strings.")
    return next(iter(kinds), None)


def distinct(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the sorted labels, and which of them each one is; objects but strings as NumPy's numbers."""
    kind = _kind_of(labels)
    found, inverse = np.unique(labels, return_inverse=True)
    if found.dtype.kind == "O" and kind not in (None, "strings"):
        narrow = np.array(found.tolist())
        if narrow.dtype.kind == "O" or narrow.tolist() != found.tolist():
            raise ValueError("labels holds whole numbers of more than 64 bits; give them as strings.")
        found = narrow
    return found, inverse


def union(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Return the sorted labels of two sets; raise ValueError where these are of several kinds."""
    if one.dtype.kind != other.dtype.kind:  # NumPy would make strings of numbers that meet some
        one, other = one.astype(object), other.astype(object)
    return distinct(np.concatenate([one, other]))[0]


def check_comparable(classes: NDArray[Any], labels: NDArray[Any]) -> None:
    """Raise ValueError where no label can be one of the classes, because it is of another kind."""
    kinds = [_kind_of(classes), _kind_of(labels)]
    if None not in kinds and kinds[0] != kinds[1] and not {*kinds} <= {"bools", "numbers"}:
        raise ValueError(f"y holds {kinds[1]}, and fit saw {kinds[0]}; give labels of the same type.")


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
    present, known = labels_of(labels)
    if not present.all():
        raise ValueError(
            f"y contains NaN or None {(~present).sum()} times; drop those rows, or give the labels to "
            "landscape.classes, which leaves them out."
        )
    return known
