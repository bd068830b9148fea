"""EM for streams against a dense version of it."""

import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose
from oracles.dense_stepwise import dense_stepwise

from dask_igtm import IGTM

X = correlated(3000, 6)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "scale": "center", "tol": 0, "niter": 5, **parameters})


def test_a_stream_is_stepwise_em():
    blocks = np.array_split(X, [1000, 1400, 2400])
    fitted = igtm()
    for block in blocks:
        fitted.partial_fit(block)
    centers, beta_inv = dense_stepwise(blocks, igtm(niter=0).fit(blocks[0]), 0.1)
    assert_allclose(fitted.centers_, centers, rtol=1e-8, atol=1e-9)
    assert_allclose(fitted.beta_inv_, beta_inv, rtol=1e-9)
    assert fitted.n_iter_ == 4
    assert fitted.n_samples_seen_ == pytest.approx(3000)
    assert not fitted.converged_
    assert fitted.history_[-1] == fitted.log_likelihood_


def test_one_block_is_one_iteration():
    assert_allclose(igtm().partial_fit(X).centers_, igtm(niter=1).fit(X).centers_, rtol=1e-9, atol=1e-9)
    assert_allclose(igtm().partial_fit(X).beta_inv_, igtm(niter=1).fit(X).beta_inv_)
