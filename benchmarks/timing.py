"""What the suites of `run.py` share: lines of a table, timers, and how much to measure."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dask_igtm.passes.resources import single_threaded_blas


@dataclass(frozen=True)
class Row:
    """One line of the table; times in seconds unless `unit` says otherwise."""

    what: str
    peer: str
    theirs: float
    ours: float
    ratio: float
    goal: str
    unit: str = "s"

    def __str__(self) -> str:
        figures = [f"{self.theirs:.3g} {self.unit}", f"{self.ours:.3g} {self.unit}", f"{self.ratio:.3g}"]
        shown = ["-" if "nan" in figure else figure.strip() for figure in figures]
        return f"| {self.what} | {self.peer} | {' | '.join(shown)} | {self.goal} |"


REST = 0.05  # seconds; threads of BLAS without work keep a core busy for some time before they sleep


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def steady(work: Callable[[], object]) -> float:
    """Time a call among several, as iterations of a fit: the mean of three after one more."""
    work()
    return seconds(lambda: [work() for _ in range(3)]) / 3


def in_turn(
    theirs: Callable[[], float], ours: Callable[[], float], repeats: int
) -> tuple[float, float, float]:
    """Medians of two timers called in turn, and the median of theirs / ours."""

    def rested(timer: Callable[[], float]) -> float:
        time.sleep(REST)
        return timer()

    pairs = [(rested(theirs), rested(ours)) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in pairs)


def in_parallel(
    threads: ThreadPoolExecutor, work: Callable[[np.ndarray], object], parts: list[np.ndarray]
) -> float:
    """Time `work` on all parts, each on one thread."""
    with single_threaded_blas:
        return steady(lambda: list(threads.map(work, parts)))


@dataclass(frozen=True)
class Size:
    """How much to measure."""

    repeats: int
    tiny: bool

    def rows(self, n_rows: int) -> int:
        """Return the rows of a case."""
        return min(n_rows // 100, 500) if self.tiny else n_rows


def processor() -> str:
    """Name of the processor, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
