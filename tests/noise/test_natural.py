"""Maps of bits and counts against sums over every entry and node."""

import dataclasses

import numpy as np
import pytest
from helpers.data import holed
from helpers.noises import KERNELS, NATURAL, assert_e_step, map_of, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_noise import dense_e_step, dense_gem, objective, objective_of_column
from scipy import sparse

from dask_igtm import IGTM
from dask_igtm.model.functions import functions_of
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Prior
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.likelihood import likelihood_of

MARGINAL = Gaps("marginalize")
UNEXPOSED = ["bernoulli", "poisson"]
DTYPES = ["f8", "f4", "f2", "u1", "i8", "?"]
each = pytest.mark.parametrize("name", NATURAL)
with_kernels = pytest.mark.parametrize("kernel", KERNELS)


def weights_of(kind, n_rows):
    rng = np.random.default_rng(5)
    return {
        "none": None,
        "zeros among them": rng.random(n_rows) * (rng.random(n_rows) < 0.7),
        "large and small": 10.0 ** rng.integers(-6, 7, n_rows),
        "zeros": np.zeros(n_rows),
    }[kind]


WEIGHTS = ["none", "zeros among them", "large and small", "zeros"]


def prior_of(model, regul=0.1, level=0.0):
    mean = np.zeros(model.weights.shape)
    mean[-1] = level
    return Prior(regul, mean, 0.0)


@each
@with_kernels
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_e_step_is_that_of_every_entry_at_every_node(name, kernel, weights, dtype):
    if dtype == "?" and name != "bernoulli":
        return
    model = map_of(name)
    X = rows_of(model, 300)
    X[:7] = 0
    assert_e_step(X.astype(dtype), X, weights_of(weights, len(X)), model, kernel)


@each
@with_kernels
@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "?"])
def test_sparse_rows_are_as_dense_ones(name, kernel, dtype):
    if dtype == "?" and name != "bernoulli":
        return
    model = map_of(name, n_columns=40, level=-2.0)
    X = rows_of(model, 300)
    X[[0, 5, 6, 299]] = 0
    assert_e_step(sparse.csr_array(X.astype(dtype)), X, weights_of("zeros among them", 300), model, kernel)


@with_kernels
@pytest.mark.parametrize("name", UNEXPOSED)
@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("share", [0.01, 0.4, 0.95])
def test_entries_that_are_missing_are_left_out(name, kernel, dtype, share):
    model = map_of(name, gaps=MARGINAL)
    X = holed(rows_of(model, 300), share)
    X[7] = np.nan
    assert_e_step(X.astype(dtype), X, weights_of("zeros among them", 300), model, kernel)
    assert_e_step(sparse.csr_array(X.astype(dtype)), X, None, model, kernel)


@each
@with_kernels
def test_maps_and_tiles_of_all_sizes(name, kernel):
    @settings(deadline=None, max_examples=25)
    @given(
        st.integers(1, 9),
        st.integers(1, 5),
        st.integers(1, 7),
        st.sampled_from([0, 1, 127, 128, 129]),
        st.sampled_from([0.01, 1.0, 4.0]),
        st.floats(-3, 3),
        st.sampled_from([0.3, 3.0, 1e3]),
        st.sampled_from(["f8", "f4"]),
    )
    def check(k, m, n_columns, n_rows, reach, level, s, dtype):
        model = map_of(name, k, m, n_columns, reach=reach, level=level, s=s)
        X = np.minimum(rows_of(model, n_rows), 2.0**24)
        if n_rows:
            assert_e_step(X.astype(dtype), X, None, model, kernel)
        else:
            assert not e_step(X, None, model, kernel).g.any()

    check()


@each
def test_deviances_are_those_of_maps_that_say_each_row_and_never_negative(name):
    model = map_of(name)
    X = rows_of(model, 200)
    X[3] = 0
    found = likelihood_of(X, None, model, "numpy")
    assert_allclose(found.log_likelihood, float(dense_e_step(X, model).row.log_likelihood.sum()), rtol=1e-12)
    # A map of one node that is sure of the row.
    x, one = X[5], map_of(name, 1, 1)
    with np.errstate(divide="ignore"):
        sheet = 60 * (2 * x - 1) if name == "bernoulli" else np.log(x / (x.sum() if name == "total" else 1))
    weights = np.zeros(one.weights.shape)
    weights[-1] = np.maximum(sheet, -60)
    one = dataclasses.replace(one, weights=weights)
    assert_allclose(dense_e_step(X[[5]], one).row.deviance.astype(float), 0, atol=1e-12)
    for kernel in KERNELS:
        (found,) = project(X[[5]], one, kernel, outputs_of(("deviance",), 1))
        assert 0 <= found <= 1e-10


