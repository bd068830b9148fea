"""`IGTMSearch`: a grid of maps, fitted and compared in the passes of a single one."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from dask_igtm.data.column_names import column_names
from dask_igtm.data.containers import opened
from dask_igtm.data.cubes import is_dataset
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.whole_outputs import FILE, Path, beside, check_kind
from dask_igtm.estimators.base_map import BaseMap
from dask_igtm.estimators.base_predictor import BasePredictor, least_to_read
from dask_igtm.estimators.classifier import IGTMClassifier
from dask_igtm.estimators.fitted_html import FittedHtmlMixin
from dask_igtm.estimators.folds import Fold, Folds, HeldRows, folds_of, is_nameless
from dask_igtm.estimators.rollback import unchanged_on_error
from dask_igtm.estimators.row_tables import RowTablesMixin
from dask_igtm.fitting.checkpoint_file import sole_writer
from dask_igtm.fitting.checkpoint_many import CheckpointMany
from dask_igtm.fitting.fit_many import Candidate, Judged, check_side_by_side, fit_many, open_checkpoint
from dask_igtm.fitting.progress import Around, PassListener, check_listeners, shown, teller_of_many
from dask_igtm.fitting.result import Fit
from dask_igtm.fitting.settings import Settings
from dask_igtm.projection.validate import rows_of, seed_of
from dask_igtm.solvers.em import State

Array = NDArray[np.float64]

SHARED = ("k", "m", "s", "regul")  # in which candidates of the same passes differ
APART = ("scale", "n_components", "missing", "noise", "exposure", "solver", "tol", "niter")
INCOMPARABLE = {
    "n_components": "those of different axes are densities of different coordinates",
    "missing": "those are of what is observed, or of rows that each fills in its own way",
    "measure": "Gaussian noise gives densities of a row, bernoulli and poisson its probability",
    "exposure": "with 'total' a row is judged given its sum, and else with it",
}


def _predicting(search: Any) -> bool:
    return isinstance(search.estimator, BasePredictor)


def _classifying(search: Any) -> bool:
    return isinstance(search.estimator, IGTMClassifier)


class IGTMSearch(RowTablesMixin, FittedHtmlMixin, MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """Search a grid of settings by likelihood of rows held out, in one fit's passes.

    All candidates, times all folds, advance side by side: a pass over the data is an iteration of each that
    still goes on, so that the number of passes is that of the candidate which takes most. Candidates that
    differ in more than `k`, `m`, `s` and `regul` cannot share passes; those that can go together, one such
    group after the other.

    Parameters
    ----------
    estimator : IGTM, IGTMClassifier or IGTMRegressor
        What all candidates have in common.
    param_grid : dict of str to sequence, or list of such dicts
        Values to try, as in scikit-learn's GridSearchCV: of "k", "m", "s" and "regul" in the same passes; of
        "scale", "n_components", "missing", "noise", "exposure", "solver", "tol" and "niter" in passes of
        their own; and of the "prior" of a classifier.
    cv : int, splitter, or iterable of (train, test), default=3
        How many folds: a row's is drawn from its number and a seed, so it does not depend on chunks, and
        folds are of about the same size. Or, of X in memory, what scikit-learn takes: a splitter, whose tests
        may overlap (ShuffleSplit), or lists of rows; a row is in a list once.
    scoring : callable or None, default=None
        Takes a fitted estimator and the rows held out, of a predictor also their y, and returns a number that
        is better where it is larger; and `sample_weight`, if it has a parameter of that name and there are
        weights. The rows are lazy for lazy X, and are read as often as it asks. None takes the mean of
        ln p(x) over the rows held out, in the units of X, for all candidates in one pass; of a classifier the
        share of rows whose class is predicted, of a regressor R^2.
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
    best_estimator_ : IGTM, IGTMClassifier or IGTMRegressor
        Fitted to all rows; only with `refit`. The methods below are its own.
    n_splits_ : int
    n_passes_ : float
        Passes over the data as `IGTM` counts them: those of the candidate that took most, and one for the
        likelihoods, of each group that shares passes; without those in which predictors learn and are judged.
        Those of the refit are in `best_estimator_`.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Only where X had column names.

    Notes
    -----
    Likelihoods compare maps of any `scale`, for they are in the units of X, but neither several
    `n_components`, `missing` or `exposure`, nor Gaussian `noise` with that of bits or counts: those need
    `scoring`. A classifier or regressor learns from the rows
    of each fit, and is judged, in two passes a candidate and fold; lazy y is read once more a fold.

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
        cv: Any = 3,
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

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        groups: Any = None,
        checkpoint: Path | None = None,
        callbacks: Sequence[PassListener] = (),
    ) -> Self:
        """Compare all candidates, and fit the best.

        Parameters
        ----------
        X : as in `IGTM.fit`; shape (n, D)
            Of known chunk sizes.
        y : array, series or frame, in memory or lazy, optional
            What a classifier or regressor is to predict; of a map, only what a splitter is told.
        sample_weight : array or dask array of shape (n,), optional
            Counts in the fits and in the likelihood of rows held out; `scoring` gets that of the rows held
            out if it has a parameter of that name.
        groups : array or series of shape (n,), in memory or lazy, optional
            Labels of groups: whole numbers, strings, bytes or bools. Rows of a group are held out together.
            Folds are then of as many groups, not rows, and drawn by the labels alone: neither chunks nor the
            process change them. A splitter is told them.
        checkpoint : path or URL, optional
            A file that holds the states of all fits after every pass. Where it exists, the search goes on
            from it, to the bits of one that was never cut; `niter` may have grown. Beside it stand that of
            the refit, "name.refit-3.npz" for candidate 3, and where candidates cannot share passes,
            "name.2.npz" and so on. All stay after the search. One search at a time writes to it.
        callbacks : sequence of callable, optional
            Each is called with a `PassEvent` after every pass that is an iteration, not in the refit. One
            that returns True stops the search there: the maps reached are judged, and candidates whose turn
            had not come get NaN. The refit is made all the same.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the grid holds other parameters, or what likelihoods cannot compare; chunk sizes of X are
            unknown; the folds cannot be used; the checkpoint belongs to other data, folds or settings, or
            another search writes to it; or a candidate cannot be fitted: a note then names it. A candidate
            that collapses is warned of by name, and gets its score.
        TypeError
            If `estimator` is none of these, `scoring` is not callable, or `callbacks` are no functions.
        """
        with unchanged_on_error(self), sole_writer(checkpoint):
            check_listeners(callbacks)
            refuse_own_input(checkpoint, X)
            return self._fit(X, y, sample_weight, groups, checkpoint, callbacks)

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        groups: Any,
        checkpoint: Path | None,
        callbacks: Sequence[PassListener],
    ) -> Self:
        grid = self._grid()
        rows = rows_of(self, X, sample_weight, n_blocks=self.estimator.n_blocks, reset=True)
        if self._predicts:
            template = clone(self.estimator)
            looked = template._rows_with_target(X, y, sample_weight, reset=True)
            template._look_through(least_to_read(looked))
        chosen = self.estimator.random_state if self.random_state is None else self.random_state
        folds = folds_of(rows, self.cv, seed_of(chosen), X, y, groups)
        candidates = [
            Candidate(
                _name(params), _map_of(one)._settings(alone=False), fold.train, fold.held_out, fold.share
            )
            for params, one in grid
            for fold in folds.each
        ]
        self._check_comparable([candidate.settings for candidate in candidates])
        if checkpoint is not None and self.refit:
            for number in range(len(grid)):
                check_kind(_refitted(checkpoint, number), FILE)
        judged, self.n_passes_ = self._judge(folds.rows, candidates, folds.drawn, checkpoint, callbacks)
        scores = self._scores(X, y, folds, [one for _, one in grid], judged)
        self.n_splits_ = len(folds.each)
        self.cv_results_ = _results([params for params, _ in grid], scores, judged)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_params_ = self.cv_results_["params"][self.best_index_]
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.__dict__.pop("best_estimator_", None)
        if self.refit:
            best = clone(self.estimator).set_params(**self.best_params_)
            path = None if checkpoint is None else _refitted(checkpoint, self.best_index_)
            self.best_estimator_ = best.fit(X, y, sample_weight=sample_weight, checkpoint=path)
        return self

    def _judge(
        self,
        rows: RowBlocks,
        candidates: list[Candidate],
        drawn: str,
        checkpoint: Path | None,
        callbacks: Sequence[PassListener],
    ) -> tuple[list[Judged | None], float]:
        """Fit all candidates, those that share passes together; None for those whose turn did not come."""
        names = getattr(self, "feature_names_in_", None)
        groups = _sharing(candidates)
        together = [[candidates[i] for i in group] for group in groups]
        for some in together:  # all of them before the first pass, which may take hours
            check_side_by_side(some[0].settings, rows)
        saved: list[CheckpointMany | None] = [None] * len(groups)
        if checkpoint is not None:
            paths = [checkpoint, *(beside(checkpoint, str(n)) for n in range(2, len(groups) + 1))]
            saved = [
                open_checkpoint(path, rows, some, drawn, names)
                for path, some in zip(paths, together, strict=True)
            ]
        judged: list[Judged | None] = [None] * len(candidates)
        n_passes, begun, asked = 0.0, time.perf_counter(), False
        around = Around()
        with shown(self.estimator.verbose) as listeners:
            for number, (group, some) in enumerate(zip(groups, together, strict=True)):
                to_come = together[number + 1 :]
                around = dataclasses.replace(
                    around,
                    passes_after=sum(others[0].settings.niter for others in to_come),
                    fits_after=sum(map(len, to_come)),
                )
                niter, n_rows = some[0].settings.niter, int(rows.X.shape[0])
                announce = teller_of_many((*listeners, *callbacks), niter, n_rows, around, begun)

                def tell(states: Sequence[State], announce: Any = announce) -> bool:
                    nonlocal asked
                    asked = bool(announce(states))
                    return asked

                found, passes = fit_many(
                    rows,
                    some,
                    persist=self.estimator.persist,
                    feature_names=names,
                    training=self.scoring is not None or self._predicts,
                    saved=saved[number],
                    tell=tell,
                )
                n_passes += passes
                for i, one in zip(group, found, strict=True):
                    judged[i] = one
                if asked:
                    break
                around = Around(
                    passes_before=around.passes_before + max(len(one.fit.history) for one in found),
                    fits_before=around.fits_before + len(some),
                )
        return judged, n_passes

    @property
    def _predicts(self) -> bool:
        return isinstance(self.estimator, BasePredictor)

    def _grid(self) -> list[tuple[dict[str, Any], Any]]:
        """Check all parameters and return those of each candidate, with an estimator that has them."""
        if not isinstance(self.estimator, (BaseMap, BasePredictor)):
            raise TypeError(
                f"estimator is {self.estimator!r}; give an IGTM, IGTMClassifier or IGTMRegressor, or use "
                "GridSearchCV of scikit-learn."
            )
        if self.scoring is not None and not callable(self.scoring):
            what = "estimator, X, y" if self._predicts else "estimator, X"
            raise TypeError(f"scoring={self.scoring!r}; give a callable({what}), or None.")
        if not isinstance(self.refit, bool):
            raise TypeError(f"refit={self.refit!r}; give True or False.")
        grid = list(ParameterGrid(self.param_grid))
        known = (*SHARED, *APART, *getattr(self.estimator, "_own", ()))
        others = sorted({name for params in grid for name in params} - set(known))
        if others:
            raise ValueError(
                f"param_grid has {', '.join(map(repr, others))}, and candidates differ in {', '.join(known)} "
                "alone; use GridSearchCV of scikit-learn."
            )
        return [(params, clone(self.estimator).set_params(**params)) for params in grid]

    def _check_comparable(self, settings: list[Settings]) -> None:
        """Raise ValueError if candidates are to be compared by densities of different things."""
        if self.scoring is not None or self._predicts:
            return
        for name, why in INCOMPARABLE.items():
            found = dict.fromkeys(getattr(one, name) for one in settings)
            if len(found) > 1:
                told = "noise" if name == "measure" else name
                found = dict.fromkeys(getattr(one, told) for one in settings)
                raise ValueError(
                    f"Candidates have {told} {', '.join(map(repr, found))}, and likelihoods do not compare "
                    f"them: {why}. Give scoring, or search each by itself."
                )

    def _scores(
        self, X: Any, y: Any, folds: Folds, estimators: list[Any], judged: list[Judged | None]
    ) -> Array:
        """Return the score of each candidate on each fold, (C, F)."""
        n_folds = len(folds.each)
        scores = np.full((len(estimators), n_folds), np.nan)
        if self.scoring is None and not self._predicts:
            likelihoods = [np.nan if one is None else one.held_out for one in judged]
            return np.reshape(likelihoods, scores.shape)
        chosen = HeldRows(X, y if self._predicts else None, folds)
        for number, fold in enumerate(folds.each):
            learn = self._learner(X, y, chosen, fold)
            held_out = chosen.of(fold.held_out)
            for i, estimator in enumerate(estimators):
                found = judged[i * n_folds + number]
                if found is not None:
                    scores[i, number] = self._score(learn(estimator, found.fit), *held_out)
        return scores

    def _learner(self, X: Any, y: Any, chosen: HeldRows, fold: Fold) -> Callable[[Any, Fit], Any]:
        """Return what makes fitted estimators of the maps of a fold."""

        def as_map(estimator: Any, fit: Fit) -> BaseMap:
            fitted: BaseMap = clone(_map_of(estimator))
            fitted._keep(fit)
            fitted.n_features_in_ = self.n_features_in_
            if hasattr(self, "feature_names_in_") and not is_nameless(X):
                fitted.feature_names_in_ = self.feature_names_in_
            return fitted

        if not self._predicts:
            return as_map
        template, names = clone(self.estimator), None if is_dataset(X) else column_names(opened(y))
        rows = template._rows_with_target(*chosen.of(fold.train), reset=True)
        template._look_through(least_to_read(rows))

        def as_predictor(estimator: Any, fit: Fit) -> BasePredictor:
            fitted: BasePredictor = copy.copy(template).set_params(**estimator.get_params())
            fitted.igtm_ = as_map(estimator, fit)
            fitted._learn(fitted.igtm_, rows, names)
            return fitted

        return as_predictor

    def _score(self, fitted: Any, X: Any, y: Any, sample_weight: Any) -> float:
        """Return what `scoring` says of a fitted estimator and some rows."""
        arguments = (X, y) if self._predicts else (X,)
        if self.scoring is None:
            return float(fitted.score(*arguments, sample_weight=sample_weight))
        weighted = sample_weight is not None and _takes_weights(self.scoring)
        return float(
            self.scoring(fitted, *arguments, **({"sample_weight": sample_weight} if weighted else {}))
        )

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Search, then return the positions of the rows on the best map; lazy for lazy X."""
        return self.fit(X, y, sample_weight).transform(X)

    def transform(self, X: Any) -> Any:
        """Return the positions of the rows on the best map; lazy for lazy X."""
        return self._best().transform(X)

    def inverse_transform(self, R: Any) -> Any:
        """Return the points of data space to which responsibilities (n, K) of the best map belong."""
        return self._best().inverse_transform(R)

    def score_samples(self, X: Any) -> Any:
        """Return ln p(x) of each row under the best map; lazy for lazy X."""
        return self._best().score_samples(X)

    @available_if(_predicting)  # type: ignore[untyped-decorator]
    def predict(self, X: Any) -> Any:
        """Return what the best classifier or regressor predicts; lazy for lazy X."""
        return self._best().predict(X)

    @available_if(_classifying)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Any:
        """Return P(class | x) of the best classifier, in the order of `classes_`; lazy for lazy X."""
        return self._best().predict_proba(X)

    @property
    def classes_(self) -> Any:
        """Labels of the best classifier."""
        return self._best().classes_

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return what `scoring` says of the best and these rows, by default what its own `score` does.

        Raises
        ------
        ValueError
            If there are weights, and `scoring` has no parameter `sample_weight`.
        """
        if sample_weight is not None and self.scoring is not None and not _takes_weights(self.scoring):
            raise ValueError("scoring takes no sample_weight; give none, or call it with best_estimator_.")
        return self._score(self._best(), X, y, sample_weight)

    def _with_map(self) -> Any:
        return self._best()

    def _best(self) -> Any:
        check_is_fitted(self, "best_params_")
        if not hasattr(self, "best_estimator_"):
            raise AttributeError(
                "The search had refit=False and kept no map; search with refit=True, or fit one with "
                "best_params_."
            )
        return self.best_estimator_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        best = get_tags(self.estimator)
        tags.estimator_type, tags.input_tags, tags.target_tags = (
            best.estimator_type,
            best.input_tags,
            best.target_tags,
        )
        tags.transformer_tags = best.transformer_tags
        tags.classifier_tags, tags.regressor_tags = best.classifier_tags, best.regressor_tags
        return tags


