"""Products of rows with the few functions of a map, and back, compiled: BLAS is slow at so narrow ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_igtm.posterior.compiled import compiled, compiled_on_disk, lanes_of

# Measured: with more functions, or fewer columns, BLAS is as fast.
MOST_FUNCTIONS = {np.dtype(np.float64): 65, np.dtype(np.float32): 26}
FEWEST_COLUMNS = {np.dtype(np.float64): 32, np.dtype(np.float32): 128}
ROWS_OF_A_SUM = 256  # in the precision of the rows, before it is added to others in float64


def pays(n_columns: int, n_functions: int, real: Any) -> bool:
    """Whether these products are faster than those of BLAS."""
    dtype = np.dtype(real)
    return n_columns >= FEWEST_COLUMNS[dtype] and n_functions <= MOST_FUNCTIONS[dtype]


@compiled
def _dot_4_by_4(z: Any, rows: Any, slopes: Any, f: int, t: Any, to: int) -> None:
    """Set t[to:to+4, f:f+4] to z[rows] @ slopes[f:f+4].T."""
    z0, z1, z2, z3 = z[rows[0]], z[rows[1]], z[rows[2]], z[rows[3]]
    s0, s1, s2, s3 = slopes[f], slopes[f + 1], slopes[f + 2], slopes[f + 3]
    nought = z0[0] - z0[0]
    t00 = t01 = t02 = t03 = nought
    t10 = t11 = t12 = t13 = nought
    t20 = t21 = t22 = t23 = nought
    t30 = t31 = t32 = t33 = nought
    for q in range(len(z0)):
        a0, a1, a2, a3 = z0[q], z1[q], z2[q], z3[q]
        b0, b1, b2, b3 = s0[q], s1[q], s2[q], s3[q]
        t00, t01, t02, t03 = t00 + a0 * b0, t01 + a0 * b1, t02 + a0 * b2, t03 + a0 * b3
        t10, t11, t12, t13 = t10 + a1 * b0, t11 + a1 * b1, t12 + a1 * b2, t13 + a1 * b3
        t20, t21, t22, t23 = t20 + a2 * b0, t21 + a2 * b1, t22 + a2 * b2, t23 + a2 * b3
        t30, t31, t32, t33 = t30 + a3 * b0, t31 + a3 * b1, t32 + a3 * b2, t33 + a3 * b3
    t[to, f], t[to, f + 1], t[to, f + 2], t[to, f + 3] = t00, t01, t02, t03
    t[to + 1, f], t[to + 1, f + 1], t[to + 1, f + 2], t[to + 1, f + 3] = t10, t11, t12, t13
    t[to + 2, f], t[to + 2, f + 1], t[to + 2, f + 2], t[to + 2, f + 3] = t20, t21, t22, t23
    t[to + 3, f], t[to + 3, f + 1], t[to + 3, f + 2], t[to + 3, f + 3] = t30, t31, t32, t33


@compiled
def _dot_4_by_1(z: Any, rows: Any, slopes: Any, f: int, t: Any, to: int) -> None:
    z0, z1, z2, z3, s = z[rows[0]], z[rows[1]], z[rows[2]], z[rows[3]], slopes[f]
    t0 = t1 = t2 = t3 = z0[0] - z0[0]
    for q in range(len(s)):
        t0, t1, t2, t3 = t0 + z0[q] * s[q], t1 + z1[q] * s[q], t2 + z2[q] * s[q], t3 + z3[q] * s[q]
    t[to, f], t[to + 1, f], t[to + 2, f], t[to + 3, f] = t0, t1, t2, t3


@compiled
def four(row: int, n_rows: int) -> Any:
    """Return a row and the next three, the last row again after it: a row has the same bits at any place."""
    last = n_rows - 1
    return row, min(row + 1, last), min(row + 2, last), min(row + 3, last)


@compiled_on_disk
def meet(z: Any, slopes: Any, t: Any) -> None:
    """Write z (n, Q) @ slopes (F, Q).T to t; it has n rows or more in fours, which may get any values."""
    n_functions = len(slopes)
    fours = n_functions - n_functions % 4
    for row in range(0, len(z), 4):
        rows = four(row, len(z))
        for f in range(0, fours, 4):
            _dot_4_by_4(z, rows, slopes, f, t, row)
        for f in range(fours, n_functions):
            _dot_4_by_1(z, rows, slopes, f, t, row)


@compiled
def _add_4_by_4(v: Any, f: int, row: int, z0: Any, z1: Any, z2: Any, z3: Any, to: Any) -> None:
    """Add v[f:f+4, row:row+4] @ [z0, z1, z2, z3] to four rows of lanes."""
    L = lanes_of(to)
    v00, v01, v02, v03 = v[f, row], v[f, row + 1], v[f, row + 2], v[f, row + 3]
    v10, v11, v12, v13 = v[f + 1, row], v[f + 1, row + 1], v[f + 1, row + 2], v[f + 1, row + 3]
    v20, v21, v22, v23 = v[f + 2, row], v[f + 2, row + 1], v[f + 2, row + 2], v[f + 2, row + 3]
    v30, v31, v32, v33 = v[f + 3, row], v[f + 3, row + 1], v[f + 3, row + 2], v[f + 3, row + 3]
    for lane in range(len(z0)):
        a0, a1, a2, a3 = z0[lane], z1[lane], z2[lane], z3[lane]
        to[lane] += v00 * a0 + v01 * a1 + v02 * a2 + v03 * a3
        to[L + lane] += v10 * a0 + v11 * a1 + v12 * a2 + v13 * a3
        to[2 * L + lane] += v20 * a0 + v21 * a1 + v22 * a2 + v23 * a3
        to[3 * L + lane] += v30 * a0 + v31 * a1 + v32 * a2 + v33 * a3


@compiled
def _add_1_by_4(v: Any, f: int, row: int, z0: Any, z1: Any, z2: Any, z3: Any, to: Any) -> None:
    v0, v1, v2, v3 = v[f, row], v[f, row + 1], v[f, row + 2], v[f, row + 3]
    for lane in range(len(z0)):
        to[lane] += v0 * z0[lane] + v1 * z1[lane] + v2 * z2[lane] + v3 * z3[lane]


@compiled_on_disk
def add_up(v: Any, z: Any) -> Any:
    """Return v @ z (n, Q) in float64, where v (F, n or more in fours) is 0 beyond n."""
    L, (n_rows, n_columns), n_functions = lanes_of(z), z.shape, len(v)
    fours = n_functions - n_functions % 4
    total = np.zeros((n_functions, n_columns))
    part = np.empty(n_functions * L, z.dtype)
    for begin in range(0, n_rows, ROWS_OF_A_SUM):
        for left in range(0, n_columns, L):
            right = min(left + L, n_columns)
            part[:] = 0
            for row in range(begin, min(begin + ROWS_OF_A_SUM, n_rows), 4):
                r0, r1, r2, r3 = four(row, n_rows)
                z0, z1, z2, z3 = z[r0, left:right], z[r1, left:right], z[r2, left:right], z[r3, left:right]
                for f in range(0, fours, 4):
                    _add_4_by_4(v, f, row, z0, z1, z2, z3, part[f * L : (f + 4) * L])
                for f in range(fours, n_functions):
                    _add_1_by_4(v, f, row, z0, z1, z2, z3, part[f * L : (f + 1) * L])
            for f in range(n_functions):
                here, sums = total[f, left:right], part[f * L : (f + 1) * L]
                for lane in range(len(here)):
                    here[lane] += sums[lane]
    return total
