"""Accelerated EM that looks for its optimum on a sample of the rows and takes the last steps on all."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import dataclass
from typing import Self

import numpy as np

from dask_igtm.model import stored
from dask_igtm.model.arrays import pack_sheet, unpack_sheet
from dask_igtm.model.model import Model, Prior
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.solvers import accelerated
from dask_igtm.solvers.em import PATIENCE, Iteration
from dask_igtm.solvers.lbfgs import Point
from dask_igtm.solvers.sample import Sample

logger = logging.getLogger("dask_igtm")

# Rows a node of the map on which searches go, and on which the best of them is improved; where there are few
# rows, shares of them.
SEARCHED, SEARCHED_SHARE = 32, 1 / 80
POLISHED, POLISHED_SHARE = 128, 1 / 8
LEAST_SEARCHED, LARGEST_SHARE = 8, 1 / 24  # rows a node; fewer say too little, and more of all cost too much
STIFF = 0.005  # ridge under which one more sets out, as a share of the largest that means anything
TOL = 1e-3  # of the stages on a sample at least, which says no more of all rows than that
MOST = 150  # iterations of a stage on a sample
ERRORS = 3.0  # standard errors by which all rows may fall short of the forecast


@dataclass(frozen=True)
class Stages:
    """Which rows of a sample each stage reads.

    Attributes
    ----------
    search, polish, held_out : slice
        Those of the searches, those on which the best of them goes on, and those that neither has seen.
    """

    search: slice
    polish: slice
    held_out: slice

    @property
    def size(self) -> int:
        """Rows of the sample."""
        return int(self.held_out.stop)


def stages_of(n_rows: float, n_nodes: int, most: float = np.inf) -> Stages | None:
    """Return the stages of a fit; None where a sample, of at most `most` rows, would say too little."""
    search = int(min(SEARCHED * n_nodes, max(SEARCHED_SHARE * n_rows, LEAST_SEARCHED * n_nodes)))
    polish = int(min(POLISHED * n_nodes, POLISHED_SHARE * n_rows, most - search))
    if search > LARGEST_SHARE * n_rows or polish < search:
        return None
    return Stages(slice(search), slice(polish), slice(polish, polish + search))


@dataclass(frozen=True)
class Start:
    """Where a search sets out.

    Attributes
    ----------
    model : Model
    stiff : bool
        Whether the map first unfolds as far as a large ridge lets it.
    """

    model: Model
    stiff: bool = False


@dataclass(frozen=True)
class Found:
    """Where a search ended, and the mean of ln p(x) there, over rows that it has not seen."""

    model: Model
    held_out: float


@dataclass(frozen=True)
class State(accelerated.State):
    """A search from each of several starts, the best of them on more rows, and all rows from there.

    Attributes
    ----------
    stages : Stages or None
        None goes over all rows at once.
    starts : tuple of Start
        That of the ordinary way first.
    stage : int
        Number of the search; that of searches on the way from the best of them, on more rows of the sample;
        one more on all rows.
    stiff : bool
        Whether the ridge is still that of a start which is stiff.
    found : tuple of Found
        Of each search that has ended.
    forecast : tuple of float and float
        The mean of ln p(x) over rows held out from the sample, and its standard error.
    trusted : bool
        Whether all rows bear the forecast out.

    Notes
    -----
    Which optimum is good a sample knows nearly as well as all rows do. Where it does not, because few rows
    decide, the first pass over all rows shows it: their likelihood falls short of that of rows held out from
    the sample. Then the run goes on as `accelerated` does, from that map or from the first start, whichever
    is better.
    """

    stages: Stages | None = None
    starts: tuple[Start, ...] = ()
    stage: int = 0
    stiff: bool = False
    found: tuple[Found, ...] = ()
    forecast: tuple[float, float] = (-np.inf, 0.0)
    trusted: bool = True

    @property
    def sample(self) -> slice | None:
        """Which rows of the sample the next pass reads; None for all rows of the data."""
        if self.stages is None or self.stage > len(self.starts):
            return None
        return self.stages.search if self.stage < len(self.starts) else self.stages.polish

    @property
    def searching(self) -> bool:
        """Whether the optimum is still looked for."""
        return self.stage < len(self.starts) or not self.trusted

    @property
    def warm_up(self) -> int:
        """EM steps before the first extrapolation: none where a search came before."""
        return super().warm_up if self.searching else 0

    @property
    def near(self) -> float:
        """What a step promises at most where the curvature is worth its cost, as on no sample."""
        if self.sample is not None:
            return -np.inf
        return super().near if self.searching else np.inf

    @property
    def converged(self) -> bool:
        """As of `accelerated`, of the stage on all rows alone."""
        return self.sample is None and super().converged

    def prior(self, start: Prior) -> Prior:
        """Return the prior of the next iteration."""
        return (
            dataclasses.replace(start, regul=max(start.regul, STIFF * start.limit)) if self.stiff else start
        )

    def evaluate(self, statistics: SufficientStatistics, prior: Prior) -> Iteration:
        """Return what these statistics say of `model`, and of how many rows they are."""
        iteration = super().evaluate(statistics, prior)
        if self.sample is None or self.rows is None:
            return dataclasses.replace(iteration, number=self.n_iter + 1)
        share = self.rows.share(self.sample)
        return dataclasses.replace(iteration, number=self.age + 1, share=share, cost=share)

    def step(self, statistics: SufficientStatistics, prior: Prior, tol: float) -> Self:
        """Return the state after one pass, over the rows of the sample that it asked for or over all."""
        if self.sample is None or self.rows is None or self.stages is None:
            after = super().step(statistics, prior, tol)
            if self.n_iter == 0:
                return after._checked()
            # Between a map and the first start, which is nowhere near, there is no curvature.
            return after if self.trusted or self.age else dataclasses.replace(after, secants=())
        after = super().step(statistics, self.prior(prior), max(tol, TOL))
        ended = after.calm >= PATIENCE or after.age >= MOST
        return after._next(self.rows, self.stages) if ended else after

    def _next(self, rows: Sample, stages: Stages) -> Self:
        """Return the state that begins the next stage."""
        if self.stiff:
            return self._at(self.stage, Start(self.result))
        # A search has not seen the further rows of the polish either.
        seen = stages.search if self.stage < len(self.starts) else stages.polish
        judged = slice(seen.stop, stages.held_out.stop)
        mean, error = rows.log_likelihood(judged, self.result)
        last = self.history[-1]
        last = dataclasses.replace(last, cost=last.cost + rows.share(judged))
        after = dataclasses.replace(self, history=(*self.history[:-1], last), forecast=(mean, error))
        if self.stage < len(self.starts):
            after = dataclasses.replace(after, found=(*self.found, Found(self.result, mean)))
            logger.info(
                "search %d of %d: log-likelihood %.6f held out", len(after.found), len(self.starts), mean
            )
        stage = self.stage + 1
        if stage < len(self.starts):
            return after._at(stage, self.starts[stage])
        best = max(after.found, key=lambda each: each.held_out).model
        return after._at(stage, Start(best if stage == len(self.starts) else self.result))

    def _at(self, stage: int, start: Start, best: Point | None = None) -> Self:
        """Return the state that begins a stage, knowing nothing of those before but how they ended."""
        fresh = accelerated.State(start.model, self.history, rows=self.rows, best=best)
        return dataclasses.replace(self, **vars(fresh), stage=stage, stiff=start.stiff)

    def _checked(self) -> Self:
        """Compare what the first pass over all rows says with the forecast."""
        if self.stages is None:
            return self
        found, (forecast, error) = self.history[-1].log_likelihood, self.forecast
        logger.info("log-likelihood %.6f of all rows, %.6f +- %.6f by the sample", found, forecast, error)
        if found >= forecast - ERRORS * error:
            return self
        logger.info("the sample does not show all that counts: going on without it")
        return dataclasses.replace(self._at(self.stage, self.starts[0], self.best), trusted=False)

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same state."""
        arrays = {
            **super().pack(),
            "stage": np.array(self.stage),
            "stiff": np.array(self.stiff),
            "held_out": np.array([each.held_out for each in self.found]),
            "forecast": np.array(self.forecast),
            "trusted": np.array(self.trusted),
        }
        for number, each in enumerate(self.found):
            arrays |= pack_sheet(f"found_{number}", each.model)
        return arrays

    def unpack(self, arrays: Arrays) -> Self:
        """Return the state that `pack` named."""
        found = tuple(
            Found(unpack_sheet(f"found_{number}", arrays, self.model), held_out)
            for number, held_out in enumerate(stored.floats(arrays, "held_out", None, finite=False).tolist())
        )
        stage = stored.whole(arrays, "stage")
        if len(found) != min(stage, len(self.starts)):
            raise ValueError(f"there are {len(found)} ends of searches in stage {stage}")
        mean, error = stored.floats(arrays, "forecast", 2, finite=False).tolist()
        return dataclasses.replace(
            super().unpack(arrays),
            stage=stage,
            stiff=stored.flag(arrays, "stiff"),
            found=found,
            forecast=(mean, error),
            trusted=stored.flag(arrays, "trusted"),
        )


def begin(model: Model, rows: Sample | None, *, search: bool) -> State:
    """Return the state that sets out from a model, and, to search, from others too."""
    stages = stages_of(rows.n_rows, len(model.basis.nodes), len(rows)) if rows else None
    starts = [Start(model)]
    if search:
        starts = [Start(each) for each in model.noise.starts(model)]
        if not model.noise.natural:  # whose ridge has no bound
            starts.append(Start(model, stiff=True))
    return State(model, rows=rows, stages=stages, starts=tuple(starts))
