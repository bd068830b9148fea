"""Suites of `run.py` on rows of many columns, sparse and dense."""

from __future__ import annotations

import functools
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr
from distributed import Client, LocalCluster
from scipy.sparse import csr_array
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from timing import Row, Size, in_parallel, in_turn, seconds, steady

from dask_igtm import IGTM, eIGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.start import start_of
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.statistics.e_step import e_step

NODES, KINDS = 256, 20


def sets_of_bits(n_rows: int, n_columns: int, n_bits: int, seed: int = 0, skew: float = 1.0) -> csr_array:
    """Return rows with about so many ones each, as fingerprints have: of some kinds, a few bits frequent."""
    of_kinds, random = np.random.default_rng(0), np.random.default_rng(seed)
    often = 1.0 / (3.0 + np.arange(n_columns)) ** skew
    kinds = np.cumsum([of_kinds.permutation(often) + often for _ in range(KINDS)], axis=1)
    kinds /= kinds[:, -1:]
    drawn = random.random((n_rows, int((1.0 + 0.2 * skew) * n_bits)))
    columns = np.empty(drawn.shape, np.int32)
    for kind, of_kind in enumerate(kinds):
        columns[kind::KINDS] = np.minimum(np.searchsorted(of_kind, drawn[kind::KINDS]), n_columns - 1)
    columns.sort(axis=1)
    once = np.diff(columns, axis=1, prepend=-1) > 0
    indptr = np.concatenate([[0], np.cumsum(once.sum(axis=1))]).astype(np.int32)
    indices = columns[once]
    return csr_array((np.ones(len(indices), np.float32), indices, indptr), (n_rows, n_columns))


