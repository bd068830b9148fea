"""`IGTMSearch`: a grid of maps, fitted and compared in the passes of a single one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import _safe_indexing, get_tags
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data.containers import is_lazy, is_xarray
from dask_igtm.data.frames import in_pandas
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.estimators.rollback import unchanged_on_error
from dask_igtm.fitting.fit_many import Candidate, Judged, fit_many, in_parts
from dask_igtm.model.checks import check_whole
from dask_igtm.passes.map_rows import compute
from dask_igtm.projection.validate import rows_of, seed_of

VARIED = ("k", "m", "s", "regul")


class IGTMSearch(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Search a grid of `k`, `m`, `s` and `regul` by likelihood of rows held out, in one fit's passes.

    All candidates, times all folds, advance side by side: a pass over the data is an iteration of each that
    still goes on, so that the number of passes is that of the candidate which takes most. A row's fold is
    drawn from its number and a seed, so it does not depend on chunks; folds are of about the same size.

    Parameters
    ----------
    estimator : IGTM
        What all candidates have in common.
    param_grid : dict of str to sequence, or list of such dicts
        Values of "k", "m", "s" and "regul" to try, as in scikit-learn's GridSearchCV.
    cv : int, default=3
        Folds.
    scoring : callable or None, default=None
        Takes a fitted IGTM and the rows held out, and returns a number that is better where it is larger.
        The rows are lazy for lazy X, with unknown chunk sizes, and are read as often as it asks. None takes
        the mean of ln p(x) over the rows held out, in the units of X, for all candidates in one pass.
    refit : bool, default=True
        Fit the best candidate to all rows in the end, in passes of its own.
    random_state : int, RandomState or None, default=None
        Draws the folds; None takes that of `estimator`.

    Attributes
    ----------
    cv_results_ : dict of str to array
        One entry a candidate: `params`, `param_k`..., `split0_test_score`..., `mean_test_score`,
        `std_test_score`, `rank_test_score`; and of the fits `split0_n_iter`..., `split0_converged`...
    best_index_ : int
        The first of those with rank 1.
    best_params_ : dict
    best_score_ : float
        Mean over the folds.
    best_estimator_ : IGTM
        Fitted to all rows; only with `refit`. The methods below are its own.
    n_splits_ : int
    n_passes_ : float
        Passes over the data as `IGTM` counts them: those of the candidate that took most, and one for the
        likelihoods. Those of the refit are in `best_estimator_`.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X had column names.

    Notes
    -----
    What fills gaps (`missing="median"`, say) is found among the rows of each fit by itself, which reads
    lazy X once or twice a fold before the first pass, however many candidates there are.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, IGTMSearch
    >>> search = IGTMSearch(IGTM(scale="standard"), {"k": [4, 8], "regul": [0.1, 1.0]})
    >>> search.fit(load_iris().data).best_params_
    {'k': 4, 'regul': 1.0}
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        cv: int = 3,
        scoring: Any = None,
        refit: bool = True,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: ARG002
        """Compare all candidates, and fit the best.

        Parameters
        ----------
        X : as in `IGTM.fit`; shape (n, D)
            Of known chunk sizes.
        y : ignored
        sample_weight : array or dask array of shape (n,), optional
            Counts in the fits and in the likelihood of rows held out; `scoring` does not get it.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the grid holds other parameters, chunk sizes of X are unknown, or a candidate cannot be fitted:
            a note then names it. A candidate that collapses is warned of by name, and gets its score.
        TypeError
            If `estimator` is not an IGTM, or `scoring` not callable.
        """
        with unchanged_on_error(self):
            return self._fit(X, sample_weight)

    def _fit(self, X: Any, sample_weight: Any) -> Self:
        estimators = self._estimators()
        rows = rows_of(self, X, sample_weight, n_blocks=self.estimator.n_blocks, reset=True)
        chosen = self.estimator.random_state if self.random_state is None else self.random_state
        edges = [fold / self.cv for fold in range(1, self.cv)]
        rows = in_parts(rows, edges, seed_of(chosen), "IGTMSearch")
        candidates = [
            Candidate(
                _name(params),
                igtm._settings(),
                train=(*range(fold), *range(fold + 1, self.cv)),
                held_out=(fold,),
                share=1 - 1 / self.cv,
            )
            for params, igtm in estimators
            for fold in range(self.cv)
        ]
        judged, self.n_passes_ = fit_many(
            rows,
            candidates,
            persist=self.estimator.persist,
            feature_names=getattr(self, "feature_names_in_", None),
            training=self.scoring is not None,
        )
        scores = self._scores(X, rows, [igtm for _, igtm in estimators], judged)
        self.n_splits_ = self.cv
        self.cv_results_ = _results([params for params, _ in estimators], scores, judged)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.__dict__.pop("best_estimator_", None)
        if self.refit:
            best = clone(self.estimator).set_params(**self.best_params_)
            self.best_estimator_ = best.fit(X, sample_weight=sample_weight)
        return self

    def _estimators(self) -> list[tuple[dict[str, Any], BaseMap]]:
        """Check all parameters and return those of each candidate, with an estimator that has them."""
        if not isinstance(self.estimator, BaseMap):
            raise TypeError(
                f"estimator is {self.estimator!r}; give an IGTM, or use GridSearchCV of scikit-learn."
            )
        if self.scoring is not None and not callable(self.scoring):
            raise TypeError(f"scoring={self.scoring!r}; give a callable(estimator, X), or None.")
        if not isinstance(self.refit, bool):
            raise TypeError(f"refit={self.refit!r}; give True or False.")
        check_whole("cv", self.cv, least=2)
        grid = list(ParameterGrid(self.param_grid))
        others = sorted({name for params in grid for name in params} - set(VARIED))
        if others:
            raise ValueError(
                f"param_grid has {', '.join(map(repr, others))}, and candidates that share passes differ in "
                f"{', '.join(VARIED)} alone; use GridSearchCV of scikit-learn."
            )
        return [(params, clone(self.estimator).set_params(**params)) for params in grid]

    def _scores(
        self, X: Any, rows: RowBlocks, estimators: list[BaseMap], judged: list[Judged]
    ) -> NDArray[np.float64]:
        """Return the score of each candidate on each fold, (C, cv)."""
        shape = (len(estimators), self.cv)
        if self.scoring is None:
            return np.array([one.held_out for one in judged]).reshape(shape)
        scores = np.empty(shape)
        for fold in range(self.cv):
            held_out = self._held_out(X, rows, fold)
            for i, igtm in enumerate(estimators):
                fitted = clone(igtm)._keep(judged[i * self.cv + fold].fit)
                fitted.n_features_in_ = self.n_features_in_
                if hasattr(self, "feature_names_in_") and not is_lazy(X):  # lazy rows are without names
                    fitted.feature_names_in_ = self.feature_names_in_
                scores[i, fold] = self.scoring(fitted, held_out)
        return scores

    def _held_out(self, X: Any, rows: RowBlocks, fold: int) -> Any:
        if is_lazy(X):
            return rows.X[rows.y == fold]
        chosen = np.flatnonzero(compute(rows.y, in_memory=True) == fold)
        if is_xarray(X):
            return X[chosen]
        return _safe_indexing(X.tocsr() if hasattr(X, "tocsr") else in_pandas(X), chosen)

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Search, then return the positions of the rows on the best map; lazy for lazy X."""
        return self.fit(X, y, sample_weight).transform(X)

    def transform(self, X: Any) -> Any:
        """Return the positions of the rows on the best map; lazy for lazy X."""
        return self._best().transform(X)

    def table(
        self,
        X: Any,
        outputs: Sequence[str] = ("means", "node", "entropy", "log_likelihood"),
        *,
        top: int = 5,
        ids: Any = None,
    ) -> Any:
        """Return what the best map says of each row, with the names of the rows; see `IGTM.table`."""
        return self._best().table(X, outputs, top=top, ids=ids)

    def inverse_transform(self, R: Any) -> Any:
        """Return the points of data space to which responsibilities (n, K) of the best map belong."""
        return self._best().inverse_transform(R)

    def score_samples(self, X: Any) -> Any:
        """Return ln p(x) of each row under the best map; lazy for lazy X."""
        return self._best().score_samples(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: ARG002
        """Return what `scoring` says of the best map and these rows, so by default their mean of ln p(x).

        Raises
        ------
        ValueError
            If there are weights, which `scoring` does not get.
        """
        best = self._best()
        if self.scoring is None:
            return best.score(X, sample_weight=sample_weight)
        if sample_weight is not None:
            raise ValueError("scoring takes no sample_weight; give none, or call it with best_estimator_.")
        score: float = self.scoring(best, X)
        return score

    def _best(self) -> BaseMap:
        check_is_fitted(self, "best_params_")
        if not hasattr(self, "best_estimator_"):
            raise AttributeError(
                "The search had refit=False and kept no map; search with refit=True, or fit one with "
                "best_params_."
            )
        best: BaseMap = self.best_estimator_
        return best

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        best = get_tags(self.estimator)
        tags.input_tags, tags.transformer_tags = best.input_tags, best.transformer_tags
        return tags


def _name(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "the only candidate"


def _results(grid: list[dict[str, Any]], scores: NDArray[np.float64], judged: list[Judged]) -> dict[str, Any]:
    """Gather `cv_results_`; a mean that is NaN ranks last."""
    n_folds = scores.shape[1]
    results: dict[str, Any] = {}
    for name in sorted({name for params in grid for name in params}):
        values = [params.get(name) for params in grid]
        without = [name not in params for params in grid]
        results[f"param_{name}"] = np.ma.array(values, mask=without, dtype=object)
    results["params"] = grid
    results |= {f"split{fold}_test_score": scores[:, fold] for fold in range(n_folds)}
    mean = scores.mean(axis=1)
    results |= {"mean_test_score": mean, "std_test_score": scores.std(axis=1)}
    ranks = rankdata(-np.where(np.isnan(mean), -np.inf, mean), method="min")
    results["rank_test_score"] = ranks.astype(np.int32)
    for fold in range(n_folds):
        fits = [one.fit for one in judged[fold::n_folds]]
        results[f"split{fold}_n_iter"] = np.array([len(fit.history) for fit in fits])
        results[f"split{fold}_converged"] = np.array([fit.converged for fit in fits])
    return results
