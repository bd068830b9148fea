"""How a tree of maps grows: each level divides the maps of the one before, and fits a map to each region."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.fitting.checkpoint_many import CheckpointMany
from dask_igtm.fitting.fit_many import Candidate, Refused, fit_together
from dask_igtm.fitting.result import Fit
from dask_igtm.fitting.settings import Settings
from dask_igtm.landscape.division import divide
from dask_igtm.model.map_tree import NONE, MapTree
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.posterior.posterior import weight_of
from dask_igtm.posterior.tiles import csr_of, is_sparse
from dask_igtm.solvers.em import State
from dask_igtm.statistics.node_sums import node_weights
from dask_igtm.statistics.region_shares import RegionShares, RowsWithShares
from dask_igtm.statistics.row_subsets import Sums, sums
from dask_igtm.statistics.tree_sums import gains_of

logger = logging.getLogger("dask_igtm")

Array = NDArray[np.float64]

HELD_OUT, TRAIN = 0, 1  # parts of the rows
KEPT = "kept"
NO_GAIN, COLLAPSED = "no gain on rows held out", "collapsed onto a point"


@dataclass(frozen=True)
class Plan:
    """What a tree is to become.

    Attributes
    ----------
    settings : Settings
        Of the children.
    n_regions : int or "auto"
        Of each map.
    max_depth : int
        How many maps may lie above one.
    min_samples : float
        The least weight of the rows of a region.
    """

    settings: Settings
    n_regions: int | str
    max_depth: int
    min_samples: float


@dataclass(frozen=True)
class Trial:
    """A map that was tried, or the root.

    Attributes
    ----------
    name : str
        That of the map in the tree; see `MapTree.name`.
    parent : str
        That of the map of which it is one of a region; empty of the root.
    region : int
        Number of that region, -1 of the root.
    n_rows : float
        Weight of the rows that it was fitted to.
    n_passes : float
        Passes over the data that its fit took, those before its first iteration not counted.
    gain, gain_error : float
        By how much the mean of ln p(x) over the rows held out grows with it, at least, and the standard error
        of that; NaN of the root, and where there was no fit.
    outcome : str
        "kept", or why it was not.
    """

    name: str
    parent: str
    region: int
    n_rows: float
    n_passes: float
    gain: float
    gain_error: float
    outcome: str


@dataclass(frozen=True)
class Grown:
    """A tree of maps, the fit of each by its number, and all that was tried."""

    tree: MapTree
    fits: tuple[Fit, ...]
    trials: tuple[Trial, ...]


class Saved(Protocol):
    """What opens the checkpoint of a level."""

    def __call__(self, level: int, rows: RowBlocks, candidates: Sequence[Candidate]) -> CheckpointMany:
        """Return it, for candidates fitted to those rows."""


@dataclass(frozen=True)
class Run:
    """What belongs to a run, and not to the tree.

    Attributes
    ----------
    rows : RowBlocks
        With the part to which each belongs as `y`: 0 is held out, 1 is for fits.
    n_fitted : float
        How many are for fits, about.
    persist, names
        As `persist` and `feature_names` of `fit`.
    saved : callable or None
        Opens the checkpoint of a level.
    tell : callable
        As in `fit_many`; what it says is heeded at the end of a level too.
    """

    rows: RowBlocks
    n_fitted: float
    persist: bool | str
    names: Sequence[str] | None
    saved: Saved | None = None
    tell: Callable[[Sequence[State]], bool] = lambda _: False

    @property
    def for_fits(self) -> RowBlocks:
        """The rows, of which those held out have no weight."""
        weight = 1.0 if self.rows.sample_weight is None else self.rows.sample_weight
        used: Any = self.rows.y
        used = used.map_blocks(_is_for_fits, dtype=np.float64, meta=np.empty(0))
        return dataclasses.replace(self.rows, sample_weight=used * weight, y=None)


@dataclass
class _Growing:
    tree: MapTree
    fits: list[Fit]
    trials: list[Trial]
    asked: bool = False  # to stop
    weights: dict[int, Array] = field(default_factory=dict)  # of the nodes of the newest maps


def grow(run: Run, root: Fit, plan: Plan) -> Grown:
    """Grow a tree on a map that is fitted.

    Each level takes a pass for the moments of all of its maps, those of the one that takes most iterations,
    one for their likelihoods, and one that judges them and weighs their nodes; and the first one more, which
    weighs the nodes of the root.

    Parameters
    ----------
    run : Run
    root : Fit
        To the rows that are not held out.
    plan : Plan

    Raises
    ------
    ValueError
        If no row with weight is held out.
    """
    now = _Growing(
        MapTree.of_root(root.model),
        [root],
        [Trial("root", "", NONE, root.n_samples, root.n_passes, math.nan, math.nan, KEPT)],
    )
    if plan.max_depth and root.n_samples >= 2 * plan.min_samples:
        now.weights = {0: _weighed(run, root.model)}
    for level in range(1, plan.max_depth + 1):
        regions = [] if now.asked else _divided(now, plan)
        if not regions:
            break
        _grow_level(now, run, plan, regions, level)
    return Grown(now.tree, tuple(now.fits), tuple(now.trials))


def _weighed(run: Run, root: Model) -> Array:
    """Return the weights of the nodes of the root, and see that there are rows to judge by; one pass."""
    found: Sums = reduce(prepare(run.rows), _weigh, root, best_kernel(), label="igtm-nodes")
    of_nodes, held_out = found.each
    if held_out < LEAST_WEIGHT:
        raise ValueError(
            "No row with weight was drawn to be held out; give more rows, a larger validation_fraction, or "
            "another random_state."
        )
    return np.asarray(of_nodes)


def _weigh(X: Any, sample_weight: Array | None, part: NDArray[np.uint16], root: Model, kernel: str) -> Sums:
    """Return the weights of the nodes by the rows of a block that are for fits, and that of the others."""
    rows, weight = _of_part(X, sample_weight, part, TRAIN)
    held_out, its_weight = _of_part(X, sample_weight, part, HELD_OUT)
    return Sums((node_weights(rows, weight, root, kernel), weight_of(held_out, its_weight)))


def _of_part(
    X: Any, sample_weight: Array | None, part: NDArray[np.uint16], chosen: int
) -> tuple[Any, Array | None]:
    """Return the rows of a block that are of one part, and their weights."""
    rows, X = part == chosen, csr_of(X) if is_sparse(X) else X
    return X[rows], None if sample_weight is None else sample_weight[rows]


def _divided(now: _Growing, plan: Plan) -> list[tuple[int, int]]:
    """Divide the newest maps, and return what regions that makes: numbers of maps and of regions."""
    regions = []
    for number, weight in now.weights.items():
        model = now.tree.maps[number].model
        found = divide(model.basis.nodes, weight, _in_noise(model), plan.n_regions, plan.min_samples)
        n_regions = int(found.max()) + 1
        if n_regions > 1:
            shares = np.bincount(found, weight) / weight.sum()
            now.tree = now.tree.divided(number, found).with_shares(number, shares)
            regions += [(number, region) for region in range(n_regions)]
    return regions


def _in_noise(model: Model) -> Array:
    """Return the means of the nodes, (K, Q), each column in units of its noise, averaged over the nodes."""
    deviation = np.sqrt(np.atleast_2d(model.noise.variances(model)).mean(axis=0))
    return np.asarray(model.means / np.where(deviation > 0, deviation, 1.0))


def _grow_level(now: _Growing, run: Run, plan: Plan, regions: list[tuple[int, int]], level: int) -> None:
    """Fit a map to each region, all in the same passes, and keep those that pay."""
    total, tree = now.fits[0].n_samples, now.tree
    rows, shares = run.for_fits, _path_shares(tree, regions)
    view = RegionShares(tree, best_kernel(), tuple(regions), total / rows.n_rows)
    rows = dataclasses.replace(rows, view=RowsWithShares(view, run.n_fitted))
    names = [f"{tree.name(number)}/{region}" for number, region in regions]
    candidates = [
        Candidate(name, plan.settings, train=(column,), held_out=None, share=share)
        for column, (name, share) in enumerate(zip(names, shares, strict=True))
    ]
    logger.info("level %d: fitting %d maps of regions of %d", level, len(names), len(now.weights))

    def tell(states: Sequence[State]) -> bool:
        now.asked = run.tell(states)
        return now.asked

    saved = run.saved
    found, _ = fit_together(
        rows,
        candidates,
        persist=run.persist,
        feature_names=run.names,
        training=True,
        gaps=tree.maps[0].model.gaps,
        lenient=True,
        saved=None if saved is None else lambda alive: saved(level, rows, alive),
        tell=tell,
    )
    fits = {
        region: one.fit for region, one in zip(regions, found, strict=True) if not isinstance(one, Refused)
    }
    gains, weights = _judged(run, view, fits, deeper=level < plan.max_depth)
    now.weights = {}
    for name, region, share, one in zip(names, regions, shares, found, strict=True):
        fit, gain, error = fits.get(region), *gains.get(region, (math.nan, math.nan))
        outcome = one.reason if isinstance(one, Refused) else _outcome(one.fit, gain, error)
        n_passes = fit.n_passes if fit else 0.0
        parent = now.tree.name(region[0])
        now.trials.append(Trial(name, parent, region[1], share * total, n_passes, gain, error, outcome))
        logger.info("map %s: %s", name, outcome)
        if fit and outcome == KEPT:
            now.tree = now.tree.grown(*region, fit.model)
            now.fits.append(fit)
            if region in weights:
                now.weights[len(now.tree) - 1] = weights[region]
    for number in {number for number, _ in regions}:
        if set(now.tree.maps[number].children) == {NONE}:
            now.tree = now.tree.undivided(number)


def _path_shares(tree: MapTree, regions: Sequence[tuple[int, int]]) -> list[float]:
    """Return how much of all rows each region has."""
    above = np.exp(tree.log_shares)
    return [float(above[number] * tree.maps[number].shares[region]) for number, region in regions]


def _outcome(fit: Fit, gain: float, error: float) -> str:
    if fit.collapsed:
        return COLLAPSED
    return KEPT if gain > error else NO_GAIN


def _judged(
    run: Run, view: RegionShares, fits: dict[tuple[int, int], Fit], *, deeper: bool
) -> tuple[dict[tuple[int, int], tuple[float, float]], dict[tuple[int, int], Array]]:
    """Return gains and their errors on rows held out, and the weights of nodes by the others; one pass."""
    if not fits:
        return {}, {}
    models = tuple((*region, fit.model) for region, fit in fits.items())
    view = dataclasses.replace(view, regions=tuple(fits))
    both: Sums = reduce(prepare(run.rows), _judge, view, models, deeper, label="igtm-judge")
    gains, *weights = both.each
    weight = gains[-1, 0]
    first, second = gains[:-1].T / max(weight, np.finfo(float).tiny)
    errors = (
        np.sqrt(np.maximum(second - first**2, 0.0) / (weight - 1.0))
        if weight > 1
        else np.full(len(first), np.inf)
    )
    judged = dict(zip(fits, zip(first.tolist(), errors.tolist(), strict=True), strict=True))
    return judged, dict(zip(fits, weights[0].each if deeper else (), strict=deeper))


def _judge(
    X: Any,
    sample_weight: Array | None,
    part: NDArray[np.uint16],
    view: RegionShares,
    models: tuple[tuple[int, int, Model], ...],
    deeper: bool,
) -> Sums:
    """Return what a block tells of maps of regions: gains by rows held out, weights of nodes by others."""
    gains = gains_of(*_of_part(X, sample_weight, part, HELD_OUT), view.tree, view.kernel, models)
    if not deeper:
        return Sums((gains,))
    rows, weight = _of_part(X, sample_weight, part, TRAIN)
    wanted = [((column,), (model, view.kernel)) for column, (_, _, model) in enumerate(models)]
    return Sums((gains, sums(rows, weight, view.of(rows, weight), node_weights, wanted)))


def _is_for_fits(part: NDArray[np.uint16]) -> Array:
    return np.asarray(part == TRAIN, dtype=np.float64)
