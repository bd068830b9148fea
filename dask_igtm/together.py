"""Fits of several settings to several parts of the rows, which all advance in the same passes."""

from __future__ import annotations

import dataclasses
import functools
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from sklearn.utils import check_random_state

from dask_igtm import abreast, block, blocks, parts
from dask_igtm.companions import sizes_message
from dask_igtm.gaps import REFUSED
from dask_igtm.imputation import PASSES, gaps_of
from dask_igtm.initialize import Start
from dask_igtm.inputs import RowBlocks
from dask_igtm.model import Model
from dask_igtm.outcome import Fit, outcome
from dask_igtm.parts import Parts
from dask_igtm.settings import Settings
from dask_igtm.softmax import best_kernel
from dask_igtm.source import Source, keep, prepare
from dask_igtm.starting import checked, set_out
from dask_igtm.statistics import Likelihood, SufficientStatistics
from dask_igtm.workers import worth_keeping

logger = logging.getLogger("dask_igtm")


@dataclass(frozen=True)
class Candidate:
    """One of the fits.

    Attributes
    ----------
    name : str
        For messages.
    settings : Settings
    train : tuple of int
        Parts of the rows to fit to.
    held_out : tuple of int
        Parts of the rows to judge it by.
    """

    name: str
    settings: Settings
    train: Parts
    held_out: Parts


@dataclass(frozen=True)
class Judged:
    """A fit and the mean of ln p(x) over the rows held out of it.

    The fit's own `log_likelihood` is NaN where it was not asked for.
    """

    fit: Fit
    held_out: float


def in_parts(rows: RowBlocks, edges: Sequence[float], random_state: Any, who: str) -> RowBlocks:
    """Return `rows` with the part into which each is drawn as their `y`, lazily; see `parts.draw`.

    Raises
    ------
    ValueError
        If chunk sizes are unknown, and with them the numbers of the rows, or there are fewer rows than parts;
        `who` is for that message.
    """
    if rows.starts is None:
        raise ValueError(sizes_message(who, "store X in Zarr first"))
    if rows.X.shape[0] <= len(edges):
        raise ValueError(
            f"X has n_samples={rows.X.shape[0]}, too few to be drawn into {len(edges) + 1} parts."
        )
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    numbers = da.arange(rows.X.shape[0], chunks=(rows.X.chunks[0],))
    drawn = numbers.map_blocks(parts.draw, seed, tuple(edges), dtype=np.uint16)
    return dataclasses.replace(rows, y=drawn)


def fit_together(
    rows: RowBlocks,
    candidates: Sequence[Candidate],
    *,
    persist: bool | str = "auto",
    feature_names: Sequence[str] | None = None,
    training: bool = False,
) -> tuple[list[Judged], int]:
    """Fit all candidates in the passes of the one that takes most.

    Parameters
    ----------
    rows : RowBlocks
        From `in_parts`.
    candidates : sequence of Candidate
        That differ in `k`, `m`, `s`, `regul` and their parts alone.
    persist, feature_names
        As in `fit_map`.
    training : bool
        Whether to evaluate the likelihood of the rows of each fit too, in the same last pass.

    Returns
    -------
    list of Judged
    int
        Passes over the data, without the one for the moments and those for what fills gaps.

    Raises
    ------
    ValueError
        As `fit_map` does, with a note of the candidate where it is at fault; or if no row with weight is
        held out of one.
    """
    settings, kernel = candidates[0].settings, best_kernel()
    settings.check_columns(rows.X.shape[1])
    source = prepare(rows)
    if worth_keeping(rows, persist):
        logger.info("keeping the blocks of X in the workers' memory during the fits")
        source = keep(source)
    starts, weights = _set_out(rows, source, candidates, feature_names)

    def e_step(models: dict[int, Model]) -> Sequence[SufficientStatistics]:
        wanted = [(candidates[i].train, (model, kernel)) for i, model in models.items()]
        return _reduce(source, block.statistics, wanted, "igtm-estep")

    solvers = [candidate.settings.loop for candidate in candidates]
    states, n_passes = abreast.run(
        [solver.State(start.model) for solver, start in zip(solvers, starts, strict=True)],
        [solver.step for solver in solvers],
        e_step,
        [start.prior for start in starts],
        niter=settings.niter,
        tol=settings.tol,
        on_pass=lambda going: logger.info("%d of %d fits go on", going, len(candidates)),
    )
    models = [state.result for state in states]
    held_out, trained = _likelihoods(source, candidates, models, kernel, training)
    runs = zip(states, starts, weights, [kernel] * len(states), trained, strict=True)
    return _judged(candidates, list(runs), held_out), n_passes + 1


