"""The classifier predicts what ugtm's landscapes would, in the user's labels."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import ugtm
from dask import dataframe as dd
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris

import dask_igtm
from dask_igtm import IGTMClassifier, landscape

X, SPECIES = load_iris(return_X_y=True)
LABELS = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
SMALL = {"k": 6, "m": 3, "niter": 10, "scale": "standard"}


def lazy(array, rows=40):
    return da.from_array(array, chunks=(rows, -1) if array.ndim > 1 else rows)


@pytest.fixture(scope="module")
def classifier():
    return IGTMClassifier(**SMALL).fit(X, LABELS)


# What is predicted


@pytest.mark.parametrize("prior", ["estimated", "equiprobable"])
def test_probabilities_are_ugtms(prior):
    train, test = np.arange(len(X)) % 3 > 0, np.arange(len(X)) % 3 == 0
    igtm = ugtm.eIGTM(k=6, m=3, niter=10, model="complete").fit(X[train])
    by_node = ugtm.ugtm_landscape.classMap(igtm.transform(X[train]), LABELS[train], prior).nodeClassP
    expected = igtm.transform(X[test]).matR @ by_node
    as_ugtm = {"k": 6, "m": 3, "niter": 10, "tol": 0, "scale": None, "solver": "em"}
    ours = IGTMClassifier(**as_ugtm, prior=prior).fit(X[train], LABELS[train])
    assert_allclose(ours.predict_proba(X[test]), expected, atol=1e-8)
    assert_array_equal(ours.predict(X[test]), np.unique(LABELS)[expected.argmax(axis=1)])


@pytest.mark.parametrize("dtype", [float, np.float32])
def test_probabilities_sum_to_one_to_double_precision(classifier, dtype):
    assert_allclose(classifier.predict_proba(X.astype(dtype)).sum(axis=1), 1, rtol=1e-14)


# Labels


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (LABELS, "U"),
        (LABELS.astype(object), "U"),
        (LABELS.tolist(), "U"),
        (pd.Series(LABELS, dtype="category"), "U"),
        (dd.from_pandas(pd.Series(LABELS), npartitions=2), "U"),
        ((5 * SPECIES - 7).astype(np.int8), "i"),
        (SPECIES == 1, "b"),
        (lazy(LABELS.astype(object), 70), "U"),
    ],
)
def test_labels_are_the_users(labels, kind, tmp_path):
    fitted = IGTMClassifier(**SMALL).fit(X, labels)
    known = np.asarray(labels)
    assert_array_equal(fitted.classes_, np.unique(known))
    assert fitted.classes_.dtype.kind == kind
    assert fitted.predict(X).dtype == fitted.classes_.dtype
    assert (fitted.predict(X) == known).mean() > 0.85
    fitted.save(tmp_path / "model")
    back = dask_igtm.load(tmp_path / "model")
    assert back.classes_.dtype == fitted.classes_.dtype
    assert_array_equal(back.predict(X), fitted.predict(X))


MASK = np.arange(len(X)) % 7 == 3
CODED = {
    "Int8": (pd.Series(SPECIES, dtype="Int8"), np.int64),
    "boolean": (pd.Series(SPECIES > 0, dtype="boolean"), bool),
    "bool[pyarrow]": (pd.Series(SPECIES > 0, dtype="bool[pyarrow]"), bool),
    "int64[pyarrow]": (pd.Series(SPECIES, dtype="int64[pyarrow]"), np.int64),
    "Float64": (pd.Series(SPECIES, dtype="Float64"), float),
    "string": (pd.Series(LABELS, dtype="string"), "<U10"),
    "category": (pd.Series(LABELS, dtype="category"), "<U10"),
    "category of numbers": (pd.Series(SPECIES, dtype="category"), np.int64),
    "objects": (pd.Series(SPECIES > 0, dtype=object), bool),
}


@pytest.mark.parametrize("kind", CODED)
def test_labels_of_pandas_are_the_same_in_memory_and_lazily(kind, classifier):
    series, dtype = CODED[kind]
    given = pd.DataFrame(X), series, series.mask(MASK)
    with dask.config.set({"dataframe.convert-string": False}):  # which would make strings of objects
        parts = [dd.from_pandas(each, npartitions=3) for each in given]
    for frame, labels, holed in (given, parts):
        fitted = IGTMClassifier(**SMALL).fit(frame, labels)
        assert fitted.classes_.dtype == dtype
        assert fitted.predict(X).dtype == dtype
        assert fitted.score(frame, labels) == pytest.approx((fitted.predict(X) == series).mean())
        with pytest.raises(ValueError, match=r"NaN or None \d+ times; drop those rows"):
            IGTMClassifier(**SMALL).fit(frame, holed)
        found = landscape.classes(classifier, frame, holed)
        expected = landscape.classes(classifier, X[~MASK], series.astype(object).to_numpy()[~MASK])
        assert found.columns == fitted.landscape_.columns == expected.columns
        assert [*map(type, found.columns)] == [*map(type, expected.columns)]
        assert_allclose(found.values, expected.values, atol=1e-12)


def test_bytes_are_labels(tmp_path):
    fitted = IGTMClassifier(**SMALL).fit(X, LABELS.astype("S"))
    assert fitted.predict(X).dtype == fitted.classes_.dtype == "S10"
    fitted.save(tmp_path / "model")
    assert_array_equal(dask_igtm.load(tmp_path / "model").predict(X), fitted.predict(X))


@pytest.mark.parametrize("as_seen", [float, bool, object, "Int64", "category"])
def test_scores_compare_labels_by_value(as_seen):
    fitted = IGTMClassifier(**SMALL).fit(X, SPECIES == 1) if as_seen is bool else None
    fitted = fitted or IGTMClassifier(**SMALL).fit(X, SPECIES)
    codes = (SPECIES == 1).astype(int) if as_seen is bool else SPECIES
    expected = (fitted.predict(X) == codes).mean()
    assert fitted.score(X, pd.Series(codes).astype(as_seen)) == pytest.approx(expected)
    assert fitted.score(X, codes + 7) == 0


def test_a_prior_of_ones_own_is_saved(tmp_path):
    prior = {0: 1.0, 1: 1.0, 2: 8.0}
    fitted = IGTMClassifier(**SMALL, prior=prior).fit(X, SPECIES)
    assert_allclose(fitted.landscape_.values, landscape.classes(fitted.igtm_, X, SPECIES, prior).values)
    fitted.save(tmp_path / "model")
    assert dask_igtm.load(tmp_path / "model").prior == prior


# Lazy in, lazy out


def test_gaps_are_marginalised():
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    fitted = IGTMClassifier(**SMALL, missing="marginalize").fit(holed, LABELS)
    assert fitted.score(holed, LABELS) > 0.75
    nothing = fitted.predict_proba(np.full((1, 4), np.nan))
    assert_allclose(nothing.sum(), 1)
