"""Products of sparse rows with the few functions of a map, and back, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from dask_igtm.posterior.compiled import ORDINARY, compiled_on_disk


@compiled_on_disk(math=ORDINARY)  # type: ignore[untyped-decorator] # entries may be so large that their squares are none
def meet(data: Any, indices: Any, indptr: Any, table: Any, t: Any, norms: Any) -> None:
    """Write what the entries of rows of CSR add to t (n, F), and to norms (n,); see `SparseGeometry`."""
    n_functions = t.shape[1]
    total = np.empty(n_functions)
    for row in range(len(norms)):
        total[:] = 0.0
        norm = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            x, of_column = np.float64(data[entry]), table[indices[entry]]
            for f in range(n_functions):
                total[f] += x * of_column[f]
            norm += x * (x * of_column[n_functions] + of_column[n_functions + 1])
        t[row] = total
        norms[row] = norm


@compiled_on_disk
def add_up(data: Any, indices: Any, indptr: Any, v: Any, total: Any) -> None:
    """Add the transpose of rows of CSR (n, D) times v (n, F) to total (D, F)."""
    n_functions = v.shape[1]
    for row in range(len(v)):
        of_row = v[row]
        for entry in range(indptr[row], indptr[row + 1]):
            x, to = np.float64(data[entry]), total[indices[entry]]
            for f in range(n_functions):
                to[f] += x * of_row[f]
