"""Checks of single parameters."""

from __future__ import annotations

import numbers

import numpy as np


def check_number(name: str, value: object, otherwise: str = "") -> None:
    """Raise ValueError unless a parameter is a finite number >= 0, or what `otherwise` says."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < np.inf:
        raise ValueError(f"{name}={value!r}; give a finite number >= 0{otherwise}.")


def check_whole(name: str, value: object, least: int = 0) -> None:
    """Raise ValueError unless a parameter is a whole number of at least `least`."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}; give a whole number >= {least}.")
