"""Fits of several settings to several parts of the rows, which all advance in the same passes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dask_igtm._version import __version__
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.user_warnings import warn
from dask_igtm.data.whole_outputs import Path
from dask_igtm.fitting.checkpoint import fingerprint
from dask_igtm.fitting.checkpoint_file import AnotherWriterError
from dask_igtm.fitting.checkpoint_many import CheckpointMany
from dask_igtm.fitting.fill_values import PASSES, gaps_of
from dask_igtm.fitting.map_size import check_rows
from dask_igtm.fitting.result import Fit, outcome
from dask_igtm.fitting.sampling import draw_beside
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.start import (
    checked,
    exposed,
    leave_plane,
    moments_statistic,
    plane_view,
    prepare_fit,
    set_out,
    steps_of,
)
from dask_igtm.fitting.unchanged import Seen, checked_e_step
from dask_igtm.fitting.wide_start import Request, View, WideStart, find_axes, unseen, wide_start
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model, Noise
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.passes.graph import Source, prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT, invalid_message
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.solvers.em import State, run
from dask_igtm.solvers.initialize import Start
from dask_igtm.solvers.sample import Sample
from dask_igtm.solvers.spectrum import Spectrum
from dask_igtm.statistics.covariance_images import Image, image_of
from dask_igtm.statistics.likelihood import Likelihood, likelihood_of
from dask_igtm.statistics.plane_rows import exposures_of, first_sums
from dask_igtm.statistics.region_shares import RowsWithin
from dask_igtm.statistics.row_sample import Draw, sums_with_samples
from dask_igtm.statistics.row_subsets import Parts, Sums, sums

logger = logging.getLogger("dask_igtm")

FIGURES = re.compile(r"-?\d[\d.]*(e[+-]?\d+)?")


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
    held_out : tuple of int, or None
        Parts of the rows to judge it by, if any.
    share : float
        Of all rows, those to fit to.
    """

    name: str
    settings: Settings
    train: Parts
    held_out: Parts | None
    share: float


@dataclass(frozen=True)
class Judged:
    """A fit and the mean of ln p(x) over the rows held out of it.

    The fit's own `log_likelihood` is NaN where it was not asked for, and `held_out` where there are no such
    rows.
    """

    fit: Fit
    held_out: float


@dataclass(frozen=True)
class Refused:
    """A fit that its rows do not allow, and why."""

    reason: str


@dataclass(frozen=True)
class _Begun:
    """A candidate at its start: what was seen of its rows, and what was kept."""

    candidate: Candidate
    moments: Any
    start: Start
    seen: Seen
    sample: Sample | None


def check_side_by_side(settings: Settings, rows: RowBlocks) -> None:
    """Raise ValueError if fits with such settings cannot share passes over the rows."""
    if settings.solver == "sampled":
        raise ValueError(
            "solver='sampled' looks for an optimum on a sample before it reads all rows, and fits that go "
            "side by side read them together; give solver='accelerated' to search, and fit what it finds "
            "with 'sampled'."
        )
    check_rows(settings, rows)


def open_checkpoint(
    path: Path,
    rows: RowBlocks,
    candidates: Sequence[Candidate],
    parts: str,
    feature_names: Sequence[str] | None = None,
) -> CheckpointMany:
    """Read the checkpoint at `path`, if there is one, of what `fit_many` does with the same arguments.

    Parameters
    ----------
    path : path or URL
    rows, candidates, feature_names
        As in `fit_many`.
    parts : str
        What decides the part to which a row belongs.

    Raises
    ------
    ValueError, OSError
        As `CheckpointMany.open`.
    """
    kernel, draws = best_kernel(), _draws(rows, candidates)
    fits = []
    for candidate in candidates:
        chosen = fingerprint(rows, candidate.settings, feature_names, drawn=candidate.train in draws)
        own = hashlib.sha256(repr((candidate.train, candidate.held_out)).encode()).hexdigest()[:16]
        known = {"parts": parts, "parts of the fit": own, "kernel": kernel, "version": __version__}
        fits.append((candidate.name, chosen | known))
    return CheckpointMany.open(path, fits)


