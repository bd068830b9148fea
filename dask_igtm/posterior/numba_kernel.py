"""The compiled kernel: the rows of a tile side by side, in lanes, under one node after the other.

A buffer holds a number a lane for one node after the other, so that the same instruction serves many rows.
Each step is a small product of a matrix of the map with such a buffer, (r, s) @ (s, LANES):

    B[b]   = Q @ T[b]       over the functions a of the first latent coordinate
    E[i]   = Q @ B[:, i]    over the functions b of the second, plus what one further function adds
    E[i]   = exp(E[i] - peak), where any lane needs it
    F[:, i] = Q.T @ E[i]    and back the same way
    V[b]   = Q.T @ F[b]

Logits are in bits inside, since 2^x is cheaper than e^x.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from dask_igtm.posterior.coordinates import numba_forward
from dask_igtm.posterior.geometry import Geometry
from dask_igtm.posterior.numpy_kernel import Found

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]

LANES = 128
LN2 = math.log(2.0)
# A comparison with NaN may go either way: rows that are not finite are refused before.
MATH = {"reassoc", "nnan", "ninf", "nsz", "contract"}


def compiled(function: Any) -> Any:
    """Compile a function, and keep the machine code on disk where there is a place for it."""
    options = {"fastmath": MATH, "error_model": "numpy", "nogil": True}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither beside this file nor in the user's cache can anything be written
        return numba.njit(**options)(function)


@intrinsic  # type: ignore[untyped-decorator]
def _bits_of(_: Any, number: Any) -> Any:
    whole = numba.int64 if number == numba.float64 else numba.int32
    machine_whole = ir.IntType(whole.bitwidth)
    return whole(number), lambda _context, builder, _signature, values: builder.bitcast(
        values[0], machine_whole
    )


@intrinsic  # type: ignore[untyped-decorator]
def _number_of(_: Any, whole: Any) -> Any:
    double = whole == numba.int64
    number, machine_number = (numba.float64, ir.DoubleType()) if double else (numba.float32, ir.FloatType())
    return number(whole), lambda _context, builder, _signature, values: builder.bitcast(
        values[0], machine_number
    )


def _exp2(x: Any) -> Any:
    return 2.0**x


@overload(_exp2, jit_options={"fastmath": {"contract"}})  # reassociated, the rounding below would cancel
def _compile_exp2(x: Any) -> Any:
    """Compile 2^x for x of at most 0 and above the bits of the smallest number, as 2^n 2^r.

    Adding 1.5 * 2^mantissa rounds x to n, whose bits then move the exponent; a polynomial through Chebyshev's
    points is within rounding of 2^r for |r| <= 1/2.
    """
    double = x == numba.float64
    real, whole, mantissa, degree = (
        (np.float64, np.int64, 52, 10) if double else (np.float32, np.int32, 23, 5)
    )
    fitted = np.polynomial.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
    series = [real(c) for c in fitted.convert(kind=np.polynomial.Polynomial).coef[::-1]]
    leading, rest = series[0], tuple(series[1:])
    rounder, shift = real(1.5 * 2.0**mantissa), whole(mantissa)

    def exp2(x: Any) -> Any:
        rounded = x + rounder
        r = x - (rounded - rounder)
        value = leading
        for coefficient in rest:
            value = value * r + coefficient
        return _number_of(whole(_bits_of(value) + whole(_bits_of(rounded) << shift)))

    return exp2


# Rows of a buffer follow each other in a flat array: indices l, LANES + l, ... of one array need no check
# at run time that they do not overlap.


@compiled
def _mix_4_by_4(a: Any, x: int, y: int, b: Any, c: Any) -> None:
    """Add a[x:x+4, y:y+4] @ b to c, where b and c have four rows."""
    a00, a01, a02, a03 = a[x, y], a[x, y + 1], a[x, y + 2], a[x, y + 3]
    a10, a11, a12, a13 = a[x + 1, y], a[x + 1, y + 1], a[x + 1, y + 2], a[x + 1, y + 3]
    a20, a21, a22, a23 = a[x + 2, y], a[x + 2, y + 1], a[x + 2, y + 2], a[x + 2, y + 3]
    a30, a31, a32, a33 = a[x + 3, y], a[x + 3, y + 1], a[x + 3, y + 2], a[x + 3, y + 3]
    for l in range(LANES):
        b0, b1, b2, b3 = b[l], b[LANES + l], b[2 * LANES + l], b[3 * LANES + l]
        c[l] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
        c[LANES + l] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
        c[2 * LANES + l] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
        c[3 * LANES + l] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@compiled
def _mix_1_by_1(factor: Any, b: Any, c: Any) -> None:
    for l in range(LANES):
        c[l] += factor * b[l]


@compiled
def _mix(a: Any, x_begin: int, x_end: int, y_begin: int, y_end: int, b: Any, c: Any) -> None:
    """Add a[x_begin:x_end, y_begin:y_end] @ b to c."""
    x_whole = x_end - (x_end - x_begin) % 4
    y_whole = y_end - (y_end - y_begin) % 4
    for x in range(x_begin, x_whole, 4):
        to = c[(x - x_begin) * LANES : (x - x_begin + 4) * LANES]
        for y in range(y_begin, y_whole, 4):
            _mix_4_by_4(a, x, y, b[(y - y_begin) * LANES : (y - y_begin + 4) * LANES], to)
    for x in range(x_begin, x_end):
        to = c[(x - x_begin) * LANES : (x - x_begin + 1) * LANES]
        for y in range(y_begin if x >= x_whole else y_whole, y_end):
            _mix_1_by_1(a[x, y], b[(y - y_begin) * LANES : (y - y_begin + 1) * LANES], to)


@compiled
def _begin(factor: Any, half: Any, tau: Any, e: Any) -> None:
    for l in range(LANES):
        e[l] = factor * tau[l] - half


@compiled
def _raise_to(e: Any, top: Any) -> None:
    for l in range(LANES):
        top[l] = e[l] if e[l] > top[l] else top[l]


@compiled
def _raise_to_4(e: Any, top: Any) -> None:
    for l in range(LANES):
        one, other = e[l], e[LANES + l]
        one = one if one > other else other
        third, fourth = e[2 * LANES + l], e[3 * LANES + l]
        third = third if third > fourth else fourth
        top[l] = one if one > third else third


@compiled
def _needed(top: Any, peak: Any, bound: Any) -> bool:
    """Whether a logit of any lane is within the bound of its peak."""
    nearest = bound
    for l in range(LANES):
        below = top[l] - peak[l]
        nearest = below if below > nearest else nearest
    return bool(nearest > bound)


@compiled
def _exponentiate(e: Any, peak: Any, bound: Any, mass: Any, spread: Any) -> None:
    """Turn the logits of a few nodes into exponentials, 0 beyond the bound, and add them up."""
    zero = bound - bound
    for first in range(0, len(e), LANES):
        node = e[first : first + LANES]
        for l in range(LANES):
            below = node[l] - peak[l]
            within = below if below > bound else bound
            value = _exp2(within)
            value = value if below > bound else zero
            node[l] = value
            mass[l] += value
            spread[l] += value * within


@compiled
def _count(e: Any, share: Any, g: Any) -> None:
    """Add the exponentials of each node, times the lanes' shares, to g."""
    for node in range(len(g)):
        row = e[node * LANES : (node + 1) * LANES]
        total = row[0] * share[0]
        for l in range(1, LANES):
            total += row[l] * share[l]
        g[node] += total


