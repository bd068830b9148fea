"""How functions are compiled, and how many rows or columns these take side by side."""

from __future__ import annotations

import contextlib
from typing import Any

import numba
import numpy as np
from numba.extending import overload

# Code on disk does not notice a change of this file: clear __pycache__ after one.
LANES = {np.dtype(np.float64): 128, np.dtype(np.float32): 256}
# A comparison with NaN may go either way: rows that are not finite are refused before.
MATH = {"reassoc", "nnan", "ninf", "nsz", "contract"}
OPTIONS = {"fastmath": MATH, "error_model": "numpy", "nogil": True}


def compiled(function: Any) -> Any:
    """Compile a function into those that call it.

    Were it left a function of its own, code read from the disk could differ in bits from the code that was
    written: the latter may call what this process compiled apart, the former only what it brings along.
    """
    return numba.njit(forceinline=True, **OPTIONS)(function)


def compiled_on_disk(function: Any) -> Any:
    """Compile a function, and keep the machine code on disk where there is a place for it."""
    with contextlib.suppress(RuntimeError):  # neither beside this file nor in the user's cache is a place
        return numba.njit(cache=True, **OPTIONS)(function)
    return numba.njit(**OPTIONS)(function)


def lanes_of(buffer: Any) -> Any:
    """Return how many lanes a row of a buffer has."""
    return LANES[buffer.dtype]


@overload(lanes_of, jit_options={"forceinline": True})  # type: ignore[untyped-decorator]
def _compile_lanes_of(buffer: Any) -> Any:
    """Compile the number of lanes into the code, where it spares checks at run time."""
    n_lanes = LANES[np.dtype(buffer.dtype.name)]

    def lanes(buffer: Any) -> Any:
        return n_lanes

    return lanes