def fit_many(
    rows: RowBlocks,
    candidates: Sequence[Candidate],
    *,
    persist: bool | str = "auto",
    feature_names: Sequence[str] | None = None,
    training: bool = False,
    saved: CheckpointMany | None = None,
    tell: Callable[[Sequence[State]], bool] = lambda _: False,
) -> tuple[list[Judged], float]:
    """Fit all candidates in the passes of the one that takes most.

    Parameters
    ----------
    rows : RowBlocks
        With the part to which each belongs as `y`, see `row_parts`.
    candidates : sequence of Candidate
        That differ in `k`, `m`, `s`, `regul` and their parts alone.
    persist, feature_names
        As in `fit`.
    training : bool
        Whether to evaluate the likelihood of the rows of each fit too, in the same last pass.
    saved : CheckpointMany, optional
        Where to write the states after every pass, and to go on from where there is a file; from
        `open_checkpoint`.
    tell : callable
        Told of all states after every pass. True stops all fits, and what they have reached is judged.

    Returns
    -------
    list of Judged
    float
        Passes over the data, without the one for the moments and those for what fills gaps, and with those
        for the start of bits and counts, the axes of wide rows and the curvature of the fit that takes most.

    Raises
    ------
    ValueError
        If the solver is "sampled"; as `fit` does, with a note of the candidate where it is at fault; or if
        no row with weight is held out of one.
    Exception
        What happened in a pass, with a note of the checkpoint that goes on from there.
    """
    found, n_passes = fit_together(
        rows,
        candidates,
        persist=persist,
        feature_names=feature_names,
        training=training,
        saved=(lambda _: saved) if saved else None,
        tell=tell,
    )
    return [one for one in found if isinstance(one, Judged)], n_passes


def fit_together(
    rows: RowBlocks,
    candidates: Sequence[Candidate],
    *,
    persist: bool | str = "auto",
    feature_names: Sequence[str] | None = None,
    training: bool = False,
    gaps: Gaps | None = None,
    lenient: bool = False,
    saved: Callable[[Sequence[Candidate]], CheckpointMany] | None = None,
    tell: Callable[[Sequence[State]], bool] = lambda _: False,
) -> tuple[list[Judged | Refused], float]:
    """Fit as `fit_many` does, and leave out candidates whose rows allow no fit where that is wanted.

    Parameters
    ----------
    rows : RowBlocks
        As in `fit_many`, or with a view that makes the weights of rows in parts.
    candidates, persist, feature_names, training
        As in `fit_many`.
    gaps : Gaps, optional
        What all of them do with gaps; by default each finds it by its own rows.
    lenient : bool
        Whether a candidate whose rows allow no fit is left out instead of raised.
    saved : callable, optional
        Takes the candidates that are fitted, and returns where to write the states after every pass, and to
        go on from where there is a file, such as `open_checkpoint` does.
    tell : callable
        Told of all states after every pass. True stops all fits, and what they have reached is judged.

    Returns
    -------
    list of Judged, or of Refused
    float
        Passes over the data, as in `fit_many`.
    """
    settings, kernel = candidates[0].settings, best_kernel()
    check_side_by_side(settings, rows)
    source = prepare_fit(rows, persist)
    with _naming_once() as naming:
        outset = _Outset(rows, source, candidates, feature_names, kernel, gaps, lenient, naming)
        begun, refused = outset.set_out()
    alive = [one.candidate for one in begun]
    if not alive:
        return [Refused(refused[index]) for index in range(len(candidates))], 1.0

    def pass_over(models: dict[int, Model]) -> Sequence[SufficientStatistics]:
        logger.debug("%d of %d fits go on", len(models), len(alive))
        wanted = [(alive[i].train, (model, kernel)) for i, model in models.items()]
        steps = _reduce(source, checked_e_step, wanted, "igtm-estep")
        return [begun[i].seen.check(step, models[i]) for i, step in zip(models, steps, strict=True)]

    states = [one.candidate.settings.begin(one.start.model, one.sample) for one in begun]
    file = None
    if saved:
        affines = [one.start.model.affine for one in begun]
        file = saved(alive).of([one.moments for one in begun], [one.seen for one in begun], affines)
        states = file.resume(states)
    asked = False  # to stop

    def on_pass(states: Sequence[State]) -> bool:
        nonlocal asked
        if file:
            file.write(states)
        asked = tell(states)
        return asked

    priors, niter, tol = [one.start.prior for one in begun], settings.niter, settings.tol
    try:
        with steps_of(settings.family):
            states = run(states, priors, pass_over, niter=niter, tol=tol, on_pass=on_pass)
        models = [state.result for state in states]
        held_out, trained = _likelihoods(source, alive, models, kernel, training)
    except AnotherWriterError:
        raise
    except BaseException as error:
        if file:
            error.add_note(file.remedy)
        raise
    judged = _outcomes(begun, states, trained, held_out, kernel, asked)
    iterations = max(sum(iteration.cost for iteration in state.history) for state in states)
    fitted = iter(judged)
    results = [Refused(refused[i]) if i in refused else next(fitted) for i in range(len(candidates))]
    return results, max(one.start.n_passes for one in begun) + iterations + 1