def _sharing(candidates: Sequence[Candidate]) -> list[list[int]]:
    """Return the numbers of the candidates that can share passes, together."""
    groups: dict[Settings, list[int]] = {}
    for number, candidate in enumerate(candidates):
        like = dataclasses.replace(candidate.settings, k=0, m=0, s=1.0, regul=1.0, seed=0)
        groups.setdefault(like, []).append(number)
    return list(groups.values())


def _map_of(estimator: Any) -> BaseMap:
    """Return the map of an estimator that is not fitted."""
    one: BaseMap = estimator._map() if isinstance(estimator, BasePredictor) else estimator
    return one


def _refitted(path: Path, number: int) -> str:
    """Return the path of the checkpoint of the fit to all rows, of a candidate that is the best."""
    return beside(path, f"refit-{number}")


def _takes_weights(scoring: Callable[..., Any]) -> bool:
    try:
        return "sample_weight" in inspect.signature(scoring).parameters
    except ValueError:  # of some builtins
        return False


def _name(params: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "the only candidate"


def _results(grid: list[dict[str, Any]], scores: Array, judged: list[Judged | None]) -> dict[str, Any]:
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
        fits = [None if one is None else one.fit for one in judged[fold::n_folds]]
        results[f"split{fold}_n_iter"] = np.array([len(fit.history) if fit else 0 for fit in fits])
        results[f"split{fold}_converged"] = np.array([fit is not None and fit.converged for fit in fits])
    return results
