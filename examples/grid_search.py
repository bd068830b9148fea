"""Choose the parameters of a map with scikit-learn's GridSearchCV, without labels and with them.

python examples/grid_search.py
"""

from __future__ import annotations

from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from dask_igtm import IGTM


def main() -> None:
    """Search twice over the same 178 wines."""
    X, cultivars = load_wine(return_X_y=True)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    igtm = IGTM(k=8, scale="standard", niter=50)

    # Without labels: the mean of ln p(x) over rows that the map has not seen. It falls where a map bends to
    # the noise of its rows. Likelihoods compare maps of the same columns; maps of other `n_components` are
    # densities of other coordinates, and cannot be told apart by them.
    search = GridSearchCV(igtm, {"m": [2, 4], "regul": [0.1, 1.0, 10.0]}, cv=list(folds.split(X, cultivars)))
    report("mean of ln p(x) of unseen wines", search.fit(X))

    # With labels: how well the probabilities over the nodes tell the cultivar.
    pipeline = Pipeline(
        [("map", igtm.set_params(model="responsibilities")), ("classifier", LogisticRegression())]
    )
    search = GridSearchCV(pipeline, {"map__m": [2, 4], "map__regul": [0.1, 1.0, 10.0]}, cv=folds)
    report("share of unseen wines whose cultivar is told", search.fit(X, cultivars))


def report(what: str, search: GridSearchCV) -> None:
    """Print the score of each choice, best last."""
    print(f"{what}:")
    for score, choice in sorted(
        zip(search.cv_results_["mean_test_score"], search.cv_results_["params"], strict=True),
        key=lambda one: one[0],
    ):
        print(f"  {score:9.3f}  {choice}")


if __name__ == "__main__":
    main()
