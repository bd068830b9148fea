"""What rows say whatever the node, compiled: sums over the columns of a dense tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_igtm.posterior.compiled import ORDINARY, compiled, compiled_on_disk, lanes_of
from dask_igtm.posterior.products import ROWS_OF_A_SUM, add_4_by_4, four


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
def _add_1(v: Any, row: int, f: int, c: Any, to: Any) -> None:
    """Add v[row:row+4, f] times c to four rows of lanes."""
    L = lanes_of(to)
    v0, v1, v2, v3 = v[row, f], v[row + 1, f], v[row + 2, f], v[row + 3, f]
    for lane in range(len(c)):
        to[lane] += v0 * c[lane]
        to[L + lane] += v1 * c[lane]
        to[2 * L + lane] += v2 * c[lane]
        to[3 * L + lane] += v3 * c[lane]


@compiled
def _begin_with(z0: Any, z1: Any, z2: Any, z3: Any, to: Any) -> None:
    L = lanes_of(to)
    for lane in range(len(z0)):
        to[lane], to[L + lane], to[2 * L + lane], to[3 * L + lane] = z0[lane], z1[lane], z2[lane], z3[lane]


@compiled
def _add_squares(off: Any, w0: Any, w1: Any, w2: Any, w3: Any, to: Any) -> None:
    L = lanes_of(off)
    for lane in range(len(to)):
        a0, a1, a2, a3 = off[lane], off[L + lane], off[2 * L + lane], off[3 * L + lane]
        to[lane] += w0 * a0 * a0 + w1 * a1 * a1 + w2 * a2 * a2 + w3 * a3 * a3


@compiled_on_disk
def squares_beside(z: Any, minus_each: Any, by_functions: Any, weight: Any) -> Any:
    """Return the sums over rows of weight times (z + minus_each @ by_functions)^2, (Q,), in float64.

    z is (n, Q) and by_functions (F, Q); minus_each (n or more in fours, F) and weight are 0 beyond n.
    """
    L, (n_rows, n_columns), n_functions = lanes_of(z), z.shape, len(by_functions)
    fours = n_functions - n_functions % 4
    total = np.zeros(n_columns)
    part, off = np.empty(L, z.dtype), np.empty(4 * L, z.dtype)
    for begin in range(0, n_rows, ROWS_OF_A_SUM):
        for left in range(0, n_columns, L):
            right = min(left + L, n_columns)
            part[:] = 0
            for row in range(begin, min(begin + ROWS_OF_A_SUM, n_rows), 4):
                r0, r1, r2, r3 = four(row, n_rows)
                _begin_with(z[r0, left:right], z[r1, left:right], z[r2, left:right], z[r3, left:right], off)
                for f in range(0, fours, 4):
                    add_4_by_4(
                        minus_each,
                        row,
                        f,
                        by_functions[f, left:right],
                        by_functions[f + 1, left:right],
                        by_functions[f + 2, left:right],
                        by_functions[f + 3, left:right],
                        off,
                    )
                for f in range(fours, n_functions):
                    _add_1(minus_each, row, f, by_functions[f, left:right], off)
                w0, w1, w2, w3 = weight[row], weight[row + 1], weight[row + 2], weight[row + 3]
                _add_squares(off, w0, w1, w2, w3, part[: right - left])
            for lane in range(right - left):
                total[left + lane] += part[lane]
    return total
