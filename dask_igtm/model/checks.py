"""Checks of single parameters, and how messages name columns."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

LARGEST = 2**63 - 1  # whole number that arrays hold
LARGEST_REAL = float(np.finfo(np.float64).max)  # which whole numbers may exceed


def check_number(name: str, value: object, otherwise: str = "") -> None:
    """Raise ValueError unless a parameter is a finite number >= 0, or what `otherwise` says."""
    if not isinstance(value, (int, float, np.number)) or not 0 <= value <= LARGEST_REAL:
        raise ValueError(f"{name}={value!r}; give a finite number >= 0{otherwise}.")


def check_whole(name: str, value: object, least: int = 0, otherwise: str = "") -> None:
    """Raise ValueError unless a parameter is a whole number of at least `least`, or what `otherwise` says."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r}; give a whole number >= {least}{otherwise}.")
    if int(value) > LARGEST:
        raise ValueError(f"{name}={value!r} is beyond what arrays count; give a whole number <= {LARGEST}.")


def name_columns(columns: Any, names: Sequence[str] | None, counts: Any = None) -> str:
    """List a few columns by name or number, each with its count where there are counts."""
    listed = [f"column {c if names is None else repr(names[c])}" for c in columns[:5]]
    if counts is not None:
        listed = [f"{count} in {column}" for count, column in zip(counts, listed, strict=False)]
    more = f" and {len(columns) - 5} more columns" if len(columns) > 5 else ""
    return ", ".join(listed) + more
