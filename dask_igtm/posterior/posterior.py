"""The E-step of a few rows at a time, in buffers that stay in cache."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model, RowTerms
from dask_igtm.noise.row_entries import look_up
from dask_igtm.posterior.coordinates import squared_norms
from dask_igtm.posterior.entry_checks import largest_square, refusal
from dask_igtm.posterior.geometry import Geometry, geometry_of
from dask_igtm.posterior.kernels import load_kernel
from dask_igtm.posterior.numpy_kernel import Found, Kernel, softmax
from dask_igtm.posterior.sparse_rows import Products, SparseTile, along, near
from dask_igtm.posterior.tiles import WHOLE_IN_SINGLE, Rows, csr_of, dense, is_sparse, row_tiles, spans

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]
Indices = NDArray[np.intp]

Tile = Any  # an ndarray, or of sparse rows a SparseTile, or CSR where they have axes of their own

TILE_BYTES = 2**21  # of the rows of a tile, and of their responsibilities where these are kept
MOST_ROWS = 4096  # of a tile: many enough to make little of what a tile costs
SINGLE_ERROR = 1e-3  # largest error of a logit with which rows are multiplied in float32
SINGLE_NOISE = 1e-40, 1e40  # noise variances whose rows and slopes float32 holds


class Observed(NamedTuple):
    """A few rows in model coordinates."""

    rows: slice | Indices  # where they are in their block
    Z: Any  # (n, Q), 0 in gaps: an ndarray or a SparseTile
    squared_norm: Array  # (n,)
    terms: RowTerms
    gaps: Real | None  # (n, Q) 1 where an entry is missing, 0 elsewhere; None if none is

    def weight(self, sample_weight: Array | None) -> Array | None:
        """Return the weights of the rows, None where all are 1; a row with nothing observed has 0."""
        weight = None if sample_weight is None else sample_weight[self.rows]
        if self.gaps is None:
            return weight
        seen: Array = (self.gaps == 0).any(axis=1).astype(np.float64)
        return seen if weight is None else seen * weight


class Scores:
    """How near some rows lie to a map.

    Attributes
    ----------
    rows : slice or ndarray of shape (n,)
        Where they are in their block.
    log_mass : ndarray of shape (n,)
        ln sum_k exp(l_k - max l), with l_k = -|x - y_k|^2 / (2 beta_inv).
    log_likelihood : ndarray of shape (n,)
        ln p of what is observed of x, in the user's units.
    entropy : ndarray of shape (n,)
        Of the responsibilities, in nats.
    distance : ndarray of shape (n,)
        Expected squared distance to the nodes, averaged over the responsibilities; 0 if nobody needs it.
    """

    def __init__(self, observed: Observed, found: Found, model: Model) -> None:
        n, noise, gaps = len(observed.Z), model.noise, observed.gaps
        peak, log_mass, spread = (values[:n] for values in found)
        n_missing: Any = 0.0 if gaps is None else gaps.sum(axis=1, dtype=np.float64)
        log_sum = peak + log_mass + observed.terms.rest
        self.rows, self.weight = observed.rows, observed.weight
        self.log_mass = log_mass
        self.log_likelihood = log_sum + noise.log_constant(model, gaps)
        self.entropy = log_mass - spread
        self.distance = noise.distances(observed.squared_norm, peak + spread, n_missing, model)
        self._log_sum, self._saturated = log_sum, observed.terms.saturated
        self._log_nodes = np.log(len(model.basis.nodes))

    @property
    def deviance(self) -> Array:
        """How far ln p of the rows, (n,), is below the largest that rows with these gaps can have.

        It is 0 where all nodes are at x. To be read before the next rows are.
        """
        return np.asarray(np.maximum(self._log_nodes + self._saturated() - self._log_sum, 0.0))


class Posterior(Scores):
    """The posterior of some rows over the nodes; the next one overwrites its responsibilities.

    These lie node by row, some rows side by side, and are read by what they are multiplied with.
    """

    def __init__(
        self,
        observed: Observed,
        found: Found,
        model: Model,
        kernel: type[Kernel],
        R: Real,
        order: Indices | None,
        logits: Callable[[], Array],
    ) -> None:
        super().__init__(observed, found, model)
        self.gaps, self._kernel, self._R, self._order = observed.gaps, kernel, R, order
        self._n_rows, self._logits = len(observed.Z), logits
        self._log_total = found.peak[: self._n_rows] + self.log_mass

    def totals(self, columns: Array) -> Array:
        """Return the sums over the rows of columns (n, T), times the responsibilities, (K, T)."""
        n_parts, _, width = self._R.shape
        padded = np.zeros((n_parts * width, columns.shape[1]))
        padded[: self._n_rows] = columns
        if self._order is not None:
            padded = padded[self._order]
        parts = np.ascontiguousarray(padded.reshape(n_parts, width, -1).swapaxes(1, 2))
        return self._kernel.totals(self._R, parts)

    def expectations(self, values: Array) -> Array:
        """Return the means over the nodes of values (K, C), weighted by the responsibilities, (n, C)."""
        return self._by_row(self._kernel.expectations(self._R, np.ascontiguousarray(values.T)))

    @functools.cached_property
    def responsibilities(self) -> Real:
        """All of them, (n, K)."""
        return self._by_row(self._R)

    @property
    def logarithms(self) -> Array:
        """Logarithms of all, (n, K), of those that are 0 too; to be read before the next rows are."""
        return self._logits() - self._log_total[:, None]

    def by_node(self) -> tuple[Indices, NDArray[np.float32]]:
        """Return all of them in float32, (K, n), as rows lie, and which row each is; 0 beside the rows."""
        values = self._R.swapaxes(0, 1).astype(np.float32, order="C").reshape(self._R.shape[1], -1)
        rows = np.arange(values.shape[1]) if self._order is None else self._order
        values[:, rows >= self._n_rows] = 0.0
        return rows, values

    @property
    def node(self) -> Indices:
        """Index of the largest responsibility, (n,), the first on ties."""
        return np.asarray(self._by_row(self._kernel.largest(self._R)[:, None])[:, 0])

    def _by_row(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return values (parts, C, width) as (n, C)."""
        flat = values.swapaxes(1, 2).reshape(-1, values.shape[1])
        if self._order is not None:
            flat, ordered = np.empty_like(flat), flat
            flat[self._order] = ordered
        return flat[: self._n_rows]


