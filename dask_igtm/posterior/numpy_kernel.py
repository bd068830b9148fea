"""The softmax of a tile of rows: what a kernel is, and NumPy's, which is complete and simple."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.affine import Affine
from dask_igtm.noise.row_entries import look_up
from dask_igtm.posterior.coordinates import numpy_forward
from dask_igtm.posterior.geometry import Geometry

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]


class Found(NamedTuple):
    """What the softmax of some rows found; three arrays of shape (n,)."""

    peak: Array  # largest logit
    log_mass: Array  # ln sum_k exp(logit - peak)
    spread: Array  # mean of (logit - peak) over the responsibilities


class Kernel(Protocol):
    """The softmax of tiles of at most some height under one map, in buffers of its own.

    Rows are given as t = z @ slopes, in an array (n, q * q + 1) of the precision of the geometry.
    """

    forward: ClassVar[Callable[[NDArray[Any], Affine, Real], Array]]  # see `numpy_forward`

    @staticmethod
    def side_by_side(real: Any) -> int:
        """Return w, how many rows lie side by side in that precision; n has to be a multiple of it."""
        ...

    def __init__(self, geometry: Geometry, height: int) -> None: ...

    def meet(self, Z: Real, t: Real) -> None:
        """Write t of rows Z (n, Q) to t, 0 beyond n."""
        ...

    def add_up(self, v: Real, Z: Real) -> Real:
        """Return v @ Z, (q * q + 1, Q), where v has 0 beyond the rows Z (n, Q)."""
        ...

    @staticmethod
    def look_up(Z: Real, by: Array, table: Array) -> tuple[Array, Array, bool]:
        """Return what `row_entries.look_up` does of dense rows."""
        ...

    @staticmethod
    def squares_beside(Z: Real, each: Real, by_functions: Real, weight: Real) -> tuple[Array, Array]:
        """Return sums over rows, times their weights, of squares (Q,) and of products (F, F).

        Squares are those of Z (n, Q) beside `each.T @ by_functions`, with by_functions (F, Q), and products
        those of each (F, n or more) with itself; `each` and `weight` are 0 beyond n.
        """
        ...

    @staticmethod
    def meet_sparse(X: csr_array, rows: slice, table: Array, t: Array, norms: Array) -> None:
        """Write what the entries of some rows of X add to t (n, F) and norms (n,); see `SparseGeometry`."""
        ...

    @staticmethod
    def add_up_sparse(X: csr_array, rows: slice, v: Array, total: Array) -> None:
        """Add the transpose of some rows of X times v (n, F) to total (D, F)."""
        ...

    def softmax(self, t: Real, exposure: Real | None = None) -> tuple[Found, Real, Indices | None]:
        """Return the responsibilities, (n / w, K, w): w rows side by side. The next call overwrites them.

        Normalisers of the nodes are multiplied by the exposures of the rows, (n,), where there are any. Last
        comes the order in which the rows lie there, if it is not their own.
        """
        ...

    def sums(
        self, t: Real, weight: Real, exposure: Real | None = None
    ) -> tuple[Found, Real, Array, Array | None]:
        """Return v, (q * q + 1, n), and g, (K,), of responsibilities R, (K, n), each row times its weight.

        v are the rows in terms of the functions, `functions.T @ R`; g are sums over the rows. Last come the
        same sums of rows times their exposures, where there are any.
        """
        ...

    # R (parts, K, w) are responsibilities as `softmax` returns them, or of any other w.

    @staticmethod
    def totals(R: Real, columns: Array) -> Array:
        """Return the sums over the rows of columns (parts, C, w), times the responsibilities, (K, C)."""
        ...

    @staticmethod
    def expectations(R: Real, values: Array) -> Array:
        """Return the means over the nodes of values (C, K), weighted by responsibilities, (parts, C, w)."""
        ...

    @staticmethod
    def largest(R: Real) -> Indices:
        """Return at which node each row has its largest responsibility, (parts, w), the first on ties."""
        ...


class NumpyKernel:
    """Two small products with the axis functions, forth and back, around NumPy's exponential."""

    forward: ClassVar[Callable[[NDArray[Any], Affine, Real], Array]] = staticmethod(numpy_forward)

    @staticmethod
    def side_by_side(real: Any) -> int:  # noqa: ARG004
        """See `Kernel`."""
        return 1

    def __init__(self, geometry: Geometry, height: int) -> None:
        self.geometry = geometry
        # Apart in memory: NumPy 1.26 takes neighbours for one array, and its exponential then has other bits.
        self.buffers = [np.empty(len(geometry.further) * height, geometry.axis.dtype) for _ in range(2)]
        self.further_and_half = np.column_stack([geometry.further, -geometry.half_squares])

    def meet(self, Z: Real, t: Real) -> None:
        """See `Kernel`."""
        np.matmul(Z, self.geometry.slopes, out=t)

    def add_up(self, v: Real, Z: Real) -> Real:
        """See `Kernel`."""
        return v @ Z

    @staticmethod
    def look_up(Z: Real, by: Array, table: Array) -> tuple[Array, Array, bool]:
        """See `Kernel`."""
        return look_up(Z, by, table)

    @staticmethod
    def squares_beside(Z: Real, each: Real, by_functions: Real, weight: Real) -> tuple[Array, Array]:
        """See `Kernel`."""
        n = len(Z)
        beside = Z - each[:, :n].T @ by_functions
        np.square(beside, out=beside)
        root = each * np.sqrt(weight, dtype=np.float64)
        return np.asarray(weight[:n] @ beside, dtype=np.float64), root @ root.T

    @staticmethod
    def meet_sparse(X: csr_array, rows: slice, table: Array, t: Array, norms: Array) -> None:
        """See `Kernel`."""
        entries, (of_squares, of_entries) = X[rows].astype(np.float64), table[:, -2:].T
        t[:] = entries @ table[:, :-2]
        norms[:] = entries**2 @ of_squares + entries @ of_entries

    @staticmethod
    def add_up_sparse(X: csr_array, rows: slice, v: Array, total: Array) -> None:
        """See `Kernel`."""
        total += X[rows].T @ v

    def softmax(self, t: Real, exposure: Real | None = None) -> tuple[Found, Real, None]:
        """See `Kernel`."""
        (k, q), n = self.geometry.axis.shape, len(t)
        logits, R = (buffer[: k * k * n].reshape(k * k, n) for buffer in self.buffers)
        T = np.append(t.T, np.ones((1, n), t.dtype) if exposure is None else exposure[None], axis=0)
        inner = self.geometry.axis @ T[: q * q].reshape(q, q, n)
        np.matmul(self.geometry.axis, inner.reshape(q, k * n), out=logits.reshape(k, k * n))
        logits += np.matmul(self.further_and_half, T[q * q :], out=R)
        return softmax(logits, self.geometry.bound, R), R[None], None

    def sums(
        self, t: Real, weight: Real, exposure: Real | None = None
    ) -> tuple[Found, Real, Array, Array | None]:
        """See `Kernel`."""
        found, (R,), _ = self.softmax(t, exposure)
        R *= weight
        (k, q), n = self.geometry.axis.shape, len(t)
        back = self.geometry.axis.T
        v = np.empty((q * q + 1, n), t.dtype)
        np.matmul(back, (back @ R.reshape(k, k * n)).reshape(q, k, n), out=v[:-1].reshape(q, q, n))
        np.matmul(self.geometry.further, R, out=v[-1])
        exposed = None if exposure is None else R @ exposure.astype(np.float64)
        return found, v, R.sum(axis=1, dtype=np.float64), exposed

    @staticmethod
    def totals(R: Real, columns: Array) -> Array:
        """See `Kernel`."""
        # BLAS is faster at this product than at its transpose.
        return np.asarray((columns @ R.swapaxes(1, 2)).sum(axis=0).T)

    @staticmethod
    def expectations(R: Real, values: Array) -> Array:
        """See `Kernel`."""
        return values @ R

    @staticmethod
    def largest(R: Real) -> Indices:
        """See `Kernel`."""
        return np.asarray(R.argmax(axis=1))


def softmax(logits: Real, bound: float, R: Real) -> Found:
    """Write the responsibilities of logits (K, n), which are lost, to R."""
    peak = logits.max(axis=0)
    logits -= peak
    np.maximum(logits, bound, out=logits)
    np.exp(logits, out=R)
    R *= logits > R.dtype.type(bound)
    mass = np.ones(len(R), R.dtype) @ R
    spread = np.einsum("kn,kn->n", R, logits) / mass
    R /= mass
    return Found(peak.astype(np.float64), np.log(mass.astype(np.float64)), spread.astype(np.float64))
