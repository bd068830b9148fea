"""Frames where rows are in memory, and lazy arrays where they are lazy."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from helpers.lazy import counting
from numpy.testing import assert_allclose, assert_array_equal

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


@pytest.fixture
def counted(X):
    return counting(X)


def test_set_output_gives_a_frame_in_memory_and_leaves_lazy_output_lazy(counted, X):
    frame = pd.DataFrame(X, columns=list("abcde"), index=range(7, 7 + N))
    estimator = igtm().set_output(transform="pandas")
    for result in (estimator.fit_transform(frame), estimator.transform(frame)):
        assert isinstance(result, pd.DataFrame)
        assert list(result.columns) == ["igtm0", "igtm1"]
        assert_array_equal(result.index, frame.index)
    assert_array_equal(estimator.feature_names_in_, frame.columns)
    lazy, computed = counted
    result = estimator.fit(X).transform(lazy)
    assert isinstance(result, da.Array)
    assert not computed
    assert isinstance(estimator.fit_transform(lazy), da.Array)
    assert_allclose(result.compute(), estimator.transform(X), atol=1e-9)


def test_get_feature_names_out(X, fitted):
    assert list(fitted.get_feature_names_out()) == ["igtm0", "igtm1"]
    responsibilities = igtm(model="responsibilities", niter=1).fit(X)
    assert list(responsibilities.get_feature_names_out()) == [f"igtm{node}" for node in range(36)]
    with pytest.raises(ValueError, match="input_features"):
        fitted.get_feature_names_out(["too", "few"])


ROWS = correlated(300, 5)


def test_a_subclass_that_overrides_transform_stays_lazy():
    class Doubled(IGTM):
        def transform(self, X):
            return 2 * super().transform(X)

    igtm = Doubled(k=4, m=2, niter=2).set_output(transform="pandas").fit(ROWS)
    assert isinstance(igtm.transform(da.from_array(ROWS)), da.Array)
    assert igtm.transform(ROWS).columns.tolist() == ["doubled0", "doubled1"]