def _outcomes(
    begun: Sequence[_Begun],
    states: Sequence[State],
    trained: Sequence[Likelihood | None],
    held_out: Sequence[Likelihood | None],
    kernel: str,
    asked: bool,
) -> list[Judged]:
    """Return what each fit has come to; `asked` says whether a callback has ended them."""
    judged = []
    with _naming_once() as naming:
        for one, state, likelihood, judge in zip(begun, states, trained, held_out, strict=True):
            with naming(one.candidate.name):
                stopped_by = "callback" if asked and not state.converged else state.stopped_by
                weight = one.seen.weight
                fit = outcome(state, one.start, weight, kernel, likelihood, stopped_by=stopped_by)
                judged.append(Judged(fit, judge.mean if judge else math.nan))
    return judged


@dataclass(frozen=True)
class _Outset:
    """What it takes to find where each candidate starts; the names are those of `fit_many`."""

    rows: RowBlocks
    source: Source
    candidates: Sequence[Candidate]
    names: Sequence[str] | None
    kernel: str
    gaps: Gaps | None
    lenient: bool
    naming: Callable[[str], Any]
    refused: dict[int, str] = field(default_factory=dict)

    def set_out(self) -> tuple[list[_Begun], dict[int, str]]:
        """Return the candidates that begin, and why others do not, by their numbers."""
        candidates, source, settings = self.candidates, self.source, self.candidates[0].settings
        n_columns, names = self.rows.X.shape[1], self.names
        views: dict[Parts, View] = {}
        ways: dict[Parts, WideStart | None] = {}
        filled = settings.missing in PASSES and self.gaps is None
        apart = filled or settings.missing == "marginalize"
        only = {c.train: _only(self.rows, c.train) if apart else source for c in candidates}
        gaps = {train: self.gaps or gaps_of(some, settings.missing, names) for train, some in only.items()}
        noises = _noises(source, settings, gaps, names)
        for train, some in only.items():
            views[train] = plane_view(noises[train], gaps[train], names)
            ways[train] = wide_start(some, n_columns, settings, gaps[train], names, views[train])
        found, drawn = self._moments(gaps, ways, views)
        moments: dict[Parts, Any] = {}
        for number, candidate in enumerate(candidates):
            with self._refusing(number):
                train = candidate.train
                moments[train] = checked(found[train], names, candidate.settings, ways[train])
        spectra = _spectra(source, moments, ways, views, settings)
        starts: dict[int, Start] = {}
        for number, candidate in enumerate(candidates):
            train = candidate.train
            if number not in self.refused:
                with self._refusing(number):
                    arguments = (gaps[train], noises[train], None, names, spectra.get(train))
                    starts[number] = set_out(moments[train], candidate.settings, *arguments)
        if settings.family.natural and starts:
            fitted = [(candidates[i].train, noises[candidates[i].train]) for i in starts]
            left = _off_planes(source, fitted, list(starts.values()), self.kernel)
            starts = dict(zip(starts, left, strict=True))
        begun = []
        for number, start in starts.items():
            train = candidates[number].train
            seen = Seen.of(moments[train], start, names, in_memory=source.in_memory)
            kept, sums = drawn.get(train), moments[train]
            sample = kept and Sample(kept, sums.n_rows, sums.weight, self.kernel)
            begun.append(_Begun(candidates[number], sums, start, seen, sample))
        return begun, self.refused

    def _moments(
        self,
        gaps: Mapping[Parts, Gaps],
        ways: Mapping[Parts, WideStart | None],
        views: Mapping[Parts, View],
    ) -> tuple[dict[Parts, Any], dict[Parts, Any]]:
        """Return the moments of all sets of parts, and the rows drawn of those that are fitted to."""
        candidates = self.candidates
        # The rows that are held out are looked at too, before work is done that they could make worthless.
        everything = {
            c.held_out: views[c.train](*moments_statistic(gaps[c.train], unseen(ways[c.train])))
            for c in candidates
            if c.held_out is not None
        }
        everything |= {train: views[train](*moments_statistic(gaps[train], ways[train])) for train in ways}
        function = next(iter(everything.values()))[0]  # of one strategy, and so the same for all
        wanted = [(some, shared) for some, (_, shared) in everything.items()]
        draws = _draws(self.rows, candidates)
        both = reduce(
            self.source.numbered(),
            sums_with_samples,
            list(draws.items()),
            function,
            wanted,
            label="igtm-moments",
        )
        found = dict(zip(everything, both.each[0].each, strict=True))
        # The rows of one candidate, used and held out, are mostly those of all.
        sides = [(c.train,) if c.held_out is None else (c.train, c.held_out) for c in candidates]
        invalid = np.max([sum(found[parts].invalid for parts in side) for side in sides], axis=0)
        if invalid.any():
            family = candidates[0].settings.family
            raise ValueError(invalid_message(invalid, self.names, family))
        for candidate, (train, *judging) in zip(candidates, sides, strict=True):
            with self.naming(candidate.name):
                if judging and found[judging[0]].weight < LEAST_WEIGHT <= found[train].weight:
                    raise ValueError(  # else there are no weights at all
                        "No row with weight was drawn to be held out; give more rows or groups, larger "
                        "shares of them (a smaller cv), or another random_state."
                    )
        return found, dict(zip(draws, both.each[1:], strict=True))

    @contextmanager
    def _refusing(self, number: int) -> Iterator[None]:
        """Name a candidate in warnings and errors; note the errors of one that may be left out."""
        try:
            with self.naming(self.candidates[number].name):
                yield
        except ValueError as error:
            if not self.lenient:
                raise
            self.refused[number] = str(error)