def sparse_passes(size: Size) -> Iterator[Row]:
    """One EM pass over CSR, against the same rows made dense, two products alone, and k-means."""
    X = sets_of_bits(size.rows(200_000), 2048, 45)
    model = eIGTM(niter=5, tol=0).fit(X[:5000]).model_
    source, per_row = prepare(row_blocks(X)), X.nnz / X.shape[0]
    what = f"EM pass over CSR, {X.shape[0]:,} x 2,048, {per_row:.0f} entries a row"
    parts = [X[start : start + 5000] for start in range(0, X.shape[0], 5000)]
    slopes = (model.centers.T @ functions_of(model.basis).values).astype(np.float32)
    back = np.random.default_rng(0).random((5000, slopes.shape[1]), np.float32)

    def ours() -> float:
        return steady(lambda: reduce(source, e_step, _anew(model), best_kernel(), label="igtm-estep"))

    def by_dense_rows(part: csr_array) -> None:
        e_step(part.toarray(), None, model, best_kernel())

    def two_products(part: csr_array) -> None:
        part @ slopes, part.T @ back[: part.shape[0]]

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for peer, work, goal in (
            ("blocks made dense", by_dense_rows, "-"),
            (f"its products with {slopes.shape[1]} columns", two_products, ">= 0.33 x (3 x their time)"),
        ):
            theirs = functools.partial(in_parallel, threads, work, parts)
            yield Row(what, peer, *in_turn(theirs, ours, size.repeats), goal)
    k_means = functools.partial(_lloyd, X, X[: min(NODES, X.shape[0] // 4)].toarray())
    yield Row(what, "KMeans(256), Lloyd", *in_turn(k_means, ours, size.repeats), ">= 1 x")


def _anew(model: Model) -> Model:
    """Return the model as one that is new to each pass, as in a fit."""
    return Model(model.basis, model.affine, model.weights, model.beta_inv, model.noise, model.gaps)


def _lloyd(X: csr_array, centers: np.ndarray) -> float:
    """Time an iteration: a third of what three more iterations of a fit take."""

    def fit(max_iter: int) -> float:
        start = {"init": centers, "n_init": 1, "algorithm": "lloyd"}
        return seconds(lambda: KMeans(len(centers), max_iter=max_iter, tol=0, **start).fit(X))

    return (fit(4) - fit(1)) / 3


def wide_starts(size: Size) -> Iterator[Row]:
    """Find where a fit of wide rows sets out, against PCA."""
    n_rows, n_columns = size.rows(20_000), 256 if size.tiny else 4096
    X = sets_of_bits(n_rows, n_columns, 45)
    settings, dense = Settings(16, 4, 0.3, 0.1, 0, 0.0, "center"), X.toarray()

    def start(rows: object) -> float:
        return seconds(lambda: start_of(prepare(row_blocks(rows)), n_columns, settings, None))

    def pca() -> float:
        return seconds(lambda: PCA(3, svd_solver="randomized", random_state=0).fit(dense))

    figures, what = in_turn(pca, lambda: start(dense), size.repeats), f"start of {n_rows:,} x {n_columns:,}"
    yield Row(f"{what} float32", 'PCA(3, svd_solver="randomized")', *figures, "-")
    figures = in_turn(lambda: start(dense), lambda: start(X), size.repeats)
    yield Row(f"{what} CSR", "the same rows, dense", *figures, "-")


# Each in a process of its own: ru_maxrss would begin at the size of the process that starts it.
PEERS = {
    "ugtm eIGTM": "import ugtm\nfit = lambda niter: ugtm.eIGTM(niter=niter).fit(X)",
    "ugtm eGTM": "import ugtm\nfit = lambda niter: ugtm.eGTM(k=16, m=4, niter=niter).fit(X)",
    "chemographykit GTM": """
import torch
from chemographykit.gtm import GTM
T = torch.as_tensor(X)
fit = lambda niter: GTM(num_nodes=256, num_basis_functions=16, basis_width=0.3, reg_coeff=0.1, max_iter=niter,
                        tolerance=0, standardize=False, device="cpu").fit(T)
""",
    "dask_igtm": "from dask_igtm import eIGTM\nfit = lambda niter: eIGTM(niter=niter, tol=0).fit(X)",
    "dask_igtm, CSR": """
from scipy.sparse import csr_array
from dask_igtm import eIGTM
S = csr_array(X)
del X
fit = lambda niter: eIGTM(niter=niter, tol=0).fit(S)
""",
}
TIMED = """
import sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
X = np.load(sys.argv[1])
{prepare}
def seconds(niter):
    begun = time.perf_counter()
    fit(niter)
    return time.perf_counter() - begun
seconds(1)
once, more = seconds(1), seconds(5)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print((more - once) / 4, int(status["VmHWM"].split()[0]) / 2**20)
"""


def wide_peers(size: Size) -> Iterator[Row]:
    """One EM pass over wide rows, and the memory of a fit, against other packages."""
    shape = size.rows(10_000), 2048
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/x.npy", sets_of_bits(*shape, 45).toarray().astype(float))
        ours = {name: _measured(name, folder, size.repeats) for name in ("dask_igtm", "dask_igtm, CSR")}
        for peer in PEERS:
            package = peer.partition(" ")[0]
            if package.startswith("dask_igtm") or importlib.util.find_spec(package) is None:
                continue
            theirs = _measured(peer, folder, size.repeats)
            for name, figures in ours.items():
                kind = "CSR" if "CSR" in name else "dense float64"
                for what, unit, one, other in zip(
                    ("EM pass", "memory"), ("s", "GiB"), theirs, figures, strict=True
                ):
                    case = f"{what}, {shape[0]:,} x 2,048, {kind}"
                    yield Row(case, peer, one, other, one / other, "-", unit)


def _measured(peer: str, folder: str, repeats: int) -> tuple[float, float]:
    """Return the seconds of an iteration, and the most memory of a process that fits, in GiB."""
    command = [sys.executable, "-c", TIMED.format(prepare=PEERS[peer]), f"{folder}/x.npy"]
    runs = [subprocess.run(command, check=True, capture_output=True, text=True) for _ in range(repeats)]
    times, peaks = zip(*(map(float, run.stdout.split()[-2:]) for run in runs), strict=True)
    return statistics.median(times), statistics.median(peaks)


def cells(size: Size) -> Iterator[Row]:
    """Fit sparse rows in Zarr by worker processes, all of them and half of them."""
    n_rows, n_columns, per_row = size.rows(200_000), 300 if size.tiny else 30_000, 15 if size.tiny else 1500
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for part in (n_rows // 2, n_rows):
            path = f"{folder}/{part}.zarr"
            write_cells(path, part, n_columns, per_row)
            with (
                LocalCluster(
                    n_workers=2, threads_per_worker=1, memory_limit="2 GiB", dashboard_address=None
                ) as cluster,
                Client(cluster) as client,
            ):
                igtm = IGTM(solver="accelerated", scale="center", tol=0.1, persist=False)
                taken = seconds(lambda: igtm.fit(path))  # noqa: B023
                found.append((taken, max(client.run(_peak).values()), igtm))
    (half_time, half, _), (time_, whole, igtm) = found
    what = f"{n_rows:,} x {n_columns:,} CSR at {per_row / n_columns:.0%} in Zarr, 2 processes"
    peer, done = "half of the rows", f"whole fit, {igtm.n_passes_:.0f} passes"
    yield Row(f"{done}, {what}", peer, half_time, time_, half_time / time_, "runs")
    yield Row(f"peak of a worker, {what}", peer, half, whole, half / whole, "< 2, flat", "GiB")


def _peak() -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 2**20


def write_cells(path: str, n_rows: int, n_columns: int, per_row: int) -> None:
    """Write counts of genes in cells of some kinds, as AnnData lays out a CSR matrix."""
    group = zarr.open_group(path, mode="w")
    layout = {"chunks": (2**21,), "shape": (0,)}
    data = group.create_array("data", dtype="float32", **layout)
    indices = group.create_array("indices", dtype="int32", **layout)
    ends = [np.zeros(1, np.int64)]
    for start in range(0, n_rows, 2000):
        rows = sets_of_bits(min(2000, n_rows - start), n_columns, per_row, seed=start, skew=0.5)
        data.append(np.log1p(np.random.default_rng(start).poisson(1.0, rows.nnz) + 1).astype(np.float32))
        indices.append(rows.indices)
        ends.append(ends[-1][-1] + rows.indptr[1:].astype(np.int64))
    indptr = np.concatenate(ends)
    group.create_array("indptr", shape=indptr.shape, chunks=indptr.shape, dtype="int64")[...] = indptr
    encoding = {"encoding-type": "csr_matrix", "encoding-version": "0.1.0"}
    group.attrs.update(encoding | {"shape": [n_rows, n_columns]})


SUITES: list[Callable[[Size], Iterator[Row]]] = [sparse_passes, wide_starts, wide_peers, cells]
