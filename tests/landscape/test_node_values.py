"""The magnification of a map against finite differences."""

import numpy as np
import pytest
from helpers.families import FAMILIES, rows_of
from numpy.testing import assert_allclose
from scipy.special import expit
from sklearn.datasets import load_iris

from dask_igtm import IGTM, landscape

X, SPECIES = load_iris(return_X_y=True)


@pytest.mark.parametrize(
    "parameters",
    [
        {"scale": "center"},
        {"scale": "standard"},
        {"scale": "standard", "n_components": 3},
        {"scale": "standard", "noise": "diagonal"},
    ],
)
def test_magnification_is_that_of_finite_differences(parameters):
    assert_magnified(IGTM(k=5, m=3, niter=10, regul=1e-3, **parameters).fit(X * [1, 2, 3, 1]))


@pytest.mark.parametrize(
    ("family", "means"), [("bernoulli", expit), ("poisson", np.exp), ("total", np.exp)], ids=str
)
def test_magnification_of_bits_and_counts_is_that_of_their_means(family, means):
    assert_magnified(IGTM(k=5, m=3, niter=10, **FAMILIES[family]).fit(rows_of(family)), means)


def assert_magnified(igtm, means=np.asarray):
    """Hold the magnification to that of a sheet of which the means are given by natural parameters."""
    basis, step = igtm.model_.basis, 1e-5

    def sheet(points):
        squared = ((points[:, None] - basis.rbf_centers) ** 2).sum(axis=-1)
        phi = np.column_stack([np.exp(-squared / (2 * basis.width)), np.ones(len(points))])
        return means(phi @ igtm.weights_)

    assert_allclose(sheet(igtm.nodes_), igtm.centers_)
    steps = step * np.eye(2)
    J = np.stack([(sheet(igtm.nodes_ + d) - sheet(igtm.nodes_ - d)) / (2 * step) for d in steps], axis=-1)
    expected = np.sqrt(np.linalg.det(np.swapaxes(J, 1, 2) @ J))
    assert_allclose(landscape.magnification(igtm).values[:, 0], expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:The map")
def test_magnification_of_a_line_is_zero():
    igtm = IGTM(k=4, m=2, niter=2).fit(X[:, :1])
    assert_allclose(landscape.magnification(igtm).values, 0, atol=1e-12)
