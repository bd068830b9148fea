"""Measure passes against the package as it was at an earlier commit, in one run, pair by pair.

    python benchmarks/before.py [--commit COMMIT] [--tiny] [--only WORD] [--repeats N] [--kernel NAME]

That commit is unpacked into a temporary folder. It and the package here each have a process, which does a
pass when it is asked, both with the same rows and the same model. Figures are medians, and ratios medians of
the ratios pair by pair. "One thread" is the E-step of one block of some 20,000 of the rows.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from run import complete_flights, image_patches, rows, standardised_roll
from sklearn.preprocessing import StandardScaler
from timing import Size, in_turn, processor

from dask_igtm import eIGTM
from dask_igtm.model.arrays import pack
from dask_igtm.model.model import Model
from dask_igtm.posterior.geometry import geometry_of
from dask_igtm.posterior.kernels import best_kernel

ROOT = Path(__file__).parents[1]
WORKER = Path(__file__).parent / "workers" / "one_pass.py"
WAYS = {"one thread": "block", f"{os.cpu_count()} threads": "pass"}


@dataclass(frozen=True)
class Case:
    """Rows, the map of which a pass is timed, and after how many iterations."""

    name: str
    make: Callable[[Size], np.ndarray]
    niter: int
    k: int = 16
    m: int = 4
    dtypes: tuple[str, ...] = ("float64", "float32")

    def lines(self, word: str) -> list[tuple[str, str, str]]:
        """Return name, dtype and way of each line of the table that has the word in its name."""
        size = "" if (self.k, self.m) == (16, 4) else f", k={self.k}, m={self.m}"
        named = [(f"{self.name}{size}, {d}, {way}", d, way) for d in self.dtypes for way in WAYS]
        return [line for line in named if word in line[0]]


def gaussian(n_rows: int, n_columns: int, **of_map: object) -> Case:
    """Rows that need most nodes of a map."""
    name = f"Gaussian, {n_columns:,} columns"
    return Case(name, lambda size: rows(size.rows(n_rows), n_columns), 2, **of_map)


def roll(n_rows: int, n_columns: int, **of_map: object) -> Case:
    """Rows that need a few nodes."""
    name = f"swiss roll, {n_columns:,} columns"
    return Case(name, lambda size: standardised_roll(size.rows(n_rows), n_columns), 30, **of_map)


def standardised(make: Callable[[Size], np.ndarray]) -> Callable[[Size], np.ndarray]:
    """Return the same rows in columns of mean 0 and variance 1."""
    return lambda size: StandardScaler().fit_transform(make(size))


CASES = [
    gaussian(200_000, 50),
    gaussian(50_000, 300),
    gaussian(40_000, 2000, dtypes=("float32",)),
    roll(200_000, 50),
    roll(50_000, 300),
    Case("image patches, 147 columns", standardised(image_patches), 30),
    Case("flights, 12 columns", standardised(complete_flights), 30),
    gaussian(200_000, 50, k=8),
    gaussian(100_000, 50, k=32),
    gaussian(40_000, 50, k=72, m=8),
    roll(200_000, 50, k=8),
    roll(100_000, 50, k=32),
    roll(40_000, 50, k=72, m=8),
]
TINY_CASES = [CASES[0], CASES[5]]


class Package:
    """A process that times passes of the package in a folder."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {"PYTHONPATH": str(folder)}
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        found = Path(self._read()).resolve()
        if found.parents[1] != folder.resolve():
            raise RuntimeError(f"Python takes dask_igtm from {found}, and not from {folder}.")

    def ask(self, *words: str) -> tuple[float, float]:
        """Return the seconds of a pass, and the mean log-likelihood that it found."""
        self._process.stdin.write("\t".join(words) + "\n")
        self._process.stdin.flush()
        seconds, log_likelihood = self._read().split()
        return float(seconds), float(log_likelihood)

    def _read(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"A worker ended with status {self._process.wait()}; it says why above.")
        return line.strip()

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()