@compiled
def _times(a: Any, b: Any, out: Any) -> None:
    for l in range(LANES):
        out[l] = a[l] * b[l]


@compiled
def _add(a: Any, out: Any) -> None:
    for l in range(LANES):
        out[l] += a[l]


@compiled
def _copy(a: Any, out: Any) -> None:
    for l in range(LANES):
        out[l] = a[l]


@compiled
def _logits(
    T: Any, axis: Any, further: Any, half: Any, B: Any, Bi: Any, E: Any, tops: Any, peak: Any
) -> None:
    """Fill E with the logits of all nodes, tops with the largest of each four, and peak with that of all."""
    k, m = axis.shape
    row, functions = k * LANES, m * LANES
    tau = T[m * functions :]
    B[:] = 0
    for b in range(m):
        _mix(axis, 0, k, 0, m, T[b * functions : (b + 1) * functions], B[b * row : (b + 1) * row])
    top = 0
    for i in range(k):
        for b in range(m):
            _copy(B[b * row + i * LANES : b * row + (i + 1) * LANES], Bi[b * LANES : (b + 1) * LANES])
        for j in range(0, k, 4):
            nodes = min(4, k - j)
            e = E[(i * k + j) * LANES : (i * k + j + nodes) * LANES]
            for x in range(nodes):
                node = i * k + j + x
                _begin(further[node], half[node], tau, e[x * LANES : (x + 1) * LANES])
            _mix(axis, j, j + nodes, 0, m, Bi, e)
            highest = tops[top * LANES : (top + 1) * LANES]
            if nodes == 4:
                _raise_to_4(e, highest)
            else:
                _copy(e[:LANES], highest)
                for x in range(1, nodes):
                    _raise_to(e[x * LANES : (x + 1) * LANES], highest)
            if top == 0:
                _copy(highest, peak)
            else:
                _raise_to(highest, peak)
            top += 1


