"""The compiled kernel: the rows of a tile side by side, in lanes, under one node after the other.

A buffer holds a number a lane for one node after the other, so that the same instruction serves many rows.
Each step is a small product of a matrix of the map with such a buffer, (r, s) @ (s, lanes):

    B[b]   = Q @ T[b]       over the functions a of the first latent coordinate
    E[i]   = Q @ B[:, i]    over the functions b of the second, plus what one further function adds
    E[i]   = exp(E[i] - peak), where any lane needs it
    F[:, i] = Q.T @ E[i]    and back the same way
    V[b]   = Q.T @ F[b]

Logits are in bits inside, since 2^x is cheaper than e^x. All steps are in one file: code on disk counts as
old when the file of the function that is called has changed, and no other.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.posterior import reading, row_terms, sparse_products
from dask_igtm.posterior.compiled import LANES, compiled, compiled_on_disk, lanes_of
from dask_igtm.posterior.coordinates import numba_forward
from dask_igtm.posterior.geometry import Geometry
from dask_igtm.posterior.numpy_kernel import Found, NumpyKernel
from dask_igtm.posterior.products import add_up, meet, pays

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

LN2 = math.log(2.0)


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


# Reassociated, the rounding below would cancel.
@overload(_exp2, jit_options={"fastmath": {"contract"}, "forceinline": True})  # type: ignore[untyped-decorator]
def _compile_exp2(x: Any) -> Any:
    """Compile 2^x for x of at most 0 as 2^n 2^r; it is 0 where the exponents of numbers end.

    Adding 1.5 * 2^mantissa rounds x to n, whose bits then move the exponent; 2^r is a polynomial through
    Chebyshev's points for |r| <= 1/2, to a few roundings, and 1 at 0.
    """
    double = x == numba.float64
    real, whole, mantissa, degree = (
        (np.float64, np.int64, 52, 10) if double else (np.float32, np.int32, 23, 5)
    )
    slope = np.polynomial.Chebyshev.interpolate(_slope, degree - 1, domain=[-0.5, 0.5])
    series = [real(c) for c in slope.convert(kind=np.polynomial.Polynomial).coef[::-1]]
    leading, rest = series[0], (*series[1:], real(1))
    rounder, shift = real(1.5 * 2.0**mantissa), whole(mantissa)

    def exp2(x: Any) -> Any:
        rounded = x + rounder
        r = x - (rounded - rounder)
        value = leading
        for coefficient in rest:
            value = value * r + coefficient
        return _number_of(whole(_bits_of(value) + whole(_bits_of(rounded) << shift)))

    return exp2


def _slope(r: Any) -> Any:
    """(2^r - 1) / r."""
    return np.where(r == 0, LN2, np.expm1(LN2 * r) / np.where(r == 0, 1.0, r))


# Rows of a buffer follow each other in a flat array: indices lane, L + lane, ... of one array need no check
# at run time that they do not overlap.


@compiled
def _mix_4_by_4(a: Any, x: int, y: int, b: Any, c: Any) -> None:
    """Add a[x:x+4, y:y+4] @ b to c, where b and c have four rows."""
    L = lanes_of(c)
    a00, a01, a02, a03 = a[x, y], a[x, y + 1], a[x, y + 2], a[x, y + 3]
    a10, a11, a12, a13 = a[x + 1, y], a[x + 1, y + 1], a[x + 1, y + 2], a[x + 1, y + 3]
    a20, a21, a22, a23 = a[x + 2, y], a[x + 2, y + 1], a[x + 2, y + 2], a[x + 2, y + 3]
    a30, a31, a32, a33 = a[x + 3, y], a[x + 3, y + 1], a[x + 3, y + 2], a[x + 3, y + 3]
    for lane in range(L):
        b0, b1, b2, b3 = b[lane], b[L + lane], b[2 * L + lane], b[3 * L + lane]
        c[lane] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
        c[L + lane] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
        c[2 * L + lane] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
        c[3 * L + lane] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@compiled
def _mix_1_by_4(a: Any, x: int, y: int, b: Any, c: Any) -> None:
    L = lanes_of(c)
    a0, a1, a2, a3 = a[x, y], a[x, y + 1], a[x, y + 2], a[x, y + 3]
    for lane in range(L):
        c[lane] += a0 * b[lane] + a1 * b[L + lane] + a2 * b[2 * L + lane] + a3 * b[3 * L + lane]


@compiled
def _mix_1_by_1(factor: Any, b: Any, c: Any) -> None:
    L = lanes_of(c)
    for lane in range(L):
        c[lane] += factor * b[lane]


@compiled
def _mix(a: Any, x_begin: int, x_end: int, y_begin: int, y_end: int, b: Any, c: Any) -> None:
    """Add a[x_begin:x_end, y_begin:y_end] @ b to c."""
    L = lanes_of(c)
    x_fours = x_end - (x_end - x_begin) % 4
    y_fours = y_end - (y_end - y_begin) % 4
    for x in range(x_begin, x_fours, 4):
        to = c[(x - x_begin) * L : (x - x_begin + 4) * L]
        for y in range(y_begin, y_fours, 4):
            _mix_4_by_4(a, x, y, b[(y - y_begin) * L : (y - y_begin + 4) * L], to)
    for x in range(x_begin, x_end):
        to = c[(x - x_begin) * L : (x - x_begin + 1) * L]
        if x >= x_fours:
            for y in range(y_begin, y_fours, 4):
                _mix_1_by_4(a, x, y, b[(y - y_begin) * L : (y - y_begin + 4) * L], to)
        for y in range(y_fours, y_end):
            _mix_1_by_1(a[x, y], b[(y - y_begin) * L : (y - y_begin + 1) * L], to)


@compiled
def _begin(further: Any, half: Any, node: int, tau: Any, e: Any) -> None:
    L = lanes_of(e)
    factor, less = further[node], half[node]
    for lane in range(L):
        e[lane] = factor * tau[lane] - less


@compiled
def _begin_4(a: Any, x: int, b: Any, further: Any, half: Any, node: int, tau: Any, e: Any) -> None:
    """Do the same for four nodes, and add a[x:x+4, :4] @ b."""
    L = lanes_of(e)
    a00, a01, a02, a03 = a[x, 0], a[x, 1], a[x, 2], a[x, 3]
    a10, a11, a12, a13 = a[x + 1, 0], a[x + 1, 1], a[x + 1, 2], a[x + 1, 3]
    a20, a21, a22, a23 = a[x + 2, 0], a[x + 2, 1], a[x + 2, 2], a[x + 2, 3]
    a30, a31, a32, a33 = a[x + 3, 0], a[x + 3, 1], a[x + 3, 2], a[x + 3, 3]
    u0, u1, u2, u3 = further[node], further[node + 1], further[node + 2], further[node + 3]
    h0, h1, h2, h3 = half[node], half[node + 1], half[node + 2], half[node + 3]
    for lane in range(L):
        b0, b1, b2, b3 = b[lane], b[L + lane], b[2 * L + lane], b[3 * L + lane]
        t = tau[lane]
        e[lane] = a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3 + (u0 * t - h0)
        e[L + lane] = a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3 + (u1 * t - h1)
        e[2 * L + lane] = a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3 + (u2 * t - h2)
        e[3 * L + lane] = a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3 + (u3 * t - h3)


@compiled
def _raise_to(e: Any, top: Any) -> None:
    L = lanes_of(e)
    for lane in range(L):
        top[lane] = e[lane] if e[lane] > top[lane] else top[lane]


@compiled
def _raise_to_4(e: Any, top: Any) -> None:
    L = lanes_of(e)
    for lane in range(L):
        one, other = e[lane], e[L + lane]
        one = one if one > other else other
        third, fourth = e[2 * L + lane], e[3 * L + lane]
        third = third if third > fourth else fourth
        top[lane] = one if one > third else third


@compiled
def _needed(top: Any, peak: Any, bound: Any) -> bool:
    """Whether a logit of any lane is within the bound of its peak."""
    L = lanes_of(top)
    nearest = bound
    for lane in range(L):
        below = top[lane] - peak[lane]
        nearest = below if below > nearest else nearest
    return bool(nearest > bound)


@compiled
def _exponentiate(e: Any, peak: Any, bound: Any, nothing: Any, mass: Any, spread: Any) -> None:
    """Turn the logits of a node into exponentials, 0 beyond the bound, and add them up."""
    L = lanes_of(e)
    for lane in range(L):
        below = e[lane] - peak[lane]
        below = below if below > bound else nothing
        value = _exp2(below)
        e[lane] = value
        mass[lane] += value
        spread[lane] += value * below


@compiled
def _exponentiate_4(e: Any, peak: Any, bound: Any, nothing: Any, mass: Any, spread: Any) -> None:
    """Do the same for four nodes."""
    L = lanes_of(e)
    for lane in range(L):
        highest = peak[lane]
        b0, b1 = e[lane] - highest, e[L + lane] - highest
        b2, b3 = e[2 * L + lane] - highest, e[3 * L + lane] - highest
        b0 = b0 if b0 > bound else nothing
        b1 = b1 if b1 > bound else nothing
        b2 = b2 if b2 > bound else nothing
        b3 = b3 if b3 > bound else nothing
        e0, e1, e2, e3 = _exp2(b0), _exp2(b1), _exp2(b2), _exp2(b3)
        e[lane], e[L + lane], e[2 * L + lane], e[3 * L + lane] = e0, e1, e2, e3
        mass[lane] += (e0 + e1) + (e2 + e3)
        spread[lane] += (e0 * b0 + e1 * b1) + (e2 * b2 + e3 * b3)


@compiled
def _count(e: Any, share: Any, g: Any) -> None:
    """Add the exponentials of each node, times the lanes' shares, to g."""
    L = lanes_of(e)
    for node in range(len(g)):
        row = e[node * L : (node + 1) * L]
        total = row[0] * share[0]
        for lane in range(1, L):
            total += row[lane] * share[lane]
        g[node] += total


