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
