"""Data and maps at the edge of what is possible give a sound fit."""

import dask.array as da
import numpy as np
import pytest
from helpers.sound import sound_fit
from numpy.testing import assert_allclose

from dask_igtm import eIGTM

SCALES = [None, "center", "standard"]


def igtm(**parameters):
    return eIGTM(**{"k": 6, "m": 3, "niter": 10, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(200, 5)) * [4, 3, 2, 1, 0.5] + [1, -2, 0, 3, 5]


# Few dimensions, few nodes, few basis functions

MAPS = [
    {"k": 1},
    {"k": 1, "regul": 0},
    {"k": 1, "m": 1},
    {"k": 1, "m": 1, "regul": 0},
    {"k": 2},
    {"m": 1},
    {"m": 1, "regul": 0},
    {"m": 8},
    {"m": 8, "regul": 0},
    {"s": 0},
    {"s": 1e-4},
    {"s": 1e4},
    {"regul": 0},
    {"niter": 0},
    {"niter": 1},
]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize("parameters", MAPS, ids=str)
def test_small_maps_of_few_columns_are_sound(X, parameters, columns, scale):
    rows = X[:, :columns]
    sound_fit(igtm(scale=scale, **parameters), rows)


@pytest.mark.parametrize("parameters", [*MAPS, {"niter": 60}, {"niter": 60, "regul": 0}], ids=str)
def test_small_maps_of_many_columns_are_sound(X, parameters):
    sound_fit(igtm(**parameters), X)


def test_one_node_is_the_gaussian_of_the_data(X):
    for parameters in ({"regul": 0}, {"scale": "center"}):
        estimator = igtm(k=1, **parameters).fit(X)
        assert_allclose(estimator.centers_[0], X.mean(axis=0), rtol=1e-9)
        assert_allclose(estimator.beta_inv_, X.var(axis=0).mean(), rtol=1e-9)
        assert_allclose(estimator.transform(X), 0, atol=1e-12)
        expected = -5 / 2 * (np.log(2 * np.pi * X.var(axis=0).mean()) + 1)
        assert_allclose(estimator.score(X), expected, rtol=1e-9)


def test_no_iterations_stay_at_the_plane_of_the_first_two_axes(X):
    estimator = igtm(niter=0).fit(X)
    assert estimator.n_iter_ == 0
    assert estimator.n_passes_ == 1
    assert not estimator.converged_
    assert estimator.history_.shape == (0,)

    grid, nodes = np.linspace(-1, 1, 3), estimator.nodes_
    rbf_centers = np.array([(a, b) for a in grid for b in grid])
    squares = ((nodes[:, None] - rbf_centers) ** 2).sum(axis=2)
    phi = np.c_[np.exp(-squares / (2 * 0.3)), np.ones(36)]  # width 0.3 * 1, the spacing of 3 centres
    variances, axes = np.linalg.eigh(np.cov(X.T))
    variances, axes = variances[::-1], axes[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(5)])
    plane = (nodes / nodes.std(axis=0)) @ (axes[:, :2] * np.sqrt(variances[:2])).T
    centers = phi @ np.linalg.solve(phi.T @ phi, phi.T @ plane) + X.mean(axis=0)
    distances = np.sqrt(((centers[:, None] - centers) ** 2).sum(axis=2))
    assert_allclose(estimator.centers_, centers, atol=1e-9)
    assert_allclose(phi @ estimator.weights_, centers, atol=1e-9)
    assert_allclose(estimator.beta_inv_, min(variances[2], (distances.mean() / 2) ** 2), rtol=1e-9)


# Few, equal or dependent rows


def degenerate(X, name):
    line = X[:, :1]
    return {
        "two rows": X[:2],
        "three rows": X[:3],
        "two rows of one column": X[:2, :1],
        "fewer rows than nodes": X[:10],
        "fewer rows than columns": np.tile(X[:4], 3) * np.arange(1, 16),
        "five rows, each forty times": np.repeat(X[:5], 40, axis=0),
        "one row that differs": np.r_[np.repeat(X[:1], 99, axis=0), X[1:2]],
        "a constant column": np.c_[X, np.full(len(X), 0.1)],
        "one column that is not constant": np.c_[line, np.full((len(X), 3), 1e3 / 3)],
        "rank 1": line * [1, -2, 0.5, 3] + [0, 1, 1e3, 0.1],
        "rank 2": X[:, :2] @ [[1, 2, 3, 1], [0, 1, -1, 2]],
        "equal columns": np.repeat(line, 4, axis=1),
        "yes or no": (X > 1).astype(np.uint8),
        "far from the origin": X + 1e7,
    }[name]


NAMES = [
    "two rows",
    "three rows",
    "two rows of one column",
    "fewer rows than nodes",
    "fewer rows than columns",
    "five rows, each forty times",
    "one row that differs",
    "a constant column",
    "one column that is not constant",
    "rank 1",
    "rank 2",
    "equal columns",
    "yes or no",
    "far from the origin",
]
FITS = [
    {},
    {"scale": "center"},
    {"scale": "standard"},
    {"niter": 0},
    {"niter": 0, "scale": "standard"},
    {"niter": 60, "regul": 0},
]


@pytest.mark.parametrize("parameters", FITS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_degenerate_rows_give_a_sound_map(X, name, parameters):
    sound_fit(igtm(**parameters), degenerate(X, name))


@pytest.mark.parametrize("name", ["two rows", "two rows of one column", "fewer rows than nodes"])
def test_a_map_without_ridge_that_meets_every_row_stays_sound(X, name):
    """The likelihood has no bound here: noise falls towards 0 as long as EM runs."""
    sound_fit(igtm(niter=300, m=5, regul=0), degenerate(X, name))


@pytest.mark.parametrize("name", ["a constant column", "yes or no", "rank 1", "two rows"])
def test_degenerate_rows_give_the_same_map_lazily(X, name):
    rows = degenerate(X, name)
    one = igtm(scale="standard").fit(rows)
    other = igtm(scale="standard").fit(da.from_array(rows, chunks=(7, -1)))
    rtol = 1e-8 if rows.dtype == float else 3e-5
    assert_allclose(other.beta_inv_, one.beta_inv_, rtol=rtol)
    assert_allclose(other.transform(rows), one.transform(rows), atol=100 * rtol)


def test_a_constant_column_has_scale_1_and_stays_constant(X):
    rows = np.c_[X, np.full(len(X), 0.1)]
    estimator = igtm(scale="standard").fit(rows)
    assert estimator.scale_[5] == 1
    assert_allclose(estimator.scale_[:5], X.std(axis=0))
    assert_allclose(estimator.centers_[:, 5], 0.1)


def test_a_fit_that_is_centred_does_not_feel_an_offset(X):
    one, other = igtm(scale="center").fit(X), igtm(scale="center").fit(X + 1e6)
    assert_allclose(other.beta_inv_, one.beta_inv_, rtol=1e-6)
    assert_allclose(other.transform(X + 1e6), one.transform(X), atol=1e-5)


@pytest.mark.parametrize("weight", [1e-3, 1e-6, 1e6])
def test_weights_of_any_size_give_a_sound_map(X, weight):
    sound_fit(igtm(), X, sample_weight=np.full(len(X), weight))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_map_does_not_feel_weights_that_float32_has_not(X, dtype):
    one, other = (
        igtm(regul=0).fit(X.astype(dtype), sample_weight=np.full(len(X), weight)) for weight in (1e-3, 1e-60)
    )
    assert_allclose(other.centers_, one.centers_, atol=1e-6)
    assert_allclose(other.beta_inv_, one.beta_inv_, rtol=1e-6)