class Sums(NamedTuple):
    """What an E-step adds up of a few rows, beside their products with the responsibilities."""

    g: Array  # (K,)
    exposed: Array | None  # (K,) times exposures, where rows have such
    weight: Array | None
    scores: Scores


class Workspace:
    """The E-step of a model in one precision, and the buffers that its tiles share."""

    def __init__(self, model: Model, kernel: type[Kernel], geometry: Geometry, height: int) -> None:
        self.model, self.geometry, self.forward = model, geometry, kernel.forward
        self.kernel, self.real = kernel(geometry, height), geometry.axis.dtype
        self.lanes = kernel.side_by_side(self.real)
        self.height, n_functions = height, geometry.slopes.shape[1]
        self.t = np.empty((height, n_functions), self.real)

    @functools.cached_property
    def Z(self) -> Real:  # noqa: N802 - see N806
        """Room for rows in model coordinates."""
        return np.empty((self.height, len(self.geometry.slopes)), self.real)

    def observe(self, rows: slice, X: Tile) -> Observed:
        """Take a tile, X[rows], into the workspace."""
        if isinstance(X, SparseTile):
            terms = self.model.noise.terms(X.entries, X.squared_norm, self.model, look_up)
            return Observed(rows, X, X.squared_norm, terms, None)
        with np.errstate(over="ignore", invalid="ignore"):  # rows that overflow show by their norm
            return self._observe(rows, X)

    def _observe(self, rows: slice, X: Tile) -> Observed:
        Z, gaps = self.Z[: X.shape[0]], None
        squared_norm = self._forward(X, Z)
        if self.model.gaps.allowed and np.isnan(squared_norm).any():
            X = dense(X)
            if not self.model.gaps.marginal:
                squared_norm = self._forward(self.model.gaps.filled(X), Z)
            else:
                missing = np.isnan(Z)
                Z[missing] = 0.0
                gaps, squared_norm = missing.astype(Z.dtype), squared_norms(Z)
        terms = self.model.noise.terms(lambda: Z, squared_norm, self.model, self.kernel.look_up)
        return Observed(rows, Z, squared_norm, terms, gaps)

    def _forward(self, X: Tile, Z: Real) -> Array:
        affine = self.model.affine
        if is_sparse(X) and affine.axes is not None:
            Z[:] = along(X, affine, affine.axes)
            return squared_norms(Z)
        return self.forward(X, affine, Z)

    def error(self, observed: Observed) -> float:
        """Return how far rounding may move a logit."""
        largest = max(self.geometry.largest_term, float(observed.terms.size.max()))
        return float(np.finfo(self.real).eps) * largest

    def posterior(self, observed: Observed) -> Posterior:
        """Return the posterior of some rows."""
        if observed.gaps is None:
            found, R, order = self.kernel.softmax(self._meet(observed), self._exposure(observed))
        else:
            (found, R), order = self._softmax_with_gaps(observed, observed.gaps), None
        logits = functools.partial(self._logits, observed)
        return Posterior(observed, found, self.model, type(self.kernel), R, order, logits)

    def sums(self, observed: Observed, sample_weight: Array | None, products: Products) -> Sums:
        """Return what an E-step adds up of some rows, each times its weight; what it multiplies is added.

        An entry that is missing counts with its expectation, which is the centre of the node.
        """
        n, weight = len(observed.Z), observed.weight(sample_weight)
        # Relative to the largest, no weight leaves the range of float32.
        largest = 1.0 if weight is None else float(weight.max()) or 1.0
        relative = np.zeros(n + -n % self.lanes, self.real)
        relative[:n] = 1.0 if weight is None else weight / largest
        if observed.gaps is None:
            exposure = self._exposure(observed)
            found, v, g, exposed = self.kernel.sums(self._meet(observed), relative, exposure)
            if isinstance(observed.Z, SparseTile):
                products.add_tile(observed.Z, np.multiply(largest, v[:, :n].T, order="C", dtype=np.float64))
            else:
                products.add(np.multiply(largest, self.kernel.add_up(v, observed.Z), dtype=np.float64))
                if products.squares:
                    products.squares.add(observed.Z, v, relative, g, largest, self.kernel)
        else:
            found, (R,) = self._softmax_with_gaps(observed, observed.gaps)
            R *= relative[:n]
            g, exposed = R.sum(axis=1, dtype=np.float64), None
            rx = R @ observed.Z + (R @ observed.gaps) * self.model.means.astype(self.real)
            products.add(np.multiply(largest, self.geometry.functions.T @ rx, dtype=np.float64))
            if products.squares:
                products.squares.add_with_gaps(observed.Z, observed.gaps, R, largest)
        exposed = None if exposed is None else largest * exposed
        return Sums(largest * g, exposed, weight, Scores(observed, found, self.model))

    def _exposure(self, observed: Observed) -> Real | None:
        """Return the exposures of the rows, if they have such, followed by zeros."""
        exposure, n = observed.terms.exposure, len(observed.Z)
        return None if exposure is None else np.pad(exposure, (0, -n % self.lanes)).astype(self.real)

    def _meet(self, observed: Observed) -> Real:
        """Return the rows as kernels take them, followed by zeros."""
        n = len(observed.Z)
        t = self.t[: n + -n % self.lanes]
        if isinstance(observed.Z, SparseTile):
            t[:n], t[n:] = observed.Z.t, 0.0
        else:
            self.kernel.meet(observed.Z, t)
        return t

    def _softmax_with_gaps(self, observed: Observed, gaps: Real) -> tuple[Found, Real]:
        """Return what kernels do, without the centres' own squares where entries are missing."""
        logits = self._with_gaps(observed, gaps)
        R = np.empty_like(logits)
        return softmax(logits, self.geometry.bound, R), R[None]

    def _with_gaps(self, observed: Observed, gaps: Real) -> Real:
        geometry, squares = self.geometry, self.model.noise.entry_normalisers(self.model)
        logits: Real = geometry.functions @ (observed.Z @ geometry.slopes).T - geometry.half_squares[:, None]
        logits += squares.astype(self.real) @ gaps.T
        return logits

    def _logits(self, observed: Observed) -> Array:
        """Return the logits of some rows, (n, K)."""
        geometry, Z, exposure = self.geometry, observed.Z, observed.terms.exposure
        if observed.gaps is not None:
            return np.asarray(self._with_gaps(observed, observed.gaps).T, dtype=np.float64)
        t = Z.t if isinstance(Z, SparseTile) else Z @ geometry.slopes
        times = 1.0 if exposure is None else exposure[:, None]
        return np.asarray(t @ geometry.functions.T - times * geometry.half_squares, dtype=np.float64)