@compiled
def _softmax(
    E: Any, k: int, tops: Any, peak: Any, bound: Any, active: Any, row_sums: Any, mass: Any, spread: Any
) -> None:
    """Turn the logits of the nodes that any lane needs into exponentials; say which fours they are."""
    mass[:] = 0
    spread[:] = 0
    row_mass, row_spread = row_sums[:LANES], row_sums[LANES:]
    top = 0
    for i in range(k):
        row_sums[:] = 0  # of few numbers, since long sums round more
        for j in range(0, k, 4):
            active[top] = _needed(tops[top * LANES : (top + 1) * LANES], peak, bound)
            if active[top]:
                e = E[(i * k + j) * LANES : (i * k + min(j + 4, k)) * LANES]
                _exponentiate(e, peak, bound, row_mass, row_spread)
            top += 1
        _add(row_mass, mass)
        _add(row_spread, spread)


@compiled
def _back(E: Any, active: Any, axis_back: Any, further_back: Any, F: Any, Fi: Any, Fu: Any, V: Any) -> None:
    """Fill V with the sums of the exponentials times the functions of the map at the nodes."""
    m, k = axis_back.shape
    row, functions = k * LANES, m * LANES
    V[:] = 0
    top = 0
    for i in range(k):
        Fi[:] = 0
        for j in range(0, k, 4):
            if active[top]:
                last = min(j + 4, k)
                e = E[(i * k + j) * LANES : (i * k + last) * LANES]
                _mix(axis_back, 0, m, j, last, e, Fi)
                _mix(further_back, 0, 1, i * k + j, i * k + last, e, V[m * functions :])
            top += 1
        for b in range(m):
            _copy(Fi[b * LANES : (b + 1) * LANES], F[b * row + i * LANES : b * row + (i + 1) * LANES])
    for b in range(m):
        _mix(axis_back, 0, m, 0, k, F[b * row : (b + 1) * row], V[b * functions : (b + 1) * functions])


