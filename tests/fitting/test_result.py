"""A map that collapses says so, and its remedy works."""

import dataclasses
import warnings

import numpy as np
import pytest
from helpers.cut import cut_after
from helpers.data import correlated
from helpers.maps import bent_map
from helpers.sound import assert_sound
from sklearn.datasets import load_breast_cancer, load_wine

from dask_igtm import IGTM, load
from dask_igtm.fitting.result import warn_if_collapsed
from dask_igtm.model.model import Prior


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_map_that_collapses_warns_names_the_remedy_and_is_not_converged(load):
    rows = load().data
    with pytest.warns(UserWarning, match=r'collapse.*scale="standard".*regul'):
        estimator = IGTM(k=8).fit(rows)
    assert not estimator.converged_
    assert_sound(estimator, rows)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_the_remedy_of_a_collapse_works(load):
    rows = load().data
    estimator = IGTM(k=8, scale="standard", niter=20).fit(rows)
    assert_sound(estimator, rows)
    assert (IGTM(k=8, scale="standard", niter=20).fit_transform(rows).std(axis=0) > 0.2).all()


def whitened(X):
    return np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[0] * len(X) ** 0.5


NORMAL, UNIFORM = np.random.default_rng(0).normal(size=(300, 10)), np.random.default_rng(0).random((300, 10))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("regul", [0, 0.1])
@pytest.mark.parametrize("scale", ["center", "standard"])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
@pytest.mark.parametrize("X", [NORMAL, UNIFORM], ids=["normal", "uniform"])
def test_rows_that_spread_alike_in_all_directions_have_maps(X, n_columns, scale, regul):
    rows = whitened(X[:, :n_columns])
    estimator = IGTM(k=6, m=3, niter=60, scale=scale, regul=regul).fit(rows)
    assert estimator.stopped_by_ != "collapse"
    assert estimator.transform(rows).std(axis=0).max() > 0.1


@pytest.mark.filterwarnings("error")
def test_a_map_that_explains_little_of_many_columns_has_not_collapsed():
    rows = np.random.default_rng(0).normal(size=(6000, 900))
    estimator = IGTM(k=4, m=2, niter=12, tol=1, scale="center").fit(rows)
    assert estimator.stopped_by_ == "tolerance"
    assert estimator.beta_inv_ > 0.99 * rows.var()
    assert estimator.transform(rows).std(axis=0).min() > 0.3


@pytest.mark.parametrize("missing", ["error", "marginalize"])
def test_a_fit_says_before_it_starts_that_its_map_may_collapse(missing):
    with pytest.warns(
        UserWarning, match='may collapse .* fit with scale="standard", or with a smaller regul'
    ):
        IGTM(k=8, niter=0, missing=missing).fit(load_wine().data)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_columns", [1, 2, 5, 20])
@pytest.mark.parametrize("scale", ["center", "standard"])
def test_whitened_rows_raise_no_alarm(n_columns, scale):
    rows = whitened(np.random.default_rng(n_columns).uniform(size=(200, n_columns)))
    assert IGTM(k=8, scale=scale).fit(rows).transform(rows).std(axis=0).max() > 0.4


@pytest.mark.filterwarnings("error")
def test_a_single_column_that_keeps_its_map_raises_no_alarm():
    rows = np.random.default_rng(0).choice([-20.0, 20.0], (400, 1))
    assert IGTM(k=8, scale="center", regul=0.2).fit(rows).transform(rows).std() > 0.5


def test_moments_do_not_tell_whether_a_map_collapses():
    """Two sets of rows with the same mean and variance, under the same ridge."""
    rng = np.random.default_rng(0)
    one, two = (whitened(rows) for rows in (rng.normal(size=(400, 1)), rng.choice([-1.0, 1.0], (400, 1))))
    ridge = {"k": 8, "scale": "center", "regul": 40}
    with pytest.warns(UserWarning, match="collapsed"):
        assert IGTM(**ridge).fit(one).stopped_by_ == "collapse"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert IGTM(**ridge).fit(two).transform(two).std() > 0.5


