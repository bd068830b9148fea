"""Compare the predictions of dask_igtm with those of ugtm, fold by fold, with ugtm's defaults.

python benchmarks/predictions.py [--tiny] [--only WORD]

Both get the same five folds. Accuracies and root mean squared errors are means over the folds; the last
column counts those in which ours is at least as good.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import ugtm
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTMClassifier, IGTMRegressor

FOLDS = 5
FLIGHTS = 20_000
LANDED = ["arr_delay", "arr_time"]  # not known before a flight has landed
ROUNDING = 1e-9


@dataclass(frozen=True)
class Task:
    """Rows and what to predict of them."""

    name: str
    X: np.ndarray
    y: np.ndarray
    classes: bool

    def folds(self, n_folds: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the rows to learn from and those to predict."""
        kind = StratifiedKFold if self.classes else KFold
        return kind(n_folds, shuffle=True, random_state=0).split(self.X, self.y)

    def theirs(self, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Predict by ugtm, whose classifier gives numbers of classes."""
        if self.classes:
            fitted = ugtm.eGTC().fit(self.X[train], self.y[train])
            return fitted.classes_[fitted.predict(self.X[test])]
        return ugtm.eGTR().fit(self.X[train], self.y[train]).predict(self.X[test])

    def ours(self, train: np.ndarray, test: np.ndarray) -> np.ndarray:
        """Predict by dask_igtm."""
        kind = IGTMClassifier if self.classes else IGTMRegressor
        return kind(scale=None, solver="em").fit(self.X[train], self.y[train]).predict(self.X[test])

    def figure(self, predicted: np.ndarray, test: np.ndarray) -> float:
        """Accuracy or root mean squared error."""
        if self.classes:
            return float((predicted == self.y[test]).mean())
        return float(np.sqrt(((predicted - self.y[test]) ** 2).mean()))


def tasks(tiny: bool) -> Iterator[Task]:
    """Yield the tasks, with every tenth row only where `tiny`, of flights every hundredth."""
    step = 10 if tiny else 1
    yield Task("digits", *(part[::step] for part in load_digits(return_X_y=True)), True)
    for name, load, classes in (("wine", load_wine, True), ("diabetes", load_diabetes, False)):
        X, y = (part[::step] for part in load(return_X_y=True))
        yield Task(f"{name}, raw", X, y, classes)
        yield Task(f"{name}, standardised", StandardScaler().fit_transform(X), y, classes)
    X, y = flights(FLIGHTS // step**2)
    yield Task("delay of flights, standardised", StandardScaler().fit_transform(X), y, False)


def flights(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Ten numbers of complete flights, and how many minutes late they arrived."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    from flights import read_flights

    complete = read_flights(None).dropna().sample(n_rows, random_state=0)
    return complete.drop(columns=LANDED).to_numpy(float), complete["arr_delay"].to_numpy(float)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="two folds of every tenth row")
    parser.add_argument("--only", default="", metavar="WORD", help="tasks with WORD in their name")
    arguments = parser.parse_args()
    n_folds = 2 if arguments.tiny else FOLDS
    warnings.simplefilter("ignore")  # that raw wine collapses
    print("| rows | figure | ugtm | dask_igtm | folds in which ours is as good |")
    print("| --- | --- | --- | --- | --- |")
    for task in tasks(arguments.tiny):
        if arguments.only not in task.name:
            continue
        pairs = [
            [task.figure(predict(train, test), test) for predict in (task.theirs, task.ours)]
            for train, test in task.folds(n_folds)
        ]
        theirs, ours = np.transpose(pairs)
        better = ours - theirs if task.classes else theirs - ours
        word = "eGTC, accuracy" if task.classes else "eGTR, RMSE"
        rows = f"{len(task.X):,} rows of {task.name}"
        wins = f"{np.count_nonzero(better >= -ROUNDING)} of {n_folds}"
        print(f"| {rows} | {word} | {theirs.mean():.4f} | {ours.mean():.4f} | {wins} |", flush=True)


if __name__ == "__main__":
    main()
