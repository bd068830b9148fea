"""What a fitted estimator is, and what it refuses."""

import pickle
import re

import dask.array as da
import numpy as np
import pytest
from helpers.errors import assert_says, raised
from numpy.testing import assert_array_equal

from dask_igtm import IGTM

N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


def test_a_pickled_fitted_estimator_is_small_and_holds_no_data():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(3000, 50)) * np.r_[5, 4, np.ones(48)]
    sizes = {
        len(pickle.dumps(IGTM(niter=2, tol=0).fit(given, sample_weight=np.ones(len(given)))))
        for given in (rows, rows[:300], da.from_array(rows, chunks=(500, -1)))
    }
    assert max(sizes) < 100_000
    assert max(sizes) - min(sizes) < 100


def test_a_pickled_fitted_estimator_projects_as_before(fitted, X):
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X))


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


# What is refused


def test_inverse_transform_of_a_wrong_shape_says_what_it_takes(fitted):
    for R in (np.ones((3, 5)), np.ones(36), np.ones((2, 3, 36)), da.ones((3, 2)), da.ones((3, 37))):
        message = raised(ValueError, fitted.inverse_transform, R)
        assert_says(message, re.escape(str(R.shape)), r"\(n, 36\)", "responsibilities")


def test_a_model_set_after_the_fit_is_checked_by_transform(X):
    estimator = igtm().fit(X).set_params(model="x")
    for call in (estimator.transform, lambda rows: list(estimator.transform_blocks(rows))):
        for rows in (X, lazy(X)):
            assert_says(raised(ValueError, call, rows), "model='x'", "'means'.*'responsibilities'")


@pytest.mark.parametrize("random_state", ["many", -1, 2**32, 1.5])
def test_what_is_no_seed_is_refused(random_state):
    with pytest.raises(ValueError, match=r"random_state=.*; give a whole number from 0 to 4294967295"):
        IGTM(random_state=random_state, solver="accelerated").fit(np.ones((5, 2)))
