"""A fit that fails leaves the estimator as it was."""

import numpy as np
import pytest
from helpers.data import correlated
from helpers.errors import raised
from sklearn.exceptions import NotFittedError

from dask_igtm import IGTM

ROWS = correlated(300, 5)


def test_a_failed_refit_leaves_the_old_fit():
    igtm = IGTM(k=4, m=2, niter=2).fit(ROWS)
    before = igtm.transform(ROWS)
    with pytest.raises(ValueError, match="NaN"):
        igtm.fit(np.full((50, 3), np.nan))
    assert igtm.n_features_in_ == 5
    assert (igtm.transform(ROWS) == before).all()


N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


def test_a_failed_fit_leaves_the_estimator_unfitted(X):
    estimator = igtm(k=-1)
    raised(ValueError, estimator.fit, X)
    raised(NotFittedError, estimator.transform, X)