@compiled
def _times(a: Any, b: Any, out: Any) -> None:
    L = lanes_of(out)
    for lane in range(L):
        out[lane] = a[lane] * b[lane]


@compiled
def _add(a: Any, out: Any) -> None:
    L = lanes_of(out)
    for lane in range(L):
        out[lane] += a[lane]


@compiled
def _copy(a: Any, out: Any) -> None:
    L = lanes_of(out)
    for lane in range(L):
        out[lane] = a[lane]


@compiled
def _logits(
    T: Any, axis: Any, further: Any, half: Any, B: Any, Bi: Any, E: Any, tops: Any, peak: Any
) -> None:
    """Fill E with the logits of all nodes, tops with the largest of each four, and peak with that of all."""
    L = lanes_of(E)
    k, m = axis.shape
    row, functions = k * L, m * L
    tau = T[m * functions :]
    B[:] = 0
    for b in range(m):
        _mix(axis, 0, k, 0, m, T[b * functions : (b + 1) * functions], B[b * row : (b + 1) * row])
    top = 0
    for i in range(k):
        for b in range(m):
            _copy(B[b * row + i * L : b * row + (i + 1) * L], Bi[b * L : (b + 1) * L])
        for j in range(0, k, 4):
            nodes = min(4, k - j)
            e = E[(i * k + j) * L : (i * k + j + nodes) * L]
            if nodes == 4 and m >= 4:
                _begin_4(axis, j, Bi, further, half, i * k + j, tau, e)
                _mix(axis, j, j + 4, 4, m, Bi[4 * L :], e)
            else:
                for x in range(nodes):
                    _begin(further, half, i * k + j + x, tau, e[x * L : (x + 1) * L])
                _mix(axis, j, j + nodes, 0, m, Bi, e)
            highest = tops[top * L : (top + 1) * L]
            if nodes == 4:
                _raise_to_4(e, highest)
            else:
                _copy(e[:L], highest)
                for x in range(1, nodes):
                    _raise_to(e[x * L : (x + 1) * L], highest)
            if top == 0:
                _copy(highest, peak)
            else:
                _raise_to(highest, peak)
            top += 1


