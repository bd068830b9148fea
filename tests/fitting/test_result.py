"""A map that collapses says so, and its remedy works."""

import numpy as np
import pytest
from helpers.cut import cut_after
from helpers.data import correlated
from helpers.sound import assert_sound
from sklearn.datasets import load_breast_cancer, load_wine

from dask_igtm import IGTM, eIGTM, load


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_map_that_collapses_warns_names_the_remedy_and_is_not_converged(load):
    rows = load().data
    with pytest.warns(UserWarning, match=r'collapse.*scale="standard".*regul'):
        estimator = eIGTM(k=8).fit(rows)
    assert not estimator.converged_
    assert_sound(estimator, rows)


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_the_remedy_of_a_collapse_works(load):
    rows = load().data
    estimator = IGTM(k=8, scale="standard", niter=20).fit(rows)
    assert_sound(estimator, rows)
    assert (IGTM(k=8, scale="standard", niter=20).fit_transform(rows).std(axis=0) > 0.2).all()


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
        assert eIGTM(k=8).fit(load_wine().data).stopped_by_ == "collapse"
    noise = np.random.default_rng(0).normal(size=(300, 3))
    with pytest.warns(UserWarning, match="held at"):
        assert small(regul="auto").fit(noise).stopped_by_ == "collapse"


@pytest.mark.parametrize("niter", [3, 500])
def test_the_word_is_saved(tmp_path, niter):
    igtm = small(niter=niter).fit(correlated(200, 4))
    igtm.save(tmp_path / "model.npz")
    back = load(tmp_path / "model.npz")
    assert (back.stopped_by_, back.converged_) == (igtm.stopped_by_, igtm.converged_)


def test_a_ridge_that_was_held_is_advised_of_what_is_left():
    noise = np.random.default_rng(0).normal(size=(300, 3))
    for scale in ("center", "standard"):
        with pytest.warns(UserWarning, match="held at") as caught:
            small(regul="auto", scale=scale).fit(noise)
        assert ("scale='standard'" in str(caught[0].message)) == (scale == "center")