@each
@with_kernels
def test_a_row_does_not_see_the_rows_beside_it(name, kernel):
    """Sums over sparse rows are made row by row, however large the others are."""
    model = map_of(name, reach=0.1)
    X = rows_of(model, 50)
    if name != "bernoulli":
        X[10] = 1e15
    others = np.arange(50) != 10
    for rows in (X, sparse.csr_array(X)):
        found = likelihood_of(rows, others.astype(float), model, kernel).log_likelihood
        alone = likelihood_of(X[others], None, model, kernel).log_likelihood
        assert_allclose(found, alone, rtol=1e-12)


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_the_penalised_likelihood(name, weighted):
    gaps = name != "total"
    model = map_of(name, 4, 2, 3, gaps=MARGINAL if gaps else Gaps())
    X = rows_of(model, 60)
    X = holed(X, 0.2) if gaps else X
    weight = weights_of("zeros among them", 60) if weighted else None
    prior = prior_of(model, 0.3, -0.5)
    found = model.noise.gradient(e_step(X, weight, model, "numpy"), model, prior)
    step, flat = 1e-5, model.weights.ravel()

    def at(place, move):
        moved = flat.copy()
        moved[place] += move
        other = model.noise.moved(model, moved.reshape(model.weights.shape), np.empty(0), prior)
        return objective(X, other, prior, weight)

    slopes = [float((at(i, step) - at(i, -step)) / (2 * step)) for i in range(len(flat))]
    assert_allclose(found, slopes, rtol=1e-7, atol=1e-7 * np.abs(found).max())


@each
@pytest.mark.parametrize("regul", [1e-3, 1.0])
def test_a_metric_and_its_newton_are_inverse(name, regul):
    model = map_of(name)
    X, rng = rows_of(model, 200), np.random.default_rng(0)
    statistics, prior = e_step(X, None, model, "numpy"), prior_of(model, regul)
    metric = model.noise.metric(statistics, model, prior)
    step = rng.normal(size=model.weights.size)
    assert_allclose(metric.newton(metric.curve(step)), step, rtol=1e-6, atol=1e-6)
    again = model.noise.metric_of(metric.pack(), model)
    assert_array_equal(again.curve(step), metric.curve(step))
    # And it is the Hessian of what the M-step raises.
    dense, phi = dense_e_step(X, model), model.basis.phi
    curved = metric.curve(step).reshape(model.weights.shape)
    for column, w in enumerate(model.weights.T):
        fixed = (phi, (phi.T @ dense.rx)[:, column], dense.exposed, regul, prior.mean[:, column], name)
        hessian = objective_of_column(w, *fixed)[2].astype(float)
        assert_allclose(-hessian @ step.reshape(model.weights.shape)[:, column], curved[:, column], rtol=1e-9)


@each
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_em_never_lowers_the_penalised_likelihood(name, gaps, weighted):
    if gaps and name == "total":
        return
    truth = map_of(name, 5, 3, 6, gaps=MARGINAL if gaps else Gaps(), seed=4)
    X = rows_of(truth, 250)
    X = holed(X, 0.3) if gaps else X
    weight = weights_of("zeros among them", 250) if weighted else None
    prior = prior_of(truth, 0.1, -0.5)
    model = dataclasses.replace(truth, weights=prior.mean + 0.1 * truth.weights)
    reached, said = [], []
    for _ in range(61):
        statistics = e_step(X, weight, model, "numba")
        said.append(statistics.log_likelihood + prior.log_density(model))
        reached.append(float(objective(X, model, prior, weight)))
        model = model.noise.m_step(statistics, model, prior)
    assert_allclose(said, reached, rtol=1e-12)
    assert (np.diff(reached) >= -1e-12 * np.abs(reached[1:])).all()
    assert reached[-1] > reached[0] + 1


@each
def test_iterations_are_those_of_dense_generalised_em(name):
    truth = map_of(name, 4, 2, 4, seed=2)
    X, prior = rows_of(truth, 120), prior_of(truth, 0.1, -0.5)
    start = dataclasses.replace(truth, weights=prior.mean + 0.3 * truth.weights)
    assert_same_iterations(X, start, prior, None)


@pytest.mark.parametrize("name", UNEXPOSED)
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_fit_with_gaps_is_that_of_the_entries_that_are_there(name, kernel):
    """The dense one leaves the terms of missing entries out, and has their expectations in its M-step."""
    truth = map_of(name, 4, 2, 4, seed=2, gaps=MARGINAL)
    X, prior = holed(rows_of(truth, 120)), prior_of(truth, 0.1, -0.5)
    X[3] = np.nan
    start = dataclasses.replace(truth, weights=prior.mean + 0.3 * truth.weights)
    assert_same_iterations(X, start, prior, weights_of("zeros among them", 120), kernel)


def assert_same_iterations(X, start, prior, weight, kernel="numpy"):
    expected, model = dense_gem(X, start, prior, 6, weight=weight), start
    for other in expected[1:]:
        model = model.noise.m_step(e_step(X, weight, model, kernel), model, prior)
        assert_allclose(model.weights, other.weights, rtol=1e-8, atol=1e-8)
    assert np.abs(model.centers - start.centers).max() > 0.1


