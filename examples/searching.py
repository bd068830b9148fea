"""Search a grid of maps in the passes of a single one, over rows that lie in Zarr; then of classifiers.

python examples/searching.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import zarr
from sklearn.datasets import make_swiss_roll

from dask_igtm import IGTM, IGTMClassifier, IGTMSearch, PassEvent

GRID = {"k": [8, 12], "m": [3, 5], "regul": [0.01, 0.1, 1.0]}
FOLDS = 3


def main() -> None:
    """Compare maps of a rolled-up sheet by the likelihood of unseen rows, then by what they tell of these."""
    with tempfile.TemporaryDirectory() as folder:
        X, place = make_swiss_roll(20_000, noise=0.5, random_state=0)
        data = Path(folder, "roll.zarr")
        zarr.create_array(data, data=X, chunks=(2000, 3))

        # All candidates, times all folds, advance side by side: one pass is an iteration of each.
        # Were this process killed, the same call would go on from the checkpoint.
        igtm = IGTM(scale="standard", niter=40, solver="em")
        search = IGTMSearch(igtm, GRID, cv=FOLDS)
        search.fit(data, checkpoint=Path(folder, "search.npz"), callbacks=[tell])
        report(search)
        report_passes(search)
        print(f"The map of all rows: {search.best_estimator_.score(data):.4f}\n")

        # Rows of a slice of the sheet belong together: slices are held out whole. Scales share no passes.
        half, slices = np.where(place > place.mean(), "outer", "inner"), X[:, 1].astype(int)
        classifier = IGTMClassifier(k=8, niter=20, solver="em")
        search = IGTMSearch(classifier, {"scale": ["center", "standard"], "m": [2, 4]}, cv=FOLDS)
        report(search.fit(data, half, groups=slices), "share of unseen rows whose half of the sheet is told")


def tell(event: PassEvent) -> None:
    """Say now and then how far the search is."""
    if event.number % 10 == 0:
        print(f"pass {event.number} of {event.n_passes}: {event.n_going} of {event.n_fits} fits go on")


def report(search: IGTMSearch, what: str = "mean of ln p(x) of unseen rows") -> None:
    """Print the score of each choice, best last."""
    results = search.cv_results_
    scores, spreads, choices = (results[name] for name in ("mean_test_score", "std_test_score", "params"))
    print(f"{what}:")
    for i in scores.argsort():
        print(f"  {scores[i]:8.4f} +- {spreads[i]:.4f}  {choices[i]}")


def report_passes(search: IGTMSearch) -> None:
    """Print what the search has read."""
    results = search.cv_results_
    iterations = sum(int(results[f"split{fold}_n_iter"].sum()) for fold in range(FOLDS))
    n_fits = FOLDS * len(results["params"])
    print(f"{search.n_passes_} passes over the rows; fit by fit it would be {iterations + 2 * n_fits}")


if __name__ == "__main__":
    main()
