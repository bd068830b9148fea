"""What is read off responsibilities (parts, K, w), w rows side by side, compiled: few columns, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_igtm.posterior.compiled import compiled, compiled_on_disk

MOST_COLUMNS = 8  # of more BLAS makes as short work


@compiled
def _add_four(v: Any, c: int, node: int, R: Any, out: Any) -> None:
    """Add v[c, node:node+4] @ R[node:node+4] to out."""
    v0, v1, v2, v3 = v[c, node], v[c, node + 1], v[c, node + 2], v[c, node + 3]
    r0, r1, r2, r3 = R[node], R[node + 1], R[node + 2], R[node + 3]
    for row in range(len(out)):
        out[row] += v0 * r0[row] + v1 * r1[row] + v2 * r2[row] + v3 * r3[row]


@compiled
def _add_one(factor: float, R: Any, out: Any) -> None:
    for row in range(len(out)):
        out[row] += factor * R[row]


@compiled_on_disk
def expectations(v: Any, R: Any) -> Any:
    """Return the sums over the nodes of v (C, K) times R, (parts, C, w)."""
    n_parts, n_nodes, width = R.shape
    fours = n_nodes - n_nodes % 4
    out = np.zeros((n_parts, len(v), width))
    for part in range(n_parts):
        for c in range(len(v)):
            for node in range(0, fours, 4):
                _add_four(v, c, node, R[part], out[part, c])
            for node in range(fours, n_nodes):
                _add_one(v[c, node], R[part, node], out[part, c])
    return out


@compiled
def _dot(a: Any, b: Any) -> float:
    total = 0.0
    for row in range(len(a)):
        total += a[row] * b[row]
    return total


@compiled_on_disk
def totals(columns: Any, R: Any) -> Any:
    """Return the sums over the rows of columns (parts, C, w) times R, (K, C)."""
    n_parts, n_nodes, _ = R.shape
    out = np.zeros((n_nodes, columns.shape[1]))
    for part in range(n_parts):
        for node in range(n_nodes):
            for c in range(columns.shape[1]):
                out[node, c] += _dot(columns[part, c], R[part, node])
    return out


@compiled
def _take_larger(R: Any, node: int, best: Any, at: Any) -> None:
    for row in range(len(R)):
        larger = R[row] > best[row]
        best[row] = R[row] if larger else best[row]
        at[row] = node if larger else at[row]


@compiled_on_disk
def largest(R: Any) -> Any:
    """Return at which node each row has its largest responsibility, the first on ties, (parts, w)."""
    n_parts, n_nodes, width = R.shape
    at = np.zeros((n_parts, width), np.int32)
    best = np.empty(width, R.dtype)
    for part in range(n_parts):
        best[:] = R[part, 0]
        for node in range(1, n_nodes):
            _take_larger(R[part, node], np.int32(node), best, at[part])
    return at