@compiled
def _less(factor: Any, times: Any, e: Any) -> None:
    L = lanes_of(e)
    for lane in range(L):
        e[lane] -= factor * times[lane]


@compiled
def _take_off(E: Any, k: int, half: Any, exposure: Any, tops: Any, peak: Any) -> None:
    """Take what is due to the exposures of the rows off the logits, and find tops and peak."""
    L = lanes_of(E)
    top = 0
    for i in range(k):
        for j in range(0, k, 4):
            highest = tops[top * L : (top + 1) * L]
            for node in range(i * k + j, i * k + min(j + 4, k)):
                e = E[node * L : (node + 1) * L]
                _less(half[node], exposure, e)
                if node == i * k + j:
                    _copy(e, highest)
                else:
                    _raise_to(e, highest)
            if top == 0:
                _copy(highest, peak)
            else:
                _raise_to(highest, peak)
            top += 1


@compiled
def _softmax(
    E: Any,
    k: int,
    tops: Any,
    peak: Any,
    bound: Any,
    nothing: Any,
    active: Any,
    row_sums: Any,
    mass: Any,
    spread: Any,
) -> None:
    """Turn the logits of the nodes that any lane needs into exponentials; say which fours they are."""
    L = lanes_of(E)
    mass[:] = 0
    spread[:] = 0
    row_mass, row_spread = row_sums[:L], row_sums[L:]
    top = 0
    for i in range(k):
        row_sums[:] = 0  # of few numbers, since long sums round more
        for j in range(0, k, 4):
            active[top] = _needed(tops[top * L : (top + 1) * L], peak, bound)
            if active[top] and j + 4 <= k:
                e = E[(i * k + j) * L : (i * k + j + 4) * L]
                _exponentiate_4(e, peak, bound, nothing, row_mass, row_spread)
            elif active[top]:
                for node in range(i * k + j, i * k + k):
                    e = E[node * L : (node + 1) * L]
                    _exponentiate(e, peak, bound, nothing, row_mass, row_spread)
            top += 1
        _add(row_mass, mass)
        _add(row_spread, spread)


