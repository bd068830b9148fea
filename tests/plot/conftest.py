"""A small map and its rows, for every chart of them."""

import numpy as np
import pytest
from helpers.data import correlated

from dask_igtm import IGTM

N = 400
K = 6


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return correlated(N, 4)


@pytest.fixture(scope="module")
def igtm(X):
    return IGTM(k=K, m=3, niter=8).fit(X)


@pytest.fixture(scope="module")
def y(X):
    return X[:, 0] * 10


@pytest.fixture(scope="module")
def labels(X):
    return np.array(["low", "middle", "high"])[np.digitize(X[:, 0], np.quantile(X[:, 0], [0.3, 0.6]))]