def _set_out(
    rows: RowBlocks, source: Source, candidates: Sequence[Candidate], names: Sequence[str] | None
) -> tuple[list[Start], list[float]]:
    """Return where each candidate starts, and the weight of its rows, all from one pass for the moments."""
    missing = candidates[0].settings.missing
    gaps = {c.train: REFUSED for c in candidates}
    for train in gaps:
        gaps[train] = gaps_of(_only(rows, train) if missing in PASSES else source, missing, names)
    # The rows that are held out are looked at too, before work is done that they could make worthless.
    everything = {c.held_out: gaps[c.train] for c in candidates} | gaps
    function = block.pairwise_moments if missing == "marginalize" else block.moments
    wanted = [(some, () if missing == "marginalize" else (fill,)) for some, fill in everything.items()]
    found = dict(zip(everything, _reduce(source, function, wanted, "igtm-moments"), strict=True))
    last = candidates[-1]  # whose rows, used and held out, include those of all others
    invalid = found[last.train].invalid + found[last.held_out].invalid
    if invalid.any():
        raise ValueError(block.invalid_message(invalid, names))
    starts, weights = [], []
    with _naming_once() as naming:
        for candidate in candidates:
            with naming(candidate.name):
                trained = checked(found[candidate.train], names)
                starts.append(set_out(trained, candidate.settings, gaps[candidate.train], None))
                weights.append(trained.weight)
                if found[candidate.held_out].weight == 0:
                    raise ValueError(
                        "No row with weight was drawn to be held out; give more rows, larger shares of them "
                        "(a smaller cv), or another random_state."
                    )
    return starts, weights


def _only(rows: RowBlocks, train: Parts) -> Source:
    """Return rows of which those outside some parts have no weight."""
    weight = 1.0 if rows.sample_weight is None else rows.sample_weight
    part: Any = rows.y
    # Neither da.isin nor da.where, which planned arrays lack.
    used = part.map_blocks(functools.partial(np.isin, test_elements=train), dtype=bool)
    return prepare(dataclasses.replace(rows, sample_weight=used * weight, y=None))


def _likelihoods(
    source: Source, candidates: Sequence[Candidate], models: Sequence[Model], kernel: str, training: bool
) -> tuple[list[Likelihood], list[Likelihood | None]]:
    """Return the likelihood of the rows held out under each candidate, and that of the rows of the fit."""
    arguments = [(model, kernel) for model in models]
    sides = [[c.held_out for c in candidates], [c.train for c in candidates] if training else []]
    wanted = [pair for side in sides for pair in zip(side, arguments, strict=False)]
    found = list(_reduce(source, block.likelihood, wanted, "igtm-likelihood"))
    n = len(candidates)
    return found[:n], found[n:] or [None] * n


def _judged(
    candidates: Sequence[Candidate], runs: Sequence[tuple[Any, ...]], held_out: Sequence[Likelihood]
) -> list[Judged]:
    judged = []
    with _naming_once() as naming:
        for candidate, run, likelihood in zip(candidates, runs, held_out, strict=True):
            with naming(candidate.name):
                judged.append(Judged(outcome(*run), likelihood.mean))
    return judged


def _reduce(
    source: Source,
    function: Callable[..., Any],
    wanted: Sequence[tuple[Parts, tuple[Any, ...]]],
    label: str,
) -> Sequence[Any]:
    total: parts.Sums = blocks.reduce(source, parts.sums, function, wanted, label=label)
    return total.each


@contextmanager
def _naming_once() -> Iterator[Callable[[str], Any]]:
    """Give out contexts that put a name to errors and warnings, and warn of each name once in the end."""
    told: dict[str, list[warnings.WarningMessage]] = {}

    @contextmanager
    def naming(name: str) -> Iterator[None]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield
            except Exception as error:
                error.add_note(f"This happened in the fit of {name}.")
                raise
        if caught:
            told.setdefault(name, caught)

    yield naming
    for name, caught in told.items():
        for warning in caught:
            warnings.warn(f"{name}: {warning.message}", warning.category, stacklevel=7)
