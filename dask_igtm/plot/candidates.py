"""What a search has found of its candidates, whoever made it: IGTMSearch, or scikit-learn's GridSearchCV."""

from __future__ import annotations

import math
import numbers
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier, is_regressor
from sklearn.utils.validation import check_is_fitted

Array = NDArray[np.float64]

MOST_LINES = 10  # of as many colours


@dataclass(frozen=True)
class Candidates:
    """The candidates of a search, each with its scores over the folds.

    Attributes
    ----------
    params : tuple of dict, of length C
    mean, spread : ndarray of shape (C,)
        Of the scores; NaN where there is none. The spread is their standard deviation.
    best : int
        Number of the one that the search chose.
    n_folds : int
    converged : ndarray of shape (C,) or None
        In how many folds the fit did; None where the search does not know.
    """

    params: tuple[dict[str, Any], ...]
    mean: Array
    spread: Array
    best: int
    n_folds: int
    converged: NDArray[np.int64] | None

    @property
    def settled(self) -> NDArray[np.bool_]:
        """Whether the fits of a candidate converged in every fold, as far as is known."""
        if self.converged is None:
            return np.ones(len(self.params), dtype=bool)
        return np.asarray(self.converged == self.n_folds)

    @property
    def ranked(self) -> list[int]:
        """Numbers of the candidates that have a score, the best first."""
        order = np.argsort(-self.mean, kind="stable").tolist()
        return [number for number in order if np.isfinite(self.mean[number])]

    @property
    def varied(self) -> dict[str, list[Any]]:
        """Parameters in which candidates differ, with the value of each candidate, None where it has none."""
        names = dict.fromkeys(name for params in self.params for name in params)
        columns = {name: [params.get(name) for params in self.params] for name in names}
        return {name: values for name, values in columns.items() if len(set(map(str, values))) > 1}

    def words(self, number: int) -> str:
        """Say what sets a candidate apart from the others."""
        params, varied = self.params[number], self.varied
        told = [f"{name}={_brief(value)}" for name, value in params.items() if name in varied]
        return ", ".join(told) or "the only candidate"

    def plane(self) -> tuple[str, str | None] | None:
        """Return the parameter for the axis and the one for the lines, if any; None where neither serves."""
        varied = self.varied
        numeric = [name for name, values in varied.items() if all(map(is_number, values))]
        if len(varied) > 2 or not numeric:
            return None
        axis = max(numeric, key=lambda name: len(set(varied[name])))
        line = next((name for name in varied if name != axis), None)
        few = line is None or len(set(map(str, varied[line]))) <= MOST_LINES
        return (axis, line) if few else None


def candidates_of(search: Any) -> Candidates:
    """Return what a search has found.

    Raises
    ------
    NotFittedError
        If it has not searched yet.
    TypeError
        If it is no search.
    ValueError
        If it has several scores of a candidate, or none of any.
    """
    if not hasattr(search, "cv_results_"):
        if not hasattr(search, "estimator"):
            raise TypeError(
                f"{type(search).__name__} is no search; give a fitted IGTMSearch or GridSearchCV."
            )
        check_is_fitted(search, "cv_results_")
    results = search.cv_results_
    if "mean_test_score" not in results:
        raise ValueError(
            "The search has several scores of each candidate, of which a picture shows one; search with one "
            "scoring."
        )
    mean = np.asarray(results["mean_test_score"], dtype=float)
    if not np.isfinite(mean).any():
        raise ValueError("No candidate of the search has a score, so there is nothing to draw.")
    folds = [match[1] for match in map(re.compile(r"split(\d+)_test_score").fullmatch, results) if match]
    known = all(f"split{fold}_converged" in results for fold in folds)
    return Candidates(
        params=tuple(results["params"]),
        mean=mean,
        spread=np.asarray(results["std_test_score"], dtype=float),
        best=int(getattr(search, "best_index_", np.nanargmax(mean))),
        n_folds=len(folds),
        converged=np.sum([results[f"split{fold}_converged"] for fold in folds], axis=0) if known else None,
    )


def score_name(search: Any) -> str:
    """Say in plain words what the candidates of a search are judged by."""
    if isinstance(search.scoring, str):
        return search.scoring.replace("_", " ")
    if search.scoring is not None:
        return "score"
    if is_classifier(search.estimator):
        return "share of rows told right"
    if is_regressor(search.estimator):
        return "R^2"
    is_map = hasattr(search.estimator, "applicability")  # which is judged by its likelihood; others vary
    return "log-likelihood a row" if is_map else "score"


def is_number(value: Any) -> bool:
    """Whether a value is one on an axis: finite, and no bool."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _brief(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
