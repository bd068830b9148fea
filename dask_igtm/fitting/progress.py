"""Listeners of a fit: what they are told of each iteration, and those that log and show it."""

from __future__ import annotations

import datetime
import importlib.util
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_igtm.solvers.em import State

logger = logging.getLogger("dask_igtm.progress")

LONG = 1e13  # seconds, of which nobody sees the end and `timedelta` knows no number


@dataclass(frozen=True)
class IterationEvent:
    """What a callback is told after each iteration of a fit.

    Attributes
    ----------
    number : int
        Of the iteration, counted from 1; a fit that goes on from a checkpoint counts on. Iterations over a
        sample are counted by themselves, each search anew.
    niter : int
        Largest number of iterations.
    log_likelihood : float
        Mean of ln p(x) over the rows, in the units of X, of the map that entered the iteration.
    penalised : float
        `log_likelihood` plus the log prior density of the weights over N, which EM never lowers.
    regul : float
        Ridge of that map, which `regul="auto"` changes.
    change : float
        What the solver compares with `tol`; infinite in the first iteration.
    converged : bool
        Whether the solver stops by `tol` now.
    n_rows : float
        Rows that it read; the sum of their weights where their number is unknown.
    seconds : float
        What the iteration took.
    elapsed : float
        Seconds since the first iteration of this call began.
    seconds_left : float
        For all iterations left, at the mean pace of this call; so at most, for a fit may converge before.
        NaN before the first iteration over all rows.
    share : float
        How many of all rows the iteration read: 1, or less where it was over a sample.
    """

    number: int
    niter: int
    log_likelihood: float
    penalised: float
    regul: float
    change: float
    converged: bool
    n_rows: float
    seconds: float
    elapsed: float
    seconds_left: float
    share: float = 1.0

    @property
    def rows_per_second(self) -> float:
        """Pace of this iteration."""
        return self.n_rows / max(self.seconds, 1e-9)

    @property
    def _which(self) -> str:
        if self.share < 1:
            return f"sample of {self.n_rows:,.0f} rows, iteration {self.number:4d}"
        return f"iteration {self.number:4d} of {self.niter}"

    @property
    def _news(self) -> str:
        return f"log-likelihood {self.log_likelihood:14.6f}  change {self.change:9.2e}"

    @property
    def _compact(self) -> str:
        return f"log-likelihood {self.log_likelihood:.7g} change {self.change:.1e}"


@dataclass(frozen=True)
class PassEvent:
    """What a callback is told after each pass of many fits that advance side by side.

    Attributes
    ----------
    number : int
        Of the pass, counted from 1, of those that are iterations; a search that goes on from a checkpoint
        counts on.
    n_passes : int
        Largest number of passes: fewer are left once fits that go one after the other have converged.
    n_going : int
        Fits that still go on, or are to begin.
    n_fits : int
        Of all.
    n_rows : int
        Rows that the pass read.
    seconds : float
        What it took.
    elapsed : float
        Seconds since the first pass of this call began.
    seconds_left : float
        For all passes left, at the mean pace of those told; so at most, for fits may converge before.
    """

    number: int
    n_passes: int
    n_going: int
    n_fits: int
    n_rows: int
    seconds: float
    elapsed: float
    seconds_left: float

    @property
    def rows_per_second(self) -> float:
        """Pace of this pass."""
        return self.n_rows / max(self.seconds, 1e-9)

    @property
    def _which(self) -> str:
        return f"pass {self.number:4d} of {self.n_passes}"

    @property
    def _news(self) -> str:
        return f"{self.n_going} of {self.n_fits} fits go on"

    _compact = _news


Event = IterationEvent | PassEvent
Listener = Callable[[IterationEvent], Any]
PassListener = Callable[[PassEvent], Any]


def check_listeners(listeners: Any) -> None:
    """Raise TypeError unless all are functions."""
    if callable(listeners) or not all(callable(listener) for listener in listeners):
        raise TypeError(f"callbacks={listeners!r}; give a list of functions of one event.")


def teller(listeners: Sequence[Listener], niter: int, n_rows: float) -> Callable[[State], bool]:
    """Return what logs each new state and tells all listeners of it, and says whether one wants to stop."""
    begun = before = time.perf_counter()
    n_done, on_all = 0, 0.0  # iterations over all rows, and their seconds

    def tell(state: State) -> bool:
        nonlocal before, n_done, on_all
        last, now = state.history[-1], time.perf_counter()
        if last.share == 1:
            n_done, on_all = n_done + 1, on_all + now - before
        left = on_all / n_done * (niter - last.number) if n_done else math.nan
        event = IterationEvent(
            number=last.number,
            niter=niter,
            log_likelihood=float(last.log_likelihood),
            penalised=float(last.penalised),
            regul=float(last.regul),
            change=float(last.change),
            converged=state.converged,
            n_rows=last.share * n_rows,
            seconds=now - before,
            elapsed=now - begun,
            seconds_left=0.0 if state.converged else left,
            share=last.share,
        )
        before = now
        return _told(event, listeners)

    return tell


