"""What rows say whatever the node, compiled: sums over the columns of a dense tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_igtm.posterior.compiled import ORDINARY, compiled, compiled_on_disk, lanes_of
from dask_igtm.posterior.products import ROWS_OF_A_SUM, four


@compiled_on_disk(math=ORDINARY)  # type: ignore[untyped-decorator] # entries may be anything here
def look_up(z: Any, by: Any, table: Any, products: Any, looked: Any) -> bool:
    """Write z (n, Q) @ by (3, Q).T to products, and the sums of table at the entries to looked (n,).

    Returns whether every entry is a place of the table.
    """
    n_rows, n_columns = z.shape
    first, second, third = by[0], by[1], by[2]
    last = len(table) - 1
    n_wrong = 0
    for row in range(n_rows):
        a = b = c = 0.0
        for q in range(n_columns):
            x = np.float64(z[row, q])
            a += x * first[q]
            b += x * second[q]
            c += x * third[q]
        products[row, 0], products[row, 1], products[row, 2] = a, b, c
        total = 0.0
        for q in range(n_columns):
            x = np.float64(z[row, q])
            within = x if x > 0.0 else 0.0
            place = np.int32(within if within < last else last)
            n_wrong += 1 if np.float64(place) != x else 0
            total += table[place]
        looked[row] = total
    return n_wrong == 0


@compiled
def _take_4_by_4(v: Any, f: int, row: int, c0: Any, c1: Any, c2: Any, c3: Any, off: Any) -> None:
    """Take v[f:f+4, row:row+4].T @ [c0, c1, c2, c3] off four rows of lanes."""
    L = lanes_of(off)
    v00, v01, v02, v03 = v[f, row], v[f, row + 1], v[f, row + 2], v[f, row + 3]
    v10, v11, v12, v13 = v[f + 1, row], v[f + 1, row + 1], v[f + 1, row + 2], v[f + 1, row + 3]
    v20, v21, v22, v23 = v[f + 2, row], v[f + 2, row + 1], v[f + 2, row + 2], v[f + 2, row + 3]
    v30, v31, v32, v33 = v[f + 3, row], v[f + 3, row + 1], v[f + 3, row + 2], v[f + 3, row + 3]
    for lane in range(len(c0)):
        a0, a1, a2, a3 = c0[lane], c1[lane], c2[lane], c3[lane]
        off[lane] -= v00 * a0 + v10 * a1 + v20 * a2 + v30 * a3
        off[L + lane] -= v01 * a0 + v11 * a1 + v21 * a2 + v31 * a3
        off[2 * L + lane] -= v02 * a0 + v12 * a1 + v22 * a2 + v32 * a3
        off[3 * L + lane] -= v03 * a0 + v13 * a1 + v23 * a2 + v33 * a3


@compiled
def _take_1_by_4(v: Any, f: int, row: int, c: Any, off: Any) -> None:
    L = lanes_of(off)
    v0, v1, v2, v3 = v[f, row], v[f, row + 1], v[f, row + 2], v[f, row + 3]
    for lane in range(len(c)):
        off[lane] -= v0 * c[lane]
        off[L + lane] -= v1 * c[lane]
        off[2 * L + lane] -= v2 * c[lane]
        off[3 * L + lane] -= v3 * c[lane]


@compiled
def _begin_with(z0: Any, z1: Any, z2: Any, z3: Any, off: Any) -> None:
    L = lanes_of(off)
    for lane in range(len(z0)):
        off[lane], off[L + lane] = z0[lane], z1[lane]
        off[2 * L + lane], off[3 * L + lane] = z2[lane], z3[lane]


@compiled
def _add_squares(off: Any, w0: Any, w1: Any, w2: Any, w3: Any, to: Any) -> None:
    L = lanes_of(off)
    for lane in range(len(to)):
        a0, a1, a2, a3 = off[lane], off[L + lane], off[2 * L + lane], off[3 * L + lane]
        to[lane] += w0 * a0 * a0 + w1 * a1 * a1 + w2 * a2 * a2 + w3 * a3 * a3


@compiled
def _weighted_dot(weight: Any, a: Any, b: Any) -> float:
    total = weight[0] * a[0] * b[0]
    for row in range(1, len(a)):
        total += weight[row] * a[row] * b[row]
    return np.float64(total)


@compiled_on_disk
def squares_beside(z: Any, each: Any, by_functions: Any, weight: Any) -> Any:
    """Return what `Kernel.squares_beside` does; `each` and `weight` are 0 beyond n, in fours of rows."""
    L, (n_rows, n_columns), n_functions = lanes_of(z), z.shape, len(each)
    fours = n_functions - n_functions % 4
    total, within = np.zeros(n_columns), np.zeros((n_functions, n_functions))
    part, off = np.empty(L, z.dtype), np.empty(4 * L, z.dtype)
    for begin in range(0, n_rows, ROWS_OF_A_SUM):
        end = min(begin + ROWS_OF_A_SUM, n_rows)
        for left in range(0, n_columns, L):
            right = min(left + L, n_columns)
            part[:] = 0
            for row in range(begin, end, 4):
                r0, r1, r2, r3 = four(row, n_rows)
                _begin_with(z[r0, left:right], z[r1, left:right], z[r2, left:right], z[r3, left:right], off)
                for f in range(0, fours, 4):
                    c0, c1 = by_functions[f, left:right], by_functions[f + 1, left:right]
                    c2, c3 = by_functions[f + 2, left:right], by_functions[f + 3, left:right]
                    _take_4_by_4(each, f, row, c0, c1, c2, c3, off)
                for f in range(fours, n_functions):
                    _take_1_by_4(each, f, row, by_functions[f, left:right], off)
                w0, w1, w2, w3 = weight[row], weight[row + 1], weight[row + 2], weight[row + 3]
                _add_squares(off, w0, w1, w2, w3, part[: right - left])
            for lane in range(right - left):
                total[left + lane] += part[lane]
        for f in range(n_functions):
            for other in range(f + 1):
                dot = _weighted_dot(weight[begin:end], each[f, begin:end], each[other, begin:end])
                within[f, other] += dot
                if other < f:
                    within[other, f] += dot
    return total, within
