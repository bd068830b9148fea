"""Rows of float32, which are multiplied in float64 where that is needed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM
from dask_igtm.posterior import posterior
from dask_igtm.posterior.row_outputs import outputs_of, project


@pytest.mark.parametrize("offset", [0, 1000])
def test_float32_agrees_with_float64_on_the_same_values(offset):
    X = (StandardScaler().fit_transform(load_digits().data) + offset).astype(np.float32)
    single = IGTM(niter=30, tol=0, scale="center").fit(X)
    double = IGTM(niter=30, tol=0, scale="center").fit(X.astype(float))
    assert_allclose(single.beta_inv_, double.beta_inv_, rtol=1e-5)
    assert_allclose(single.centers_, double.centers_, atol=1e-3)
    assert_allclose(single.transform(X), double.transform(X.astype(float)), atol=1e-3)
    assert single.transform(X).dtype == np.float64


def test_float32_rows_that_need_it_are_multiplied_in_float64(monkeypatch):
    X = np.random.default_rng(0).normal(size=(1100, 3)).astype(np.float32)
    X[0] = 3e4  # far enough from the narrow rest to lose all digits of its logits
    used = []
    observe = posterior.Workspace.observe

    def watched(self, rows, tile):
        used.append(self.real.name)
        return observe(self, rows, tile)

    monkeypatch.setattr(posterior.Workspace, "observe", watched)
    model = IGTM(niter=0).fit(X[1:]).model_
    used.clear()
    outputs = outputs_of(("log_likelihood",), 256)
    (result,) = project(X, model, "numpy", outputs)
    assert used == ["float32", "float64", "float32"]
    assert_allclose(result, project(X.astype(float), model, "numpy", outputs)[0], rtol=1e-5)
