"""Search a grid of maps in the passes of a single one, over rows that lie in Zarr.

python examples/searching.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import zarr
from sklearn.datasets import make_swiss_roll

from dask_igtm import IGTM, IGTMSearch

GRID = {"k": [8, 12], "m": [3, 5], "regul": [0.01, 0.1, 1.0]}
FOLDS = 3


def main() -> None:
    """Compare twelve maps of a rolled-up sheet by the likelihood of rows that they have not seen."""
    with tempfile.TemporaryDirectory() as folder:
        X, _ = make_swiss_roll(20_000, noise=0.5, random_state=0)
        data = Path(folder, "roll.zarr")
        zarr.create_array(data, data=X, chunks=(2000, 3))

        # All candidates, times all folds, advance side by side: one pass is an iteration of each.
        igtm = IGTM(scale="standard", niter=40)
        search = IGTMSearch(igtm, GRID, cv=FOLDS).fit(data)
        report(search)
        print(f"The map of all rows: {search.best_estimator_.score(data):.4f}")


def report(search: IGTMSearch) -> None:
    """Print the score of each choice, best last, and what the search has read."""
    results = search.cv_results_
    scores, spreads, choices = (results[name] for name in ("mean_test_score", "std_test_score", "params"))
    print("mean of ln p(x) of unseen rows:")
    for i in scores.argsort():
        print(f"  {scores[i]:8.4f} +- {spreads[i]:.4f}  {choices[i]}")
    iterations = sum(int(results[f"split{fold}_n_iter"].sum()) for fold in range(FOLDS))
    n_fits = FOLDS * len(choices)
    print(f"{search.n_passes_} passes over the rows; fit by fit it would be {iterations + 2 * n_fits}")


if __name__ == "__main__":
    main()
