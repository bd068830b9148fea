"""How functions are compiled, and how many rows or columns these take side by side."""

from __future__ import annotations

import contextlib
import functools
import os
from typing import Any, ClassVar

import numba
import numpy as np
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.extending import overload
from numba.misc.appdirs import AppDirs

# Code on disk does not notice a change of this file: clear __pycache__ after one.
LANES = {np.dtype(np.float64): 128, np.dtype(np.float32): 256}
# A comparison with NaN may go either way: rows that are not finite are refused before.
MATH = {"reassoc", "nnan", "ninf", "nsz", "contract"}
ORDINARY = {"reassoc", "contract"}  # for those that may meet what is not finite
OPTIONS: dict[str, Any] = {"fastmath": MATH, "error_model": "numpy", "nogil": True}


def compiled(function: Any) -> Any:
    """Compile a function into those that call it.

    Were it left a function of its own, code read from the disk could differ in bits from the code that was
    written: the latter may call what this process compiled apart, the former only what it brings along.
    """
    return numba.njit(forceinline=True, **OPTIONS)(function)


class Places(CompileResultCacheImpl):  # type: ignore[misc]
    """Where machine code is kept: not in the user's cache where the user has no home.

    There numba would make a folder called ~ in whichever is at hand.
    """

    _locator_classes: ClassVar = [
        place
        for place in CompileResultCacheImpl._locator_classes
        if "UserWide" not in place.__name__ or os.path.isabs(AppDirs("numba").user_cache_dir)
    ]


class Shelf(FunctionCache):  # type: ignore[misc]
    """Machine code on disk, which is done without where the disk is full or a file damaged."""

    _impl_class = Places

    def load_overload(self, *args: Any) -> Any:
        """Return the code of a signature; None where there is none to read."""
        with contextlib.suppress(Exception):  # damage has no type of its own
            return super().load_overload(*args)
        return None

    def save_overload(self, *args: Any) -> None:
        """Keep the code of a signature, if that can be."""
        with contextlib.suppress(Exception):
            super().save_overload(*args)


def compiled_on_disk(function: Any = None, *, math: set[str] = MATH) -> Any:
    """Compile a function, and keep the machine code on disk where there is a place for it."""
    if function is None:
        return functools.partial(compiled_on_disk, math=math)
    dispatcher = numba.njit(**OPTIONS | {"fastmath": math})(function)
    with contextlib.suppress(RuntimeError):  # neither beside this file nor in the user's cache is a place
        dispatcher._cache = Shelf(function)
    return dispatcher


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
