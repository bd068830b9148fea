"""The regressor predicts what dense NumPy would, at least as well as ugtm."""

import numpy as np
import pytest
import ugtm
from numpy.testing import assert_allclose
from sklearn.datasets import load_diabetes, load_iris
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM, IGTMRegressor

X, SPECIES = load_iris(return_X_y=True)
SIZES = X[:, 2:] * [1.0, -10.0]
PREDICTORS = X[:, :2]
SMALL = {"k": 6, "m": 3, "niter": 10, "scale": "standard"}


@pytest.fixture(scope="module")
def regressor():
    return IGTMRegressor(**SMALL).fit(PREDICTORS, SIZES)


def test_values_are_means_over_the_responsibilities(regressor):
    R = IGTM(**SMALL, model="responsibilities").fit_transform(PREDICTORS)
    spread = R + 1e-7
    expected = R @ (spread.T @ SIZES / spread.sum(axis=0)[:, None])
    assert_allclose(regressor.predict(PREDICTORS), expected, rtol=1e-9)
    for y, shape in ((SIZES[:, 0], (150,)), (SIZES[:, :1], (150, 1))):
        found = IGTMRegressor(**SMALL).fit(PREDICTORS, y).predict(PREDICTORS)
        assert found.shape == shape
        assert_allclose(found.ravel(), expected[:, 0], rtol=1e-9)


def test_predictions_are_at_least_as_good_as_ugtms():
    y, small = load_diabetes().target, {"k": 8, "m": 3}
    data = StandardScaler().fit_transform(load_diabetes().data)
    folds = list(KFold(2, shuffle=True, random_state=0).split(data))
    ours = cross_val_predict(IGTMRegressor(**small), data, y, cv=folds)
    theirs = np.empty(len(y))
    for train, test in folds:
        theirs[test] = ugtm.eGTR(**small).fit(data[train], y[train]).predict(data[test])
    assert ((ours - y) ** 2).mean() <= ((theirs - y) ** 2).mean()


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e150, 1e200, 1e299])
def test_scores_do_not_depend_on_the_size_of_y(size):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = np.column_stack([X[:, 0] + 0.3 * rng.normal(size=120), rng.normal(size=120)])
    # Whole multiples, which the smallest numbers have.
    y = np.round(y * 2**20 if size < 1e-300 else y * 100) / (1 if size < 1e-300 else 1000)
    regressor = IGTMRegressor(k=5, m=2, niter=3, scale="standard")
    ordinary, found = regressor.fit(X, y).score(X, y), regressor.fit(X, size * y).score(X, size * y)
    assert 0.1 < ordinary < 0.9
    assert found == pytest.approx(ordinary, rel=1e-4)
    one, other = regressor.fit(X, y[:, 1]).landscape_, regressor.fit(X, size * y[:, 1]).landscape_
    for part in ("mean", "std"):
        assert_allclose(other.part(part) / size, one.part(part), rtol=1e-4, atol=1e-4 * np.abs(y).max())


def test_a_score_of_values_far_beyond_what_was_learnt_is_a_number():
    X = np.random.default_rng(0).normal(size=(60, 3))
    regressor = IGTMRegressor(k=4, m=2, niter=2).fit(X, 1e290 * X[:, 0])
    assert -np.inf < regressor.score(X, 1e-290 * X[:, 0]) < -1e200


@pytest.mark.parametrize("value", [1.5e300, -np.finfo(np.float64).max])
def test_values_too_large_to_add_up_are_refused(value):
    X = np.random.default_rng(0).normal(size=(60, 3))
    y = X[:, 0].copy()
    y[[3, 9]] = value
    with pytest.raises(ValueError, match="y contains 2 values beyond 1e\\+300"):
        IGTMRegressor(k=4, m=2, niter=2).fit(X, y)
