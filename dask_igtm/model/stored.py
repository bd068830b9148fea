"""Arrays of a file: each is what it has to be, or ValueError says what is wrong with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Arrays = dict[str, NDArray[Any]]

KINDS = {"numbers": "fiu", "text": "U", "bools": "b"}  # of dtypes


def floats(arrays: Arrays, name: str, *shape: int | None, finite: bool = True) -> Array:
    """Return numbers of that shape, of which None is any length.

    With `finite=False` they may be infinite or NaN.

    Raises ValueError, as all here, if there is no such array, or another one.
    """
    found = np.asarray(_of(arrays, name, "numbers", shape), dtype=np.float64)
    if finite and not np.isfinite(found).all():
        raise ValueError(f"{name} has entries that are not finite")
    return found


def number(arrays: Arrays, name: str, *, finite: bool = True) -> float:
    """Return one number."""
    return float(floats(arrays, name, finite=finite))


def positive(arrays: Arrays, name: str, *shape: int | None) -> Array:
    """Return numbers above 0."""
    found = floats(arrays, name, *shape)
    if not (found > 0).all():
        raise ValueError(f"{name} has entries that are not above 0")
    return found


def whole(arrays: Arrays, name: str) -> int:
    """Return a whole number from 0."""
    found = number(arrays, name)
    if found < 0 or found != int(found):
        raise ValueError(f"{name} is {found}, and no whole number from 0")
    return int(found)


def flag(arrays: Arrays, name: str) -> bool:
    """Return yes or no."""
    return bool(_of(arrays, name, "bools", ()))


def text(arrays: Arrays, name: str) -> str:
    """Return a word."""
    return str(_of(arrays, name, "text", ()))


def texts(arrays: Arrays, name: str, length: int) -> tuple[str, ...]:
    """Return so many words."""
    return tuple(_of(arrays, name, "text", (length,)).tolist())


def check_equal(name: str, found: Array, wanted: Array) -> None:
    """Raise ValueError unless numbers are those that they have to be, but for rounding."""
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-6, atol=1e-9):
        raise ValueError(f"{name} is not what it has to be for a map of these nodes")


def _of(arrays: Arrays, name: str, kind: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    if name not in arrays:
        raise ValueError(f"{name} is missing")
    found = arrays[name]
    if found.dtype.kind not in KINDS[kind]:
        raise ValueError(f"{name} has dtype {found.dtype}, and {kind} are expected")
    if len(found.shape) != len(shape) or any(n not in (None, m) for n, m in zip(shape, found.shape)):  # noqa: B905
        wanted = ", ".join("any" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} has shape {found.shape}, and ({wanted}) is expected")
    return found