def weighted_sum(values: Array, weight: Array | None) -> float:
    """Return the sum of the values of some rows, each times its weight."""
    return float(values.sum() if weight is None else weight @ values)


def weight_of(X: Rows, sample_weight: Array | None) -> float:
    """Return the weight of all rows."""
    return float(X.shape[0] if sample_weight is None else sample_weight.sum())


def posteriors(X: Rows, model: Model, kernel: str, weight: float = 0.0) -> Iterator[Posterior]:
    """Walk an E-step over the rows of a block, of which each is in one posterior.

    Rows of float32, and whole numbers that float32 has, are multiplied in float32 where that is precise
    enough, tile by tile; all others in float64. Either way they are centred in float64.

    Raises ValueError naming the columns where a row is not finite, has gaps that are not allowed, or lies so
    far from the map that sums of its distance would overflow.

    Parameters
    ----------
    X : array of shape (n, D)
    model : Model
    kernel : str
        Name of the kernel, see `load_kernel`.
    weight : float
        Of all rows, where likelihoods are added up.
    """
    kept, seen = len(model.basis.nodes), model.noise.seen(model)
    for workspace, observed in _observed(X, seen, load_kernel(kernel), kept, weight):
        yield workspace.posterior(observed)


def sums(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str, products: Products
) -> Iterator[Sums]:
    """Walk the same E-step for what adds up; the products of the rows are added to `products`."""
    total, seen = weight_of(X, sample_weight), model.noise.seen(model)
    in_columns = products.squares is not None  # which sparse rows do not have
    for workspace, observed in _observed(X, seen, load_kernel(kernel), 0, total, in_columns):
        yield workspace.sums(observed, sample_weight, products)


