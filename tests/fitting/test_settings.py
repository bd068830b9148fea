"""Parameters are checked before anything is computed, and 0 stands for automatic values."""

import re

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.errors import assert_says, raised
from helpers.lazy import computing
from helpers.sound import assert_sound

from dask_igtm import IGTM, IGTMSearch, runIGTM

N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


# Parameters

PARAMETERS = [
    *[{name: -1} for name in ("k", "m", "s", "regul", "niter", "tol", "n_blocks")],
    *[{name: 2.5} for name in ("k", "m", "niter", "n_blocks")],
    *[{name: "4"} for name in ("k", "m", "s", "regul", "niter", "tol", "n_blocks")],
    *[{name: None} for name in ("k", "m", "s", "regul", "niter", "tol", "n_blocks")],
    *[{name: value} for name in ("s", "regul", "tol") for value in (np.nan, np.inf)],
    {"model": "x"},
    {"model": None},
    {"scale": "x"},
    {"scale": True},
]


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_wrong_parameters_are_named_before_anything_is_computed(X, parameter, convert):
    estimator = igtm(**parameter)  # as scikit-learn wants it, the constructor checks nothing
    with dask.config.set(scheduler=computing):
        message = raised(ValueError, estimator.fit, convert(X))
    ((name, value),) = parameter.items()
    remedy = {
        "model": "'means'.*'modes'.*'responsibilities'.*'complete'",
        "scale": "None.*'center'.*'standard'",
    }
    assert_says(message, rf"\b{name}\b", re.escape(repr(value)), remedy.get(name, "give|must"))
    if name not in remedy:
        assert_says(message, ">= 0|not negative|positive", "number|integer")


@pytest.mark.parametrize("name", ["model", "scale"])
def test_a_parameter_that_is_no_string_is_named(X, name):
    assert_says(raised(ValueError, igtm(**{name: ["means"]}).fit, X), name, "means")


def small(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 10, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    return rng.normal(size=(200, 5)) * [4, 3, 2, 1, 0.5] + [1, -2, 0, 3, 5]


# Automatic values


@pytest.mark.parametrize("n", [2, 10, 77, 200])
@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
def test_automatic_k_and_m_follow_the_formulas(table, n, lazy):
    rows = da.from_array(table[:n], chunks=(50, -1)) if lazy else table[:n]
    k = int(np.sqrt(5 * np.sqrt(n))) + 2
    estimator = small(k=0, m=0, niter=1, scale="standard").fit(rows)
    assert len(estimator.nodes_) == k**2
    assert len(estimator.weights_) == int(np.sqrt(k)) ** 2 + 1
    assert estimator.get_params()["k"] == estimator.get_params()["m"] == 0


def test_automatic_k_counts_weights(table):
    estimator = small(k=0, m=0, niter=1).fit(table, sample_weight=np.full(200, 5.0))
    assert len(estimator.nodes_) == (int(np.sqrt(5 * np.sqrt(1000))) + 2) ** 2


def test_automatic_m_of_one_node_is_1(table):
    estimator = small(k=1, m=0).fit(table)
    assert len(estimator.weights_) == 2
    assert_sound(estimator, table)


def test_runigtm_takes_automatic_values(table):
    result = runIGTM(table, k=0, m=0, niter=1)
    assert result.matX.shape == (100, 2)
    assert result.matW.shape == (5, 10)


# What "auto" stands for


def same(one, other):
    assert one.model_.weights.tobytes() == other.model_.weights.tobytes()
    assert one.history_.tobytes() == other.history_.tobytes()


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize(("units", "scale"), [(1.0, "center"), (100.0, "standard")])
def test_a_scale_is_chosen_by_the_moments_and_logged(table, caplog, units, scale, lazy):
    X = (table @ np.random.default_rng(0).normal(size=(5, 5))) * [1, 1, units, 1, 1]
    rows = da.from_array(X, chunks=(50, -1)) if lazy else X
    with caplog.at_level("INFO", "dask_igtm"):
        chosen = small(scale="auto").fit(rows)
    assert f'scale="auto" takes "{scale}"' in caplog.text
    same(chosen, small(scale=scale).fit(rows))
    same(small(scale="auto").fit(rows, init=chosen), small(scale=scale).fit(rows, init=chosen))
    stream, said = (small(scale=given).partial_fit(X[:100]).partial_fit(X[100:]) for given in ("auto", scale))
    same(stream, said)


def test_a_map_of_either_kind_is_gone_on_from(table):
    for scale in ("center", "standard"):
        start = small(scale=scale).fit(table)
        same(small(scale="auto").fit(table, init=start), small(scale=scale).fit(table, init=start))


def test_wide_rows_are_taken_to_have_one_unit():
    X = np.random.default_rng(0).normal(size=(60, 1100)) + np.arange(60)[:, None]
    X[:, 0] *= 1000
    given = {"niter": 1, "regul": 1e-6, "scale": "auto"}
    assert not small(**given).fit(X).model_.affine.standardised
    assert small(**given).fit(X[:, :1000]).model_.affine.standardised


def test_a_solver_is_chosen_by_what_the_fit_can_use(table):
    many = np.random.default_rng(0).normal(size=(5000, 5)) * [4, 3, 2, 1, 0.5]
    same(small(k=4, solver="auto").fit(many), small(k=4, solver="sampled").fit(many))
    assert (small(k=4, solver="auto").fit(many).history_shares_ < 1).any()
    same(small(solver="auto").fit(table), small(solver="accelerated").fit(table))
    given = {"regul": "auto", "scale": "center"}
    same(small(solver="auto", **given).fit(table), small(solver="accelerated", **given).fit(table))


def test_fits_side_by_side_are_accelerated(table):
    grid = {"regul": [0.1, 1.0]}
    auto, said = (
        IGTMSearch(small(solver=solver), grid, cv=2, refit=False).fit(table).cv_results_["mean_test_score"]
        for solver in ("auto", "accelerated")
    )
    assert auto.tobytes() == said.tobytes()
    with pytest.raises(ValueError, match="solver='sampled'"):
        IGTMSearch(small(solver="sampled"), grid, cv=2).fit(table)
