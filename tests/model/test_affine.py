"""Offsets and units of the columns, which a model's coordinates take away."""

import warnings

import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits

from dask_igtm import IGTM

X = correlated(400, 5)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "scale": "center", **parameters})


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_centred_fit_does_not_see_an_offset(solver):
    digits = load_digits().data
    digits = digits[:, digits.std(axis=0) >= 0.1]
    settings = {"scale": "center", "niter": 30, "tol": 0, "solver": solver}
    one, other = IGTM(**settings).fit(digits), IGTM(**settings).fit(digits + 1e6)
    assert_allclose(other.transform(digits + 1e6), one.transform(digits), atol=1e-6)
    assert_allclose(other.score(digits + 1e6), one.score(digits), rtol=1e-9)


def test_float32_off_the_origin():
    far = (X + 1e3).astype(np.float32)
    one, other = igtm().fit(far), igtm().fit(far.astype(float))
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=1e-4)
    assert_allclose(one.transform(far), other.transform(far.astype(float)), atol=1e-4)


def test_a_standardised_fit_does_not_see_units():
    one, other = igtm(scale="standard").fit(X), igtm(scale="standard").fit(X * 1000)
    assert_allclose(other.transform(X * 1000), one.transform(X), atol=1e-9)
    assert_allclose(other.beta_inv_, one.beta_inv_, rtol=1e-9)
    assert_allclose(other.score(X * 1000), one.score(X) - 5 * np.log(1000))


@pytest.mark.parametrize(("offset", "warned"), [(0, False), (1e3, True), (1e6, True)])
@pytest.mark.parametrize("scale", [None, "center", "standard"])
def test_an_offset_that_moves_the_map_is_warned_of(offset, warned, scale):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        igtm(scale=scale).fit(X + offset)
    messages = [str(w.message) for w in caught if "column means" in str(w.message)]
    assert len(messages) == (warned and scale is None)
    assert all("scale='center'" in message for message in messages)