def _observed(
    X: Rows, model: Model, kernel: type[Kernel], kept: int, weight: float, in_columns: bool = False
) -> Iterator[tuple[Workspace, Observed]]:
    """Yield the rows of a block, those with gaps apart, and where they are; `kept` numbers stay of each.

    Sparse rows are made dense where they have to be there `in_columns`.
    """
    X = csr_of(X) if is_sparse(X) else X
    in_single = X.dtype.kind in "biu" or X.dtype in (np.float16, np.float32)
    in_single &= SINGLE_NOISE[0] <= model.beta_inv <= SINGLE_NOISE[1]
    largest = largest_square(model, weight)

    @functools.cache
    def workspace_of(dtype: type[np.floating[Any]], height: int) -> Workspace:
        return Workspace(model, kernel, geometry_of(model, dtype), height)

    sparse = is_sparse(X) and near(model) and not in_columns
    for rows, tile, height in _tiles(X, model, kernel, np.float32 if in_single else np.float64, kept, sparse):
        workspace = workspace_of(np.float32 if in_single and _held_in_single(tile) else np.float64, height)
        observed = workspace.observe(rows, tile)
        if workspace.real == np.float32 and not workspace.error(observed) <= SINGLE_ERROR:
            workspace = workspace_of(np.float64, height)
            observed = workspace.observe(rows, tile)
        if not observed.squared_norm.max() <= largest:
            raise refusal(X, model, largest)
        for part in _parts(observed, rows):
            yield workspace, part


def _tiles(
    X: Rows, model: Model, kernel: type[Kernel], real: type[np.floating[Any]], kept: int, sparse: bool
) -> Iterator[tuple[slice, Tile, int]]:
    """Yield where tiles are, their rows, and how many these are at most.

    They stay `sparse` where they may and no entry is missing.
    """
    n_rows, geometry = X.shape[0], geometry_of(model, real)
    in_model = _height(geometry, kernel, n_rows, max(kept, len(geometry.slopes)))
    if not sparse:
        for rows, tile in row_tiles(X, in_model):
            yield rows, tile, in_model
        return
    rotated = model.affine.axes is not None
    height = in_model if rotated else _height(geometry, kernel, n_rows, max(kept, geometry.slopes.shape[1]))
    for rows in spans(X.shape, height):
        if rotated:
            yield rows, X[rows], height
        elif np.isfinite(X.data[X.indptr[rows.start] : X.indptr[rows.stop]]).all():
            yield rows, SparseTile(X, rows, model, kernel), height
        else:
            for inner, tile in row_tiles(X[rows], in_model):
                yield slice(rows.start + inner.start, rows.start + inner.stop), tile, in_model


def _height(geometry: Geometry, kernel: type[Kernel], n_rows: int, numbers: int) -> int:
    """Return how many rows make a tile, which has so many numbers of each."""
    lanes = kernel.side_by_side(geometry.axis.dtype)
    numbers = max(numbers, len(geometry.further) if lanes == 1 else 0)
    most = min(MOST_ROWS, TILE_BYTES // (geometry.axis.itemsize * numbers))
    height = max(1, min(n_rows, most))
    return height + -height % lanes


def _held_in_single(X: Tile) -> bool:
    """Whether float32 has every number of a tile."""
    if not isinstance(X, np.ndarray) or X.dtype.kind not in "iu" or X.dtype.itemsize <= 2 or X.size == 0:
        return True
    return bool(X.max() < WHOLE_IN_SINGLE and X.min() > -WHOLE_IN_SINGLE)


def _parts(observed: Observed, rows: slice) -> Iterator[Observed]:
    """Yield the rows without gaps and those with gaps, which take longer."""
    _, Z, squared_norm, terms, gaps = observed
    incomplete = np.asarray(False if gaps is None else gaps.any(axis=1))
    if gaps is None or incomplete.all():  # of sparse tiles too
        yield observed
        return
    for kind in (~incomplete, incomplete):
        mask = gaps[kind] if kind is incomplete else None
        part = terms._replace(
            rest=terms.rest[kind],
            size=terms.size[kind],
            saturated=functools.partial(_some, terms.saturated, kind),
        )
        yield Observed(np.arange(rows.start, rows.stop)[kind], Z[kind], squared_norm[kind], part, mask)


def _some(values: Callable[[], Any], kind: NDArray[np.bool_]) -> Any:
    """Return the values of some rows, or the one of all."""
    found = values()
    return found[kind] if np.ndim(found) else found