@compiled
def _back(E: Any, active: Any, axis_back: Any, further_back: Any, F: Any, Fi: Any, V: Any) -> None:
    """Fill V with the sums of the exponentials times the functions of the map at the nodes."""
    L = lanes_of(E)
    m, k = axis_back.shape
    row, functions = k * L, m * L
    V[:] = 0
    top = 0
    for i in range(k):
        Fi[:] = 0
        for j in range(0, k, 4):
            if active[top]:
                last = min(j + 4, k)
                e = E[(i * k + j) * L : (i * k + last) * L]
                _mix(axis_back, 0, m, j, last, e, Fi)
                _mix(further_back, 0, 1, i * k + j, i * k + last, e, V[m * functions :])
            top += 1
        for b in range(m):
            _copy(Fi[b * L : (b + 1) * L], F[b * row + i * L : b * row + (i + 1) * L])
    for b in range(m):
        _mix(axis_back, 0, m, 0, k, F[b * row : (b + 1) * row], V[b * functions : (b + 1) * functions])


@compiled_on_disk
def sweep(  # noqa: PLR0912 - each step is one loop over the lanes
    t: Any,
    order: Any,
    exposure: Any,
    per_bit: Any,
    axis: Any,
    axis_back: Any,
    further: Any,
    half: Any,
    bound: Any,
    nothing: Any,
    weight: Any,
    R: Any,
    v: Any,
    g: Any,
    found: Any,
) -> None:
    """Work out the posterior of rows from their coordinates; all arrays are contiguous.

    Parameters
    ----------
    t : (n, m * m + 1) array, where n is a multiple of the lanes
    order : (n,) array of int64
        In which rows are taken; those side by side should lie close together.
    exposure : (n,) array, or an empty one
        By which `half` is multiplied for each row.
    per_bit : number
        What takes t to bits.
    axis, axis_back : (k, m) and (m, k) arrays
    further, half : (1, K) and (K,) arrays, the latter in bits
    bound, nothing : numbers
        Logits so far below the largest of their row, in bits, count as none; and some of which 2^x is 0.
    weight : (n,) array
    R : (n / lanes, K * lanes) array, or one of a single row
        Filled with responsibilities in that order; scratch space where v is asked for.
    v : (m * m + 1, n) array, or an empty one where R is asked for
        Filled with `weight` times the sums of the responsibilities times the functions at the nodes.
    g : (1, K) or (2, K) float64 array
        To which the responsibilities times `weight` are added, beside v; and the same times `exposure`.
    found : (3, n) float64 array
        Filled with peaks, sums of 2^(logit - peak), and mean (logit - peak).
    """
    L = lanes_of(t)
    k, m = axis.shape
    n_functions, n_fours = m * m + 1, k * ((k + 3) // 4)
    real = t.dtype
    T, V = np.empty(n_functions * L, real), np.empty(n_functions * L, real)
    B, F = np.empty(m * k * L, real), np.empty(m * k * L, real)
    part, tops = np.empty(m * L, real), np.empty(n_fours * L, real)
    peak, mass, spread = np.empty(L, real), np.empty(L, real), np.empty(L, real)
    row_sums, share = np.empty(2 * L, real), np.empty(L, real)
    active = np.empty(n_fours, np.bool_)
    adds_up, exposed = len(v) > 0, len(exposure) > 0
    lanes_exposure, no_half = np.empty(L, real), np.zeros(len(half) if exposed else 0, real)
    begins = no_half if exposed else half
    for group in range(len(t) // L):
        rows = order[group * L : (group + 1) * L]
        E = R[0] if adds_up else R[group]
        for a in range(m):
            for b in range(m):
                for lane in range(L):
                    T[(b * m + a) * L + lane] = per_bit * t[rows[lane], a * m + b]
        for lane in range(L):
            T[m * m * L + lane] = per_bit * t[rows[lane], m * m]
        _logits(T, axis, further[0], begins, B, part, E, tops, peak)
        if exposed:
            for lane in range(L):
                lanes_exposure[lane] = exposure[rows[lane]]
            _take_off(E, k, half, lanes_exposure, tops, peak)
        _softmax(E, k, tops, peak, bound, nothing, active, row_sums, mass, spread)
        for lane in range(L):
            share[lane] = 1 / mass[lane]
            found[0, rows[lane]], found[1, rows[lane]] = peak[lane], mass[lane]
            found[2, rows[lane]] = spread[lane] * share[lane]
        if adds_up:
            _back(E, active, axis_back, further, F, part, V)
            for lane in range(L):
                share[lane] *= weight[rows[lane]]
            if exposed:
                _times(share, lanes_exposure, lanes_exposure)
            for a in range(m):
                for b in range(m):
                    for lane in range(L):
                        v[a * m + b, rows[lane]] = V[(b * m + a) * L + lane] * share[lane]
            for lane in range(L):
                v[m * m, rows[lane]] = V[m * m * L + lane] * share[lane]
        for four in range(n_fours):
            i, j = four // ((k + 3) // 4), four % ((k + 3) // 4) * 4
            first, last = i * k + j, i * k + min(j + 4, k)
            e = E[first * L : last * L]
            if adds_up:
                if active[four]:
                    _count(e, share, g[0, first:last])
                    if exposed:
                        _count(e, lanes_exposure, g[1, first:last])
            elif active[four]:
                for node in range(0, len(e), L):
                    _times(e[node : node + L], share, e[node : node + L])
            else:
                e[:] = 0


@compiled_on_disk
def by_place(near: Any) -> Any:
    """Return the rows (n,) in the order of the columns in which near (n, C) is largest."""
    n_rows, n_cells = near.shape
    place, starts = np.empty(n_rows, np.int64), np.zeros(n_cells + 1, np.int64)
    for row in range(n_rows):
        place[row] = near[row].argmax()
        starts[place[row] + 1] += 1
    for cell in range(n_cells):
        starts[cell + 1] += starts[cell]
    order = np.empty(n_rows, np.int64)
    for row in range(n_rows):
        order[starts[place[row]]] = row
        starts[place[row]] += 1
    return order


class NumbaKernel:
    """See `dask_igtm.posterior.numpy_kernel.Kernel`."""

    forward: ClassVar[Callable[..., Array]] = staticmethod(numba_forward)

    @staticmethod
    def side_by_side(real: Any) -> int:
        """See `Kernel`."""
        return LANES[np.dtype(real)]

    def __init__(self, geometry: Geometry, height: int) -> None:
        self.real, self.n_nodes, self.height = geometry.axis.dtype.type, len(geometry.further), height
        self.lanes = self.side_by_side(self.real)
        self.per_bit = self.real(1.0 / LN2)
        self.map = (
            geometry.axis,
            np.ascontiguousarray(geometry.axis.T),
            geometry.further[None],
            geometry.half_squares * self.per_bit,
            self.real(geometry.bound / LN2),
            self.real(np.finfo(self.real).minexp - 1),
        )
        n_columns, n_functions = geometry.slopes.shape
        self.slopes, self.compiled_products = geometry.slopes, pays(n_columns, n_functions, self.real)
        if self.compiled_products:
            self.slopes_by_function = np.ascontiguousarray(geometry.slopes.T)
        # What t makes of the cells of the map, if rows are to be put in their order.
        cells = geometry.cells
        self.cells = np.ascontiguousarray(geometry.functions[cells].T) if len(cells) else np.empty(0)
        self.half_squares_of_cells = geometry.half_squares[cells]

    @functools.cached_property
    def _all_nodes(self) -> Real:
        return np.empty((self.height // self.lanes, self.n_nodes * self.lanes), self.real)

    @functools.cached_property
    def _one_group(self) -> Real:
        return np.empty((1, self.n_nodes * self.lanes), self.real)

    def meet(self, Z: Real, t: Real) -> None:
        """See `Kernel`."""
        if self.compiled_products:
            meet(np.ascontiguousarray(Z), self.slopes_by_function, t)
        else:
            np.matmul(Z, self.slopes, out=t[: len(Z)])
        t[len(Z) :] = 0.0

    def add_up(self, v: Real, Z: Real) -> Real:
        """See `Kernel`."""
        if self.compiled_products:
            return np.asarray(add_up(v, np.ascontiguousarray(Z)))
        return v[:, : len(Z)] @ Z

    @staticmethod
    def look_up(Z: Real, by: Array, table: Array) -> tuple[Array, Array, bool]:
        """See `Kernel`."""
        products, looked = np.empty((len(Z), 3)), np.empty(len(Z))
        found = row_terms.look_up(
            np.ascontiguousarray(Z), np.ascontiguousarray(by.T), table, products, looked
        )
        return products, looked, bool(found)

    @staticmethod
    def squares_beside(Z: Real, each: Real, by_functions: Real, weight: Real) -> tuple[Array, Array]:
        """See `Kernel`."""
        squares, within = row_terms.squares_beside(np.ascontiguousarray(Z), each, by_functions, weight)
        return squares, within

    @staticmethod
    def meet_sparse(X: csr_array, rows: slice, table: Array, t: Array, norms: Array) -> None:
        """See `Kernel`."""
        sparse_products.meet(X.data, X.indices, X.indptr[rows.start : rows.stop + 1], table, t, norms)

    @staticmethod
    def add_up_sparse(X: csr_array, rows: slice, v: Array, total: Array) -> None:
        """See `Kernel`."""
        sparse_products.add_up(X.data, X.indices, X.indptr[rows.start : rows.stop + 1], v, total)

    def softmax(self, t: Real, exposure: Real | None = None) -> tuple[Found, Real, Indices | None]:
        """See `Kernel`."""
        R, order = self._all_nodes[: len(t) // self.lanes], self._order(t, exposure)
        nothing, no_sums = np.empty(0, self.real), np.empty((0, 0))
        found = self._sweep(t, order, exposure, nothing, R, np.empty((0, 0), self.real), no_sums)
        return found, R.reshape(-1, self.n_nodes, self.lanes), order if self.cells.size else None

    def sums(
        self, t: Real, weight: Real, exposure: Real | None = None
    ) -> tuple[Found, Real, Array, Array | None]:
        """See `Kernel`."""
        v, order = np.empty(t.T.shape, self.real), self._order(t, exposure)
        g = np.zeros((1 if exposure is None else 2, self.n_nodes))
        found = self._sweep(t, order, exposure, weight, self._one_group, v, g)
        return found, v, g[0], None if exposure is None else g[1]

    @staticmethod
    def totals(R: Real, columns: Array) -> Array:
        """See `Kernel`."""
        few = columns.shape[1] <= reading.MOST_COLUMNS
        return np.asarray(reading.totals(columns, R)) if few else NumpyKernel.totals(R, columns)

    @staticmethod
    def expectations(R: Real, values: Array) -> Array:
        """See `Kernel`."""
        few = len(values) <= reading.MOST_COLUMNS
        return np.asarray(reading.expectations(values, R)) if few else NumpyKernel.expectations(R, values)

    @staticmethod
    def largest(R: Real) -> Indices:
        """See `Kernel`."""
        return np.asarray(reading.largest(R), np.int64)

    def _order(self, t: Real, exposure: Real | None) -> Indices:
        if self.cells.size == 0:
            return np.arange(len(t))
        less = self.half_squares_of_cells
        return np.asarray(by_place(t @ self.cells - (less if exposure is None else np.outer(exposure, less))))

    def _sweep(
        self, t: Real, order: Indices, exposure: Real | None, weight: Real, R: Real, v: Real, g: Array
    ) -> Found:
        found, exposure = np.empty((3, len(t))), np.empty(0, self.real) if exposure is None else exposure
        sweep(t, order, exposure, self.per_bit, *self.map, weight, R, v, g, found)
        peak, mass, spread = found
        return Found(LN2 * peak, np.log(mass), LN2 * spread)
