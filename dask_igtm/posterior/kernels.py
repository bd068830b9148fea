"""Responsibilities of one tile of rows, in place: by NumPy, or in one compiled sweep where numba is.

The kernel is chosen once, on the driver, and travels with the tasks by its name, so that all of a fit is
computed by the same one. NumPy's is complete; numba's is faster.
"""

from __future__ import annotations

import functools
import importlib.util
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Tile = NDArray[np.floating[Any]]
Softmax = Callable[[Tile, Tile], tuple[Array, Array, Array]]

# Below these, exp() turns subnormal and several times slower. What is cut is far under rounding.
LOWEST_EXPONENT = {np.dtype(np.float64): -500.0, np.dtype(np.float32): -80.0}


def best_kernel() -> str:
    """Name of the fastest kernel that can be had here: "numba" where it is installed, else "numpy"."""
    return "numba" if importlib.util.find_spec("numba") else "numpy"


@functools.cache
def load_kernel(name: str) -> Softmax:
    """Return the softmax of that name.

    Its arguments are float32 or float64 arrays of shape (n, K): the logits, which it overwrites with the
    responsibilities (rows sum to 1), and scratch space of the same kind. It returns three arrays of shape
    (n,): the largest logit of a row, ln sum_k exp(logit - largest), and the mean of (logit - largest)
    over the responsibilities.

    Raises
    ------
    ModuleNotFoundError
        If the kernel is numba's and this process has no numba.
    """
    if name == "numpy":
        return _numpy_softmax
    if importlib.util.find_spec("numba") is None:
        raise ModuleNotFoundError(
            "The driver chose the compiled kernel, and this process has no numba; install the same packages "
            "on every worker (pip install 'dask_igtm[fast]'), or remove numba from the driver."
        )
    kernels = {np.dtype(real): _compile(real) for real in (np.float64, np.float32)}
    return lambda logits, _: kernels[logits.dtype](logits)


def _numpy_softmax(logits: Tile, scratch: Tile) -> tuple[Array, Array, Array]:
    peak = logits.max(axis=1)
    logits -= peak[:, None]
    np.maximum(logits, LOWEST_EXPONENT[logits.dtype], out=logits)
    np.exp(logits, out=scratch)
    mass = scratch.sum(axis=1)
    spread = np.einsum("nk,nk->n", scratch, logits) / mass
    np.divide(scratch, mass[:, None], out=logits)
    return peak.astype(np.float64), np.log(mass.astype(np.float64)), spread.astype(np.float64)


def _compile(real: type[np.floating[Any]]) -> Any:
    """Compile the softmax of one precision, in a single sweep over each row."""
    import numba

    exp, larger = _compile_exp(real), _compile_larger(real)
    lowest, zero, one = real(LOWEST_EXPONENT[np.dtype(real)]), real(0), real(1)

    @numba.njit(  # type: ignore[untyped-decorator]
        fastmath={"reassoc", "nnan", "ninf", "nsz", "contract"}, error_model="numpy", nogil=True
    )
    def softmax(logits: Any) -> Any:
        n_rows, n_nodes = logits.shape
        peak, log_mass, spread = np.empty(n_rows), np.empty(n_rows), np.empty(n_rows)
        for row in range(n_rows):
            largest = logits[row, 0]
            for k in range(n_nodes):
                largest = larger(largest, logits[row, k])
            mass = weighted = zero
            for k in range(n_nodes):
                shifted = larger(logits[row, k] - largest, lowest)
                value = exp(shifted)
                logits[row, k] = value
                mass += value
                weighted += value * shifted
            share = one / mass
            for k in range(n_nodes):
                logits[row, k] *= share
            peak[row], log_mass[row], spread[row] = largest, math.log(mass), weighted * share
        return peak, log_mass, spread

    return softmax


def _compile_larger(real: type[np.floating[Any]]) -> Any:
    """Make the larger of two numbers an instruction; a comparison would keep a loop over it scalar."""
    import numba
    from llvmlite import ir
    from numba.extending import intrinsic

    number = numba.from_dtype(np.dtype(real))
    machine_number = ir.DoubleType() if real is np.float64 else ir.FloatType()
    signature = ir.FunctionType(machine_number, [machine_number] * 2)

    @intrinsic  # type: ignore[untyped-decorator]
    def larger(_: Any, _one: Any, _other: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            function = builder.module.declare_intrinsic("llvm.maxnum", [machine_number], signature)
            return builder.call(function, values)

        return number(number, number), generate

    return larger


def _compile_exp(real: type[np.floating[Any]]) -> Any:
    """Compile exp(x) for x between the lowest exponent and 0, so that the loop around it is vectorised.

    exp(x) = 2^n exp(r). Adding 1.5 * 2^mantissa rounds x / ln 2 to n, whose bits then move the exponent;
    ln 2 in two parts keeps r exact (Cody & Waite 1980); |r| <= ln 2 / 2 leaves Taylor's series short.
    """
    import numba
    from llvmlite import ir
    from numba.extending import intrinsic

    double = real is np.float64
    number, whole = (numba.float64, numba.int64) if double else (numba.float32, numba.int32)
    mantissa, degree = (52, 13) if double else (23, 7)
    machine_number, machine_whole = ir.DoubleType() if double else ir.FloatType(), ir.IntType(whole.bitwidth)

    @intrinsic  # type: ignore[untyped-decorator]
    def to_bits(_: Any, number_: Any) -> Any:
        return whole(number), lambda _c, builder, _s, values: builder.bitcast(values[0], machine_whole)

    @intrinsic  # type: ignore[untyped-decorator]
    def from_bits(_: Any, whole_: Any) -> Any:
        return number(whole), lambda _c, builder, _s, values: builder.bitcast(values[0], machine_number)

    per_ln2, rounder, bits = real(1.0 / math.log(2.0)), real(1.5 * 2.0**mantissa), whole(mantissa)
    ln2_high = real(6.93147180369123816490e-1 if double else 0.693359375)
    ln2_low = real(1.90821492927058770002e-10 if double else -2.12194440e-4)
    leading = real(1.0 / math.factorial(degree))
    series = tuple(real(1.0 / math.factorial(i)) for i in range(degree - 1, -1, -1))

    # Reassociated, the rounding and the two parts of ln 2 would cancel.
    @numba.njit(fastmath={"contract"})  # type: ignore[untyped-decorator]
    def exp(x: Any) -> Any:
        rounded = x * per_ln2 + rounder
        n = rounded - rounder
        r = (x - n * ln2_high) - n * ln2_low
        value = leading
        for coefficient in series:
            value = value * r + coefficient
        return from_bits(whole(to_bits(value) + whole(to_bits(rounded) << bits)))

    return exp