def _noises(
    source: Source, settings: Settings, gaps: Mapping[Parts, Gaps], names: Sequence[str] | None
) -> dict[Parts, Noise]:
    """Return the noise of a fit to each set of parts, as `noise_of` does."""
    noise = settings.family
    if not noise.exposed:
        return dict.fromkeys(gaps, noise)
    wanted = [(train, (noise, filled, names)) for train, filled in gaps.items()]
    found = _reduce(source, exposures_of, wanted, "igtm-exposures")
    return {train: exposed(noise, sums) for train, sums in zip(gaps, found, strict=True)}


def _off_planes(
    source: Source, fitted: Sequence[tuple[Parts, Noise]], planes: Sequence[Start], kernel: str
) -> list[Start]:
    """Return the starts of bits or counts of some parts, of those on planes; one pass for all."""
    wanted = [
        (train, (plane.model, kernel, noise)) for (train, noise), plane in zip(fitted, planes, strict=True)
    ]
    firsts = _reduce(source, first_sums, wanted, "igtm-first")
    each = zip(planes, fitted, firsts, strict=True)
    return [leave_plane(plane, noise, first, None) for plane, (_, noise), first in each]


def _spectra(
    source: Source,
    moments: Mapping[Parts, Any],
    ways: Mapping[Parts, WideStart | None],
    views: Mapping[Parts, View],
    settings: Settings,
) -> dict[Parts, Spectrum]:
    """Return the spectrum of each set of parts, where rows are wide; the searches share their passes."""
    starts = {train: (way, moments[train]) for train, way in ways.items() if way and train in moments}
    trains = list(starts)

    def images_of(requests: Mapping[int, Request]) -> Sequence[Image]:
        wanted = [
            (trains[number], views[trains[number]](image_of, request)) for number, request in requests.items()
        ]
        function = wanted[0][1][0]
        return _reduce(source, function, [(train, shared) for train, (_, shared) in wanted], "igtm-axes")

    return dict(zip(trains, find_axes(list(starts.values()), settings, None, images_of), strict=True))