def compare(
    before: Package, now: Package, case: Case, lines: list[tuple[str, str, str]], size: Size, kernel: str
) -> Iterator[str]:
    """Yield the lines of the table of one case."""
    X = case.make(size)
    model = eIGTM(k=case.k, m=case.m, niter=case.niter, tol=0).fit(X).model_
    for dtype in case.dtypes:
        chosen = [(name, WAYS[way]) for name, of, way in lines if of == dtype]
        if not chosen:
            continue
        with tempfile.TemporaryDirectory() as folder:
            np.save(f"{folder}/X.npy", X.astype(dtype))
            np.savez(f"{folder}/model.npz", **pack(model))
            for name, what in chosen:
                words = (folder, what, kernel)
                check_same(name, before.ask(*words), now.ask(*words))  # and both have compiled
                theirs, ours, ratio = in_turn(
                    lambda words=words: before.ask(*words)[0],
                    lambda words=words: now.ask(*words)[0],
                    size.repeats,
                )
                n_rows = rows_of(what, len(X))
                yield (
                    f"| {name} | {needed(model, dtype)} | {1e6 * theirs / n_rows:.3g} "
                    f"| {1e6 * ours / n_rows:.3g} | {ratio:.3g} |"
                )


def rows_of(what: str, n_rows: int) -> int:
    """Return how many rows are worked on, as `one_pass.py` takes them."""
    return n_rows if what == "pass" else math.ceil(n_rows / max(1, n_rows // 20_000))


def needed(model: Model, dtype: str) -> str:
    """Say whether the package takes it that most rows need but a few nodes, and orders them by the map."""
    return "few" if len(geometry_of(model, np.dtype(dtype).type).cells) else "many"


def check_same(name: str, before: tuple[float, float], now: tuple[float, float]) -> None:
    """Raise RuntimeError unless both found the same likelihood."""
    if not np.isclose(before[1], now[1], rtol=1e-5, atol=1e-4):
        raise RuntimeError(f"{name}: ln p(x) was {before[1]} on average, and is {now[1]}.")


def unpack_commit(commit: str, folder: str) -> str:
    """Write the package of a commit to a folder; return why that cannot be, else nothing."""
    git = ["git", "-C", str(ROOT)]
    try:
        test = [*git, "cat-file", "-e", f"{commit}^{{commit}}"]
        known = subprocess.run(test, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        return "There is no git here, from which an earlier commit could be taken."
    if known.returncode:
        return (
            f"Commit {commit} cannot be had from {ROOT} (git: {known.stderr.strip()}). In a shallow clone, "
            "`git fetch --unshallow` fetches it; or give another by --commit."
        )
    archive = subprocess.run([*git, "archive", commit, "dask_igtm"], check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", folder], check=True, input=archive.stdout)
    return ""


def main() -> None:
    """Compare the cases that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--commit", default="940e1c9", help="the package before, 940e1c9 by default")
    parser.add_argument(
        "--tiny", action="store_true", help="two cases, few rows, once; nothing if there is no commit"
    )
    parser.add_argument("--only", default="", metavar="WORD", help="lines with WORD in their name")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--kernel", choices=["numba", "numpy"], default=best_kernel())
    arguments = parser.parse_args()
    size = Size(1 if arguments.tiny else arguments.repeats, arguments.tiny)
    with tempfile.TemporaryDirectory() as folder:
        missing = unpack_commit(arguments.commit, folder)
        if missing and arguments.tiny:
            print(f"Skipped. {missing}")
            return
        if missing:
            sys.exit(missing)
        before, now = Package(Path(folder)), Package(ROOT)
        print(
            f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}, "
            f"numpy {np.__version__}, kernel {arguments.kernel}, before: {arguments.commit}\n"
        )
        print("| what | nodes a row needs | before us/row | now us/row | ratio |")
        print("| --- | --- | --- | --- | --- |")
        for case in TINY_CASES if arguments.tiny else CASES:
            lines = case.lines(arguments.only)
            if lines:
                for line in compare(before, now, case, lines, size, arguments.kernel):
                    print(line, flush=True)
        before.close()
        now.close()


if __name__ == "__main__":
    main()