@compiled
def sweep(
    t: Any,
    axis: Any,
    axis_back: Any,
    further: Any,
    half: Any,
    bound: Any,
    weight: Any,
    R: Any,
    v: Any,
    g: Any,
    found: Any,
) -> None:
    """Work out the posterior of rows from their coordinates; all arrays are contiguous.

    Parameters
    ----------
    t : (n, m * m + 1) array, in bits, where n is a multiple of LANES
    axis, axis_back : (k, m) and (m, k) arrays
    further, half : (1, K) and (K,) arrays, the latter in bits
    bound : number
        Logits that far below the largest of their row, in bits, count as none.
    weight : (n,) array
    R : (n / LANES, K * LANES) array, or one of a single row
        Filled with responsibilities; as scratch space where v is asked for.
    v : (m * m + 1, n) array, or an empty one where R is asked for
        Filled with `weight` times the sums of the responsibilities times the functions at the nodes.
    g : (K,) float64 array
        To which the responsibilities times `weight` are added, beside v.
    found : (3, n) float64 array
        Filled with peaks, sums of 2^(logit - peak), and mean (logit - peak).
    """
    k, m = axis.shape
    n_functions, n_fours = m * m + 1, k * ((k + 3) // 4)
    real = t.dtype
    T, V = np.empty(n_functions * LANES, real), np.empty(n_functions * LANES, real)
    B, F = np.empty(m * k * LANES, real), np.empty(m * k * LANES, real)
    part, tops = np.empty(m * LANES, real), np.empty(n_fours * LANES, real)
    peak, mass, spread = np.empty(LANES, real), np.empty(LANES, real), np.empty(LANES, real)
    row_sums, share = np.empty(2 * LANES, real), np.empty(LANES, real)
    active = np.empty(n_fours, np.bool_)
    adds_up = len(v) > 0
    for group in range(len(t) // LANES):
        start = group * LANES
        E = R[0] if adds_up else R[group]
        for a in range(m):
            for b in range(m):
                for l in range(LANES):
                    T[(b * m + a) * LANES + l] = t[start + l, a * m + b]
        for l in range(LANES):
            T[m * m * LANES + l] = t[start + l, m * m]
        _logits(T, axis, further[0], half, B, part, E, tops, peak)
        _softmax(E, k, tops, peak, bound, active, row_sums, mass, spread)
        for l in range(LANES):
            share[l] = 1 / mass[l]
            found[0, start + l], found[1, start + l] = peak[l], mass[l]
            found[2, start + l] = spread[l] * share[l]
        if adds_up:
            _back(E, active, axis_back, further, F, part, tops, V)
            _times(share, weight[start : start + LANES], share)
            for a in range(m):
                for b in range(m):
                    n = b * m + a
                    _times(V[n * LANES : (n + 1) * LANES], share, v[a * m + b, start : start + LANES])
            _times(V[m * m * LANES :], share, v[m * m, start : start + LANES])
        for four in range(n_fours):
            i, j = four // ((k + 3) // 4), four % ((k + 3) // 4) * 4
            first, last = i * k + j, i * k + min(j + 4, k)
            e = E[first * LANES : last * LANES]
            if adds_up:
                if active[four]:
                    _count(e, share, g[first:last])
            elif active[four]:
                for node in range(0, len(e), LANES):
                    _times(e[node : node + LANES], share, e[node : node + LANES])
            else:
                e[:] = 0


class NumbaKernel:
    """See `dask_igtm.posterior.numpy_kernel.Kernel`."""

    forward = staticmethod(numba_forward)
    lanes = LANES

    def __init__(self, geometry: Geometry, height: int) -> None:
        self.real, self.n_nodes, self.height = geometry.axis.dtype.type, len(geometry.further), height
        self.per_bit = self.real(1.0 / LN2)
        self.map = (
            geometry.axis,
            np.ascontiguousarray(geometry.axis.T),
            geometry.further[None],
            geometry.half_squares * self.per_bit,
            self.real(geometry.bound / LN2),
        )

    @functools.cached_property
    def _all_nodes(self) -> Real:
        return np.empty((self.height // LANES, self.n_nodes * LANES), self.real)

    @functools.cached_property
    def _one_group(self) -> Real:
        return np.empty((1, self.n_nodes * LANES), self.real)

    def softmax(self, t: Real) -> tuple[Found, Real]:
        """See `Kernel`."""
        R, nothing = self._all_nodes[: len(t) // LANES], np.empty((0, 0), self.real)
        found = self._sweep(t, nothing.ravel(), R, nothing, np.empty(0))
        return found, R.reshape(-1, self.n_nodes, LANES)

    def sums(self, t: Real, weight: Real) -> tuple[Found, Real, Array]:
        """See `Kernel`."""
        v, g = np.empty(t.T.shape, self.real), np.zeros(self.n_nodes)
        return self._sweep(t, weight, self._one_group, v, g), v, g

    def _sweep(self, t: Real, weight: Real, R: Real, v: Real, g: Array) -> Found:
        found = np.empty((3, len(t)))
        sweep(t * self.per_bit, *self.map, weight, R, v, g, found)
        peak, mass, spread = found
        return Found(LN2 * peak, np.log(mass), LN2 * spread)
