"""JSON as its standard has it, which knows neither NaN nor infinity: both are written as null."""

from __future__ import annotations

import json
import math
from typing import Any


def dumps(value: Any) -> str:
    """Return the text of dicts, lists and scalars, of Python or NumPy; raise TypeError for all else."""
    return json.dumps(_plain(value), allow_nan=False)


def loads(text: str) -> dict[str, Any]:
    """Return the object that a text of the standard holds.

    Raises
    ------
    ValueError
        If it is none, of a depth that nobody writes, or has numbers that the standard does not know.
    """
    try:
        found = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("JSON is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"JSON is no object, but {type(found).__name__}")  # noqa: TRY004 - of the text
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"JSON has the number {name}")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if getattr(value, "shape", None) == ():  # a scalar of NumPy, which is not imported for it
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    raise TypeError(f"{value!r} cannot be saved; use a number, a string or None.")