@pytest.mark.parametrize(
    ("parameters", "says", "says_not"),
    [
        (
            {"scale": "center", "regul": 1e4},
            r'scale="standard", or with a smaller regul .than 1e\+04',
            "hold no",
        ),
        ({"scale": "standard", "regul": 1e4}, r"fit with a smaller regul", "standard"),
        ({"scale": "center", "regul": 1e4, "tol": 0, "niter": 30}, "smaller regul", "hold no"),
    ],
    ids=str,
)
def test_the_advice_is_none_that_was_followed(parameters, says, says_not):
    with pytest.warns(UserWarning, match=says) as caught:
        IGTM(k=6, **parameters).fit(correlated(300, 4))
    assert len(caught) == 2  # before the fit, and after it
    assert not any(says_not in str(warning.message) for warning in caught)


def test_a_collapse_without_a_ridge_says_what_the_rows_may_lack():
    model = bent_map(4, 2, 0.3, beta_inv=1.0, n_columns=3)
    affine = dataclasses.replace(model.affine, standardised=True)
    point = dataclasses.replace(model, affine=affine, weights=0 * model.weights)
    with pytest.warns(UserWarning, match="may hold no structure") as caught:
        assert warn_if_collapsed(point, Prior(0.0, point.weights, 0.0))
    assert "regul" not in str(caught[0].message)


def test_a_ridge_that_was_held_is_advised_of_what_is_left():
    noise = np.random.default_rng(0).normal(size=(300, 3))
    for scale in ("center", "standard"):
        with pytest.warns(UserWarning, match="held at") as caught:
            small(regul="auto", scale=scale).fit(noise)
        assert ("scale='standard'" in str(caught[0].message)) == (scale == "center")


def test_a_stream_that_collapses_says_so():
    igtm = small(scale="center", regul=1e6)
    with pytest.warns(UserWarning, match="collapse"):
        igtm.partial_fit(correlated(300, 4))


# Why it stopped


def small(**parameters):
    return IGTM(**{"k": 5, "m": 3, "scale": "standard", **parameters})


def test_why_a_fit_stopped_is_a_word(monkeypatch):
    X = correlated(200, 4)
    converged = small(niter=500).fit(X)
    assert (converged.stopped_by_, converged.converged_) == ("tolerance", True)
    assert small(niter=3).fit(X).stopped_by_ == "iterations"
    assert small(niter=0).fit(X).stopped_by_ == "iterations"
    assert small().fit(X, callbacks=[lambda event: event.number == 2]).stopped_by_ == "callback"
    assert small().partial_fit(X).stopped_by_ == "iterations"
    at_last = [lambda event: event.converged]
    assert small(niter=500).fit(X, callbacks=at_last).stopped_by_ == "tolerance"
    last_allowed = [lambda event: event.number == 3]
    assert small(niter=3).fit(X, callbacks=last_allowed).stopped_by_ == "callback"
    cut_after(monkeypatch, 3, KeyboardInterrupt())
    interrupted = small()
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(X)
    assert (interrupted.stopped_by_, interrupted.n_iter_, interrupted.converged_) == ("interrupt", 2, False)


def test_a_collapse_is_no_convergence():
    with pytest.warns(UserWarning, match="collapse"):
        assert IGTM(k=8).fit(load_wine().data).stopped_by_ == "collapse"
    noise = np.random.default_rng(0).normal(size=(300, 3))
    with pytest.warns(UserWarning, match="held at"):
        assert small(regul="auto").fit(noise).stopped_by_ == "collapse"


@pytest.mark.parametrize("niter", [3, 500])
def test_the_word_is_saved(tmp_path, niter):
    igtm = small(niter=niter).fit(correlated(200, 4))
    igtm.save(tmp_path / "model.npz")
    back = load(tmp_path / "model.npz")
    assert (back.stopped_by_, back.converged_) == (igtm.stopped_by_, igtm.converged_)