@pytest.mark.parametrize("name", UNEXPOSED)
def test_columns_that_are_missing_everywhere_in_some_rows_fit_as_blocks_of_their_own(name):
    """Two sets of columns, never seen together: what is there of each row counts, and no more."""
    truth = map_of(name, 4, 2, 6, gaps=MARGINAL)
    X = rows_of(truth, 200)
    X[:100, 3:] = X[100:, :3] = np.nan
    found, halves = e_step(X, None, truth, "numpy"), []
    for rows, columns in ((slice(100), slice(3)), (slice(100, 200), slice(3, 6))):
        affine = dataclasses.replace(truth.affine, mean=np.zeros(3), scale=np.ones(3))
        half = dataclasses.replace(truth, weights=truth.weights[:, columns], affine=affine)
        halves.append(e_step(X[rows, columns], None, half, "numpy"))
    assert_allclose(found.g, halves[0].g + halves[1].g, rtol=1e-12)
    assert_allclose(found.log_likelihood, halves[0].log_likelihood + halves[1].log_likelihood, rtol=1e-12)
    expected = functions_of(truth.basis).values.T @ (halves[1].g[:, None] * truth.means[:, :3])
    assert_allclose(found.functions_rx[:, :3], halves[0].functions_rx + expected, rtol=1e-10, atol=1e-10)


@each
def test_weights_of_2_are_rows_twice(name):
    exposure = "total" if name == "total" else None
    X = rows_of(map_of(name, n_columns=8, seed=3), 150)
    given_ = {"k": 5, "m": 3, "niter": 8, "tol": 0, "noise": "poisson" if exposure else name}
    fit = IGTM(**given_, exposure=exposure, regul=0.2).fit
    twice, doubled = fit(np.r_[X, X]), IGTM(**given_, exposure=exposure, regul=0.2)
    doubled.fit(X, sample_weight=np.full(150, 2.0))
    assert_allclose(doubled.weights_, twice.weights_, rtol=1e-8, atol=1e-8)
    assert_allclose(doubled.log_likelihood_, twice.log_likelihood_, rtol=1e-10)
    assert_allclose(doubled.history_, twice.history_, rtol=1e-10)


@each
def test_a_prior_is_the_map_on_which_columns_are_independent(name):
    model = map_of(name)
    X = rows_of(model, 200)
    X[:, 2] = 0
    total, n = X.sum(axis=0), len(X)
    others = {"bernoulli": n - total + 0.5, "poisson": n + 1, "total": total.sum() + 20.0}  # 20 a row
    start, prior = model.noise.begin(model, e_step(X, None, model, "numpy"), 0.1)
    assert_allclose(prior.mean[-1], np.log((total + 0.5) / others[name]), rtol=1e-10)
    assert not prior.mean[:-1].any()
    assert prior.regul == 0.1
    assert start.noise is model.noise
    assert_array_equal(start.affine.scale, 1)
    # The start is the optimum of its sums, but for what twelve steps leave.
    gradient = model.noise.gradient(e_step(X, None, model, "numpy"), start, prior)
    assert np.abs(gradient).max() < 1e-6 * total.sum()


FLAT = {"bernoulli": "0, or all are 1", "poisson": "0", "total": "0"}


@each
def test_columns_without_optimum_are_refused_where_there_is_no_ridge(name):
    model = map_of(name)
    X = rows_of(model, 200)
    X[:, 2] = 0
    names = tuple("abcde")
    statistics = e_step(X, None, model, "numpy")
    with pytest.raises(
        ValueError, match=f"no optimum where all entries of a column are {FLAT[name]}: column 'c'; give regul"
    ):
        model.noise.begin(dataclasses.replace(model, names=names), statistics, 0.0)
    model.noise.begin(model, statistics, 1e-6)
    if name == "bernoulli":
        X[:, 4] = 1
        with pytest.raises(ValueError, match="column 2, column 4;"):
            model.noise.begin(model, e_step(X, None, model, "numpy"), 0.0)


REFUSED = {
    "center": ({"scale": "center"}, "scale='center' moves and divides columns.*give scale='auto' or None"),
    "standard": ({"scale": "standard"}, "scale='standard' moves and divides columns"),
    "axes": ({"n_components": 2}, "n_components maps principal axes.*give n_components=None, or noise='iso"),
    "mean": ({"missing": "mean"}, "missing='mean' fills gaps with numbers.*'marginalize' or 'most_frequent'"),
    "median": ({"missing": "median"}, "missing='median' fills gaps with numbers"),
    "auto": ({"regul": "auto"}, "regul='auto' rests on Gaussian noise.*give regul a number"),
}


@pytest.mark.parametrize("noise", UNEXPOSED)
@pytest.mark.parametrize("kind", REFUSED)
def test_what_whole_numbers_cannot_have_is_refused(noise, kind):
    given_, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message) as error:
        IGTM(noise=noise, **given_).fit(np.eye(6))
    assert f"noise='{noise}'" in str(error.value)


@each
def test_a_position_has_no_noise(name):
    model = map_of(name)
    assert model.noise.n_parameters(model) == len(model.noise.position(model)) == 0
    assert model.noise.starts(model) == [model]
    moved = model.noise.moved(model, model.weights + 1, np.empty(0), prior_of(model))
    assert_array_equal(moved.weights, model.weights + 1)
    assert moved.noise is model.noise