@dataclass(frozen=True)
class Around:
    """What comes before and after fits that advance side by side, of a search that has more.

    Attributes
    ----------
    passes_before, passes_after : int
        Passes that were made, and the most that will be.
    fits_before, fits_after : int
    """

    passes_before: int = 0
    passes_after: int = 0
    fits_before: int = 0
    fits_after: int = 0


def teller_of_many(
    listeners: Sequence[PassListener], niter: int, n_rows: int, around: Around, begun: float
) -> Callable[[Sequence[State]], bool]:
    """Return what `teller` does, of many states; the first pass of all began at `begun`."""
    start = before = time.perf_counter()
    n_told = 0

    def tell(states: Sequence[State]) -> bool:
        nonlocal before, n_told
        now, n_told = time.perf_counter(), n_told + 1
        done = max(len(state.history) for state in states)
        going = sum(state.n_iter < niter and not state.converged for state in states)
        most = (niter if going else done) + around.passes_after
        event = PassEvent(
            number=around.passes_before + done,
            n_passes=around.passes_before + most,
            n_going=going + around.fits_after,
            n_fits=around.fits_before + len(states) + around.fits_after,
            n_rows=n_rows,
            seconds=now - before,
            elapsed=now - begun,
            seconds_left=(now - start) / n_told * (most - done),
        )
        before = now
        return _told(event, listeners)

    return tell


def _told(event: Any, listeners: Sequence[Callable[[Any], Any]]) -> bool:
    """Log an event and tell all listeners of it; return whether one wants to stop."""
    logger.info(line(event))
    answers = [listener(event) for listener in listeners]
    # Truth alone is no wish to stop: many functions return what they have written or kept.
    stops = any(isinstance(answer, (bool, np.bool_)) and answer for answer in answers)
    if stops:
        what = "search" if isinstance(event, PassEvent) else "fit"
        logger.info("a callback stops the %s after %s", what, " ".join(event._which.split()))
    return stops


def line(event: Event) -> str:
    """One line on an iteration or pass, in columns; `log-likelihood` is a mean per row in the units of X."""
    return f"{event._which}  {event._news}  {_short(event.rows_per_second):>5} rows/s  {_left(event):>8} left"


def _compact(event: Event) -> str:
    """Say the same in the room that a bar leaves of 80 columns."""
    return f"{event._compact} {_short(event.rows_per_second)} rows/s {_left(event)} left"


def _left(event: Event) -> str:
    if not event.seconds_left < LONG:  # NaN too
        return "?"
    return str(datetime.timedelta(seconds=round(event.seconds_left)))


def _short(count: float) -> str:
    """Three digits of a large number."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}"
    return f"{count:.3g}"


@contextmanager
def shown(verbose: bool) -> Iterator[tuple[Callable[[Any], Any], ...]]:
    """Yield the listeners that show a fit, or many, on stderr, if it is to be shown."""
    if not verbose:
        yield ()
        return
    console = _console()
    if console is None:
        yield (_print_line,)
        return
    with _Bar(console) as bar:
        yield (bar,)


def _print_line(event: Event) -> None:
    print(line(event), file=sys.stderr, flush=True)  # noqa: T201


def _console() -> Any:
    """Return where rich can draw a bar; None in files and pipes, and without rich."""
    if not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return None
    try:
        from rich.console import Console  # noqa: PLC0415 - an optional package, slow to import
    except ImportError:
        return None
    console = Console(stderr=True)
    if console.is_jupyter:
        draws = importlib.util.find_spec("ipywidgets") is not None  # else rich draws nothing there
    else:
        draws = console.is_terminal and not console.is_dumb_terminal
    return console if draws else None


class _Bar:
    """A progress bar of rich, from before the moments until after the likelihood."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        text, says = TextColumn("{task.description}"), TextColumn("{task.fields[says]}")
        self.progress = Progress(
            text, BarColumn(bar_width=None), says, console=console, expand=True, refresh_per_second=4
        )
        self.task = self.progress.add_task("moments", total=None, says="")

    def __enter__(self) -> _Bar:
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def __call__(self, event: Event) -> None:
        number, most = _counted(event)
        self.progress.update(
            self.task,
            description=f"{number}/{most}" if number else "sample",
            completed=number,
            total=number if getattr(event, "converged", False) else most,
            says=_compact(event),
        )


def _counted(event: Event) -> tuple[int, int]:
    """Return the number of an iteration or a pass, 0 of one over a sample, and the most there may be."""
    if isinstance(event, PassEvent):
        return event.number, event.n_passes
    return event.number if event.share == 1 else 0, event.niter