def _draws(rows: RowBlocks, candidates: Sequence[Candidate]) -> dict[Parts, Draw]:
    """Return the draw for each set of parts that candidates are fitted to, where there is one."""
    by_parts = {candidate.train: candidate for candidate in candidates}
    draws = {
        train: draw_beside(rows, candidate.settings, candidate.share, len(by_parts))
        for train, candidate in by_parts.items()
    }
    return {train: draw for train, draw in draws.items() if draw is not None}


def _only(rows: RowBlocks, train: Parts) -> Source:
    """Return rows of which those outside some parts have no weight."""
    if rows.view:
        shares = rows.view.shares
        regions = tuple(shares.regions[number] for number in train)
        within = RowsWithin(dataclasses.replace(shares, regions=regions), rows.n_rows)
        return prepare(dataclasses.replace(rows, view=within))
    weight = 1.0 if rows.sample_weight is None else rows.sample_weight
    part: Any = rows.y
    # Neither da.isin nor da.where, which planned arrays lack.
    used = part.map_blocks(functools.partial(np.isin, test_elements=train), dtype=bool)
    return prepare(dataclasses.replace(rows, sample_weight=used * weight, y=None))


def _likelihoods(
    source: Source, candidates: Sequence[Candidate], models: Sequence[Model], kernel: str, training: bool
) -> tuple[list[Likelihood | None], list[Likelihood | None]]:
    """Return the likelihood of the rows held out under each candidate, and that of the rows of the fit."""
    asked: dict[tuple[str, int], tuple[Parts, tuple[Any, ...]]] = {}
    for number, (candidate, model) in enumerate(zip(candidates, models, strict=True)):
        if candidate.held_out is not None:
            asked["held out", number] = (candidate.held_out, (model, kernel))
        if training:
            asked["training", number] = (candidate.train, (model, kernel))
    found = dict(
        zip(asked, _reduce(source, likelihood_of, list(asked.values()), "igtm-likelihood"), strict=True)
    )
    numbers = range(len(candidates))
    held_out, trained = ([found.get((side, i)) for i in numbers] for side in ("held out", "training"))
    return held_out, trained


def _reduce(
    source: Source,
    function: Callable[..., Any],
    wanted: Sequence[tuple[Parts, tuple[Any, ...]]],
    label: str,
) -> Sequence[Any]:
    total: Sums = reduce(source, sums, function, wanted, label=label)
    return total.each


@contextmanager
def _naming_once() -> Iterator[Callable[[str], Any]]:
    """Give out contexts that put a name to errors and warnings; in the end, warn of each kind once a name."""
    told: dict[tuple[str, str], warnings.WarningMessage] = {}

    @contextmanager
    def naming(name: str) -> Iterator[None]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield
            except Exception as error:
                error.add_note(f"This happened in the fit of {name}.")
                raise
        for warning in caught:  # folds warn of the same with other figures
            told.setdefault((name, FIGURES.sub("", str(warning.message))), warning)

    yield naming
    for (name, _), warning in told.items():
        warn(f"{name}: {warning.message}", warning.category)
