"""How good a map of some rows is, in a few figures from one pass over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import diags_array
from sklearn.manifold import trustworthiness
from sklearn.utils import check_random_state
from sklearn.utils.random import sample_without_replacement

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.model.checks import check_whole
from dask_igtm.model.model import Model
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.row_outputs import impute, project
from dask_igtm.posterior.tiles import Rows, dense, is_sparse
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.validate import fitted_map, map_estimator, rows_of, seed_of
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.row_subsets import PickedRows, pick, weighted_draw

Array = NDArray[np.float64]

N_NEIGHBORS, N_SAMPLE = 5, 2000  # by default
WHO = "A sample of rows"  # for messages
DEAD = 0.5  # rows
ROUNDING = 1e-6  # of a sum of weights, as responsibilities in float32 have it


@dataclass(frozen=True)
class Quality:
    """How good a map of some rows is; prints as a small table.

    Attributes
    ----------
    n_samples : int or float
        Rows that have an entry, each times its weight.
    log_likelihood : float
        Mean of ln p(x) per row, a density in the units of X.
    bic : float
        Bayesian information criterion over all rows, see `quality`; the lower, the better.
    dead_nodes : float
        Share of the nodes whose responsibilities sum to less than half a row.
    trustworthiness : float
        Of the map: 1 if neighbours on the map are neighbours in data space.
    continuity : float
        The converse: 1 if neighbours in data space are neighbours on the map.
    n_sample : int
        Rows of the sample in which neighbours were sought.
    n_neighbors : int
        How many of each row.
    """

    n_samples: float
    log_likelihood: float
    bic: float
    dead_nodes: float
    trustworthiness: float
    continuity: float
    n_sample: int
    n_neighbors: int

    def __str__(self) -> str:
        near = f"{self.n_neighbors} neighbours, {self.n_sample} rows"
        lines = (
            ("rows", f"{self.n_samples:.12g}", ""),
            ("log-likelihood", f"{self.log_likelihood:.6g}", "mean of ln p(x) per row"),
            ("BIC", f"{self.bic:.6g}", "lower is better"),
            ("dead nodes", f"{self.dead_nodes:.1%}", f"below {DEAD:g} rows"),
            ("trustworthiness", f"{self.trustworthiness:.4f}", near),
            ("continuity", f"{self.continuity:.4f}", near),
        )
        return "\n".join(f"{name:<16}{value:>12}  {note}".rstrip() for name, value, note in lines)


@dataclass(frozen=True)
class _Sums:
    statistics: SufficientStatistics
    sample: PickedRows

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.statistics + other.statistics, self.sample + other.sample)


def quality(
    model: Any,
    X: Any,
    sample_weight: Any = None,
    *,
    n_neighbors: int = N_NEIGHBORS,
    n_sample: int = N_SAMPLE,
    random_state: Any = None,
) -> Quality:
    """Say how good a map of some rows is; computes, in one pass, before which weights are read by themselves.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted, to these rows or to others.
    X : as in `IGTM.fit`; shape (n, D)
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts. Likelihood, BIC, whose n is the sum of weights, and dead nodes are those of
        rows repeated so often. Neighbours are sought among rows of which none stands twice, drawn by their
        weights.
    n_neighbors : int, default=5
        Neighbours of a row, for trustworthiness and continuity.
    n_sample : int, default=2000
        Rows, drawn from all of X, in which neighbours are sought: they alone come into memory, with
        matrices of their distances, (n_sample, n_sample).
    random_state : int, RandomState or None, default=None
        Seeds that draw; None takes that of `model`. The rows drawn do not depend on how X is chunked.

    Returns
    -------
    Quality
        `bic` is -2 times the sum of ln p(x), plus ln(n) for each free parameter: the (M + 1) * Q weights
        of the sheet in Q model coordinates, and the noise variance, or one a column. The ridge ties these
        down, so that their effective number is smaller. Neighbours are sought in model coordinates, in which
        the map was fitted (with gaps filled as the map does, or by their expectations), and at the posterior
        means.

    Raises
    ------
    TypeError
        If `model` is not a fitted map.
    ValueError
        If chunk sizes of X are unknown, there are too few rows for so many neighbours, or X or the weights
        cannot be used.

    References
    ----------
    P. S. Efraimidis, P. G. Spirakis (2006). Weighted random sampling with a reservoir. Information
    Processing Letters 97, 181-185.

    J. Venna, S. Kaski (2001). Neighborhood preservation in nonlinear projection methods: an experimental
    study. ICANN 2001, 485-491.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, quality
    >>> X = load_iris().data
    >>> igtm = IGTM(k=8, scale="standard").fit(X)
    >>> quality(igtm, X).n_samples
    150
    """
    fitted, seed = fitted_map(model), random_state
    check_whole("n_neighbors", n_neighbors, least=1)
    check_whole("n_sample", n_sample, least=1)
    rows = rows_of(model, X, sample_weight).numbered(WHO)
    if seed is None:
        seed = map_estimator(model).random_state
    chosen = sample_of(rows, n_sample, seed)
    if 2 * n_neighbors >= len(chosen):
        raise ValueError(
            f"n_neighbors={n_neighbors} of {len(chosen)} rows; neighbours say something where there are less "
            f"than half as many as rows: give fewer of them, or more rows (n_sample={n_sample})."
        )
    sums: _Sums = fitted.reduce(rows, _sums, chosen, label="igtm-quality")
    return quality_of(fitted, sums.statistics.g, sums.statistics.log_likelihood, sums.sample.X, n_neighbors)


def sample_of(rows: RowBlocks, n_sample: int, random_state: Any) -> NDArray[np.int64]:
    """Return the sorted numbers of `n_sample` of the rows, which are numbered, or of all that have weight."""
    n_rows, random = rows.X.shape[0], check_random_state(random_state)
    if rows.sample_weight is not None:
        weights = RowBlocks(rows.sample_weight[:, None], y=rows.y, in_memory=rows.in_memory)
        drawn = reduce(prepare(weights), weighted_draw, n_sample, seed_of(random), label="igtm-quality")
        return np.sort(drawn.numbers)
    if n_sample >= n_rows:
        return np.arange(n_rows)
    return np.sort(sample_without_replacement(n_rows, n_sample, random_state=random)).astype(np.int64)


def _sums(
    X: Rows,
    sample_weight: Array | None,
    numbers: NDArray[np.int64],
    model: Model,
    kernel: str,
    chosen: Any,
) -> _Sums:
    return _Sums(e_step(X, sample_weight, model, kernel), pick(X, numbers, chosen))


def quality_of(fitted: FittedMap, g: Array, log_likelihood: float, sample: Rows, n_neighbors: int) -> Quality:
    """Return the figures of rows that weigh `g` (K,) at the nodes, of their sum of ln p, and of a sample."""
    model, weight = fitted.model, float(g.sum())
    if weight < LEAST_WEIGHT:
        raise ValueError("No row of X has an entry and a weight; give rows that have both.")
    n_parameters = model.weights.size + model.noise.n_parameters(model)
    (means,) = project(sample, model, fitted.kernel, fitted.outputs(("means",)))
    Z = _near_each_other(sample, model, fitted.kernel)
    return Quality(
        n_samples=round(weight) if abs(weight - round(weight)) <= ROUNDING * weight else weight,
        log_likelihood=log_likelihood / weight,
        bic=float(n_parameters * np.log(weight) - 2.0 * log_likelihood),
        dead_nodes=float(np.mean(g < DEAD)),
        trustworthiness=float(trustworthiness(Z, means, n_neighbors=n_neighbors)),
        continuity=float(trustworthiness(means, Z, n_neighbors=n_neighbors)),
        n_sample=sample.shape[0],
        n_neighbors=n_neighbors,
    )


def _near_each_other(X: Rows, model: Model, kernel: str) -> Any:
    """Return rows whose distances are those in model coordinates; sparse ones without gaps stay sparse.

    Of counts they are those in which the map began.
    """
    if is_sparse(X) and np.isfinite(X.data).all():
        per_scale = diags_array(1.0 / model.affine.scale)
        return model.noise.plane_rows(X) @ (
            per_scale if model.affine.axes is None else per_scale @ model.affine.axes
        )
    X = dense(X).astype(np.float64)
    filled = impute(X, model, kernel)[0] if model.gaps.marginal else model.gaps.filled(X)
    return model.affine.forward(model.noise.plane_rows(filled))
