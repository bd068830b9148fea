"""What the classifier and the regressor share: scikit-learn's manners, lazy rows, scores, files, refusals."""

import inspect
import pickle

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from dask import dataframe as dd
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import dask_igtm
from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor

X, SPECIES = load_iris(return_X_y=True)
LABELS = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
SIZES = X[:, 2:] * [1.0, -10.0]
PREDICTORS = X[:, :2]
WEIGHTS = np.arange(len(X)) % 3 + 0.5
SMALL = {"k": 6, "m": 3, "niter": 10, "scale": "standard"}


def lazy(array, rows=40):
    return da.from_array(array, chunks=(rows, -1) if array.ndim > 1 else rows)


@pytest.fixture(scope="module")
def classifier():
    return IGTMClassifier(**SMALL).fit(X, LABELS)


@pytest.fixture(scope="module")
def regressor():
    return IGTMRegressor(**SMALL).fit(PREDICTORS, SIZES)


# Data of the checks are scaled as they come; on some of them a map collapses, or lies far off the origin.
@pytest.mark.filterwarnings("ignore:The (map|column means):UserWarning")
@parametrize_with_checks(
    [
        IGTMClassifier(k=5, m=3, niter=10, scale="standard"),
        # With a smaller ridge, 30 iterations on 15 rows amplify rounding beyond the 1e-7 that a check allows.
        IGTMRegressor(k=10, m=5, niter=30, regul=0.5, scale="standard"),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kind", [IGTMClassifier, IGTMRegressor])
def test_parameters_are_those_of_igtm(kind):
    expected = dict(inspect.signature(IGTM).parameters)
    found = dict(inspect.signature(kind).parameters)
    assert found.pop("prior", None) is None or kind is IGTMClassifier
    del expected["model"]
    assert {n: p.default for n, p in found.items()} == {n: p.default for n, p in expected.items()}
    changed = {"k": 5, "m": 2, "s": 0.5, "regul": 0.2, "niter": 3, "verbose": True, "n_blocks": 2}
    changed |= {"scale": "center", "tol": 0.1, "solver": "accelerated", "missing": "mean", "persist": False}
    assert clone(kind(**changed)).get_params().items() >= changed.items()


def test_a_fit_takes_what_a_fit_of_the_map_does(classifier, tmp_path):
    told = []
    fitted = IGTMClassifier(**SMALL).fit(
        X, LABELS, checkpoint=tmp_path / "kept", init=classifier.igtm_, callbacks=[told.append]
    )
    assert [event.number for event in told] == list(range(1, fitted.igtm_.n_iter_ + 1))
    alone = IGTM(**SMALL).fit(X, init=classifier.igtm_)
    assert fitted.igtm_.history_.tobytes() == alone.history_.tobytes()
    assert (tmp_path / "kept").exists()


# What is predicted


def test_scores_are_those_of_scikit_learn(classifier, regressor):
    predicted, values = classifier.predict(X), regressor.predict(PREDICTORS)
    assert classifier.score(X, LABELS) == pytest.approx(accuracy_score(LABELS, predicted))
    weighted = accuracy_score(LABELS, predicted, sample_weight=WEIGHTS)
    assert classifier.score(lazy(X), lazy(LABELS), WEIGHTS) == pytest.approx(weighted)
    assert regressor.score(PREDICTORS, SIZES) == pytest.approx(r2_score(SIZES, values))
    weighted = r2_score(SIZES, values, sample_weight=WEIGHTS)
    assert regressor.score(lazy(PREDICTORS), lazy(SIZES, 70), WEIGHTS) == pytest.approx(weighted)
    assert regressor.score(PREDICTORS, np.zeros((150, 2))) == 0
    flat = IGTMRegressor(**SMALL).fit(PREDICTORS, np.zeros(150))
    assert flat.score(PREDICTORS, np.zeros(150)) == 1


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_scores_count_weights_of_narrow_types(classifier, regressor, dtype):
    equal = np.full(150, 200).astype(dtype)
    assert classifier.score(X, LABELS, equal) == pytest.approx(classifier.score(X, LABELS))
    assert regressor.score(PREDICTORS, SIZES, equal) == pytest.approx(regressor.score(PREDICTORS, SIZES))


@pytest.mark.parametrize(
    ("score", "match"),
    [
        (lambda c, _: c.score(X, LABELS, np.zeros(150)), "Every sample_weight is zero"),
        (lambda _, r: r.score(PREDICTORS, SIZES, np.zeros(150)), "Every sample_weight is zero"),
        (lambda _, r: r.score(PREDICTORS, SIZES[:, 0]), "y has 1 columns, and had 2 in fit"),
        (lambda _, r: r.score(PREDICTORS, X[:, :3]), "y has 3 columns, and had 2 in fit"),
        (lambda c, _: c.score(lazy(X), lazy(np.where(SPECIES, LABELS, None))), "drop those rows"),
        (lambda c, _: c.score(X, SPECIES), "y holds numbers, and fit saw strings"),
        (lambda c, _: c.score(X, LABELS.astype("S")), "y holds bytes, and fit saw strings"),
        (lambda _, r: r.score(PREDICTORS, LABELS), "labels to classes"),
    ],
)
def test_what_cannot_be_scored_is_refused(classifier, regressor, score, match):
    with pytest.raises(ValueError, match=match):
        score(classifier, regressor)


# Lazy in, lazy out


def test_a_fit_of_lazy_rows_is_that_of_rows_in_memory(classifier, regressor, tmp_path):
    stored = zarr.create_array(tmp_path / "x", shape=X.shape, dtype=float, chunks=(40, 4))
    stored[...] = X
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=3)
    for rows, labels in (
        (lazy(X), lazy(LABELS, 70)),
        (stored, LABELS),
        (str(tmp_path / "x"), lazy(LABELS)),
        (frame, dd.from_pandas(pd.Series(LABELS), npartitions=3)),
    ):
        fitted = IGTMClassifier(**SMALL).fit(rows, labels)
        found = fitted.predict_proba(rows)
        assert isinstance(found, da.Array)
        assert_allclose(found.compute(), classifier.predict_proba(X), atol=1e-9)
    fitted = IGTMRegressor(**SMALL).fit(lazy(PREDICTORS), lazy(SIZES, 70))
    assert_allclose(fitted.predict(PREDICTORS), regressor.predict(PREDICTORS), rtol=1e-9)


def test_predictions_of_lazy_rows_compute_nothing(classifier, regressor):
    with dask.config.set(scheduler=computing):
        proba, labels = classifier.predict_proba(lazy(X)), classifier.predict(lazy(X))
        values = regressor.predict(lazy(PREDICTORS))
    assert [a.shape for a in (proba, labels, values)] == [(150, 3), (150,), (150, 2)]
    for found, expected in (
        (proba, classifier.predict_proba(X)),
        (values, regressor.predict(PREDICTORS)),
    ):
        assert_allclose(found.compute(), expected, rtol=1e-9)
    assert labels.dtype == classifier.classes_.dtype
    assert_array_equal(labels.compute(), classifier.predict(X))
    single = IGTMRegressor(**SMALL).fit(PREDICTORS, SIZES[:, 0])
    assert single.predict(lazy(PREDICTORS)).shape == (150,)
    assert_allclose(single.predict(lazy(PREDICTORS)).compute(), values.compute()[:, 0], rtol=1e-9)


def test_unknown_chunk_sizes(classifier):
    kept = X[:, 0] > 5.5
    rows, labels = lazy(X)[lazy(kept)], lazy(LABELS)[lazy(kept)]
    fitted = IGTMClassifier(**SMALL).fit(rows, labels)
    assert fitted.score(rows, labels) > 0.85
    assert_array_equal(classifier.predict(rows).compute(), classifier.predict(X[kept]))


@pytest.mark.parametrize("kind", [IGTMClassifier, IGTMRegressor])
def test_rows_in_memory_never_meet_the_scheduler_of_dask_config(kind):
    with dask.config.set(scheduler=computing):
        fitted = kind(**SMALL).fit(X, SPECIES)
        assert isinstance(fitted.predict(X), np.ndarray)
        fitted.score(X, SPECIES)


# With the rest of scikit-learn


@pytest.mark.parametrize("kind", [IGTMClassifier, IGTMRegressor])
def test_grid_search_over_a_pipeline(kind):
    pipeline = make_pipeline(StandardScaler(), kind(niter=5))
    grid = {f"{kind.__name__.lower()}__k": [4, 6]}
    if kind is IGTMClassifier:
        grid["igtmclassifier__prior"] = ["estimated", "equiprobable"]
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    assert GridSearchCV(pipeline, grid, cv=folds).fit(X, SPECIES).best_score_ > 0.8


# Files


def test_saved_predictors_come_back(classifier, regressor, tmp_path):
    frame = load_iris(as_frame=True).data.iloc[:, :2]
    named = IGTMRegressor(**SMALL).fit(frame, SIZES[:, 0])
    for fitted, rows in ((classifier, X), (regressor, PREDICTORS), (named, frame)):
        fitted.save(tmp_path / "model")
        back = dask_igtm.load(tmp_path / "model")
        assert type(back) is type(fitted)
        assert back.get_params() == fitted.get_params()
        assert back.predict(rows).tobytes() == fitted.predict(rows).tobytes()
        assert back.landscape_.columns == fitted.landscape_.columns
        assert back.igtm_.history_.tobytes() == fitted.igtm_.history_.tobytes()
        assert back.n_features_in_ == fitted.n_features_in_
    with pytest.raises(ValueError, match="feature names"):
        back.predict(frame[frame.columns[::-1]])
    assert len(pickle.dumps(classifier)) < 50_000


# What is refused


@pytest.mark.parametrize(
    ("fit", "match"),
    [
        (lambda: IGTMClassifier().fit(X, None), "requires y to be passed"),
        (lambda: IGTMClassifier().fit(X, LABELS[:7]), "one value a row"),
        (lambda: IGTMClassifier().fit(X, SIZES), "1d array"),
        (lambda: IGTMClassifier().fit(lazy(X), lazy(SIZES)), "1D array"),
        (lambda: IGTMClassifier().fit(lazy(X), lazy(SIZES[:, 0])), "fractions"),
        (lambda: IGTMClassifier().fit(lazy(X), lazy(np.where(SPECIES, SPECIES, np.nan))), "drop those rows"),
        (lambda: IGTMClassifier(prior="flat").fit(X, LABELS), "give one of"),
        (lambda: IGTMClassifier(prior={"setosa": 1.0}).fit(X, LABELS), "a number for each"),
        (lambda: IGTMRegressor().fit(X, None), "requires y to be passed"),
        (lambda: IGTMRegressor().fit(X, LABELS), "labels to classes"),
        (lambda: IGTMRegressor().fit(lazy(X), lazy(np.where(SPECIES, np.nan, 1.0))), "drop those rows"),
        (lambda: IGTMRegressor().fit(X, np.where(SPECIES, np.inf, 1.0)), "infinite"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused_before_the_fit(fit, match, monkeypatch):
    monkeypatch.setattr(IGTM, "fit", computing)
    with pytest.raises(ValueError, match=match):
        fit()


KEPT = lazy(PREDICTORS)[:, 0] > 5.5


@pytest.mark.parametrize("kind", [IGTMClassifier, IGTMRegressor])
@pytest.mark.parametrize(
    ("rows", "target"),
    [(lazy(X)[KEPT], lazy(SPECIES)), (lazy(X), lazy(SPECIES)[KEPT])],
    ids=["of X", "of y"],
)
def test_blocks_of_other_lengths_are_found_before_the_fit(kind, rows, target, monkeypatch):
    monkeypatch.setattr(IGTM, "fit", computing)
    with pytest.raises(ValueError, match=r"A block of X has \d+ rows, and its weights or values are"):
        kind(**SMALL).fit(rows, target)


@pytest.mark.parametrize("kind", [IGTMClassifier, IGTMRegressor])
def test_rows_are_read_before_the_fit_only_to_learn_how_many_there_are(kind, monkeypatch):
    def unreadable(_block):
        raise OSError("rows are read")

    monkeypatch.setattr(IGTM, "fit", computing)
    rows = lazy(X).map_blocks(unreadable, meta=np.empty((0, 0)))
    known = lazy(SPECIES)
    for target in (known, known[known >= 0]):
        with pytest.raises(AssertionError, match="computed"):
            kind(**SMALL).fit(rows, target)
    with pytest.raises(OSError, match="rows are read"):
        kind(**SMALL).fit(rows[known >= 0], known[known >= 0])


def test_columns_of_a_target_are_taken_as_by_scikit_learn(classifier, regressor):
    for column in (LABELS[:, None], lazy(LABELS[:, None]), pd.DataFrame({"species": LABELS})):
        with pytest.warns(DataConversionWarning, match="1d array was expected"):
            fitted = IGTMClassifier(**SMALL).fit(X, column)
        assert_array_equal(fitted.landscape_.values, classifier.landscape_.values)
        with pytest.warns(DataConversionWarning, match="1d array was expected"):
            assert fitted.score(lazy(X), column) == pytest.approx(classifier.score(X, LABELS))
    for column in (SIZES[:, :1], lazy(SIZES[:, :1]), pd.DataFrame({"length": SIZES[:, 0]})):
        fitted = IGTMRegressor(**SMALL).fit(PREDICTORS, column)
        assert fitted.predict(PREDICTORS).shape == fitted.predict(lazy(PREDICTORS)).shape == (150, 1)
        assert_allclose(fitted.predict(PREDICTORS)[:, 0], regressor.predict(PREDICTORS)[:, 0], rtol=1e-9)
        assert fitted.score(PREDICTORS, column) == pytest.approx(fitted.score(PREDICTORS, SIZES[:, 0]))


def test_a_fit_that_fails_leaves_the_predictor_as_it_was(classifier):
    fitted = pickle.loads(pickle.dumps(classifier))
    with pytest.raises(ValueError, match="NaN"):
        fitted.fit(X[:, :2] * np.nan, LABELS)
    assert_array_equal(fitted.predict(X), classifier.predict(X))


def test_nothing_is_predicted_before_a_fit(tmp_path):
    for call in (lambda e: e.predict(X), lambda e: e.score(X, SPECIES), lambda e: e.save(tmp_path / "x")):
        for kind in (IGTMClassifier, IGTMRegressor):
            with pytest.raises(NotFittedError):
                call(kind())
