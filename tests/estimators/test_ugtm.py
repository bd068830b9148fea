"""ugtm 2.3.0 as an oracle, and its functions by its names."""

import inspect
import pickle

import dask.array as da
import numpy as np
import pytest
import ugtm
from helpers.data import correlated, reference_sets
from helpers.errors import assert_says, raised
from numpy.testing import assert_allclose
from oracles.ugtm_reference import ugtm_fit
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, eIGTM, load, runIGTM, saturation

SETS = reference_sets()


def assert_same_map(igtm, X, expected):
    assert_allclose(igtm.beta_inv_, expected.betaInv, rtol=1e-8)
    assert np.abs(igtm.centers_ - expected.matY.T).max() <= 1e-8 * np.abs(expected.matY).max()
    means = igtm.transform(X)
    assert means.std(axis=0).min() > 0.3, "a collapsed map agrees with everything"
    assert np.abs(means - expected.matMeans).max() < 1e-6
    assert (igtm.set_params(model="modes").transform(X) == expected.matModes).all()


@pytest.mark.parametrize("name", SETS)
def test_twenty_iterations(name):
    X = SETS[name]
    expected, n_iter = ugtm_fit(X, niter=20)
    assert n_iter == 20
    assert not expected.converged, "ugtm has stopped, so that 20 iterations prove nothing"
    igtm = eIGTM(niter=20, tol=0).fit(X)
    assert igtm.n_iter_ == 20
    assert_same_map(igtm, X, expected)


@pytest.mark.parametrize("name", SETS)
def test_default_settings(name):
    X = SETS[name]
    expected, n_iter = ugtm_fit(X)
    igtm = eIGTM().fit(X)
    assert igtm.n_iter_ == n_iter
    assert igtm.converged_ == expected.converged
    assert_same_map(igtm, X, expected)


@pytest.mark.parametrize(
    "parameters",
    [
        {"k": 9, "m": 3, "s": 1.0, "regul": 10.0},
        {"k": 5, "m": 6, "s": 0.1, "regul": 1e-3},
        {"k": 0, "m": 0},
        {"k": 8, "m": 3, "s": 0.0},
    ],
)
def test_other_parameters(parameters):
    X = SETS["iris"]
    expected, _ = ugtm_fit(X, niter=10, **parameters)
    igtm = eIGTM(niter=10, tol=0, **parameters).fit(X)
    assert_allclose(igtm.beta_inv_, expected.betaInv, rtol=1e-7)
    assert_allclose(igtm.transform(X), expected.matMeans, atol=1e-5)


def test_names_of_ugtm():
    X = SETS["iris"]
    expected = ugtm.eIGTM(niter=10, model="complete").fit(X)
    igtm = eIGTM(niter=10, model="complete").fit(X)
    ours, theirs = igtm.optimizedModel, expected.optimizedModel
    for field in ("matW", "matY", "matX", "betaInv", "n_dimensions", "converged"):
        assert_allclose(getattr(ours, field), getattr(theirs, field), rtol=1e-6, atol=1e-9)
    assert ours.matMeans is ours.matModes is ours.matR is ours.matP is None
    ours, theirs = igtm.transform(X), expected.transform(X)
    for field in ("matMeans", "matModes", "matR", "matP"):
        assert_allclose(getattr(ours, field), getattr(theirs, field), atol=1e-6)


def test_inverse_transform():
    X = SETS["iris"]
    expected = ugtm.eIGTM(niter=10, model="responsibilities").fit(X)
    igtm = eIGTM(niter=10, model="responsibilities").fit(X)
    R = igtm.transform(X)
    assert_allclose(igtm.inverse_transform(R), expected.inverse_transform(R), rtol=1e-7)


@pytest.mark.parametrize("name", ["digits", "wine", "breast cancer"])
def test_run_igtm_agrees_with_standard_gtm(name):
    X = SETS[name][:600]
    expected, ours = ugtm.runGTM(X), runIGTM(X)
    for axis in range(2):
        assert np.corrcoef(expected.matMeans[:, axis], ours.matMeans[:, axis])[0, 1] > 0.999


@pytest.mark.parametrize("parameters", [{}, {"doPCA": True}, {"doPCA": True, "n_components": 4}])
def test_run_igtm(parameters, capsys):
    X = SETS["wine"] * [1, 10, 0.1, 1, 5, 1, 1, 1, 1, 3, 1, 1, 100] + 3
    X[::7, 2] = np.nan
    expected = ugtm.runIGTM(X, niter=15, n_blocks=5, **parameters)
    ours = runIGTM(X, niter=15, n_blocks=5, **parameters)
    assert ours.n_dimensions == expected.n_dimensions
    assert_allclose(ours.betaInv, expected.betaInv, rtol=1e-8)
    assert_allclose(ours.matY, expected.matY, atol=1e-8)
    assert_allclose(ours.matW, expected.matW, atol=1e-7)
    assert_allclose(ours.matMeans, expected.matMeans, atol=1e-6)
    assert_allclose(ours.matModes, expected.matModes, atol=1e-6)


ROWS = correlated(300, 5)


@pytest.mark.parametrize("n_components", ["mle", 2.7, 0, -2, 99])
def test_wrong_numbers_of_components(n_components):
    with pytest.raises(ValueError, match="n_components"):
        runIGTM(ROWS, doPCA=True, n_components=n_components)


N = 300


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


# What is refused


def test_runigtm_refuses_gaps_where_it_is_told_to(X):
    rows = X.copy()
    rows[250, 2] = np.nan
    for given in (rows, lazy(rows)):
        message = raised(ValueError, runIGTM, given, k=6, m=3, niter=3, missing=False)
        assert_says(message, r"nan|gap|missing", r"fill|drop|impute")


@pytest.mark.parametrize("parameter", [{"k": -1}, {"s": -0.1}, {"niter": 1.5}, {"n_blocks": N + 1}], ids=str)
def test_runigtm_checks_its_parameters(X, parameter):
    ((name, value),) = parameter.items()
    assert_says(raised(ValueError, runIGTM, X, **{"k": 6, **parameter}), rf"\b{name}={value}\b")


# A class of its own


def test_eigtm_stands_beside_igtm():
    assert not issubclass(eIGTM, IGTM)
    assert not issubclass(IGTM, eIGTM)
    ours, theirs = (inspect.signature(kind.__init__).parameters for kind in (IGTM, eIGTM))
    assert list(ours) == list(theirs)
    assert all(p.replace(default=theirs[name].default) == theirs[name] for name, p in ours.items())
    assert "__init__" in vars(eIGTM)


def test_the_two_differ_in_two_defaults():
    ours, theirs = (inspect.signature(kind.__init__).parameters for kind in (IGTM, eIGTM))
    other = {name: (p.default, theirs[name].default) for name, p in ours.items() if p != theirs[name]}
    assert other == {"scale": ("auto", None), "solver": ("auto", "em")}


@pytest.mark.parametrize("kind", [IGTMClassifier, IGTMRegressor])
def test_predictors_have_the_defaults_of_igtm(kind):
    map_ = inspect.signature(IGTM.__init__).parameters
    own = inspect.signature(kind.__init__).parameters
    assert {name: p.default for name, p in own.items() if name in map_} == {
        name: p.default for name, p in map_.items() if name != "model"
    }


def test_eigtm_keeps_the_defaults_of_ugtm():
    reference = inspect.signature(ugtm.eIGTM.__init__).parameters
    ours = inspect.signature(eIGTM.__init__).parameters
    assert list(reference)[1:] == [name for name, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD][1:]
    assert {name: p.default for name, p in reference.items()}.items() <= {
        name: p.default for name, p in ours.items()
    }.items()
    assert (eIGTM().scale, eIGTM().solver, eIGTM().missing, eIGTM().tol) == (None, "em", "error", 1e-4)


def test_a_class_comes_back_as_itself(tmp_path):
    X = correlated(200, 4)
    for kind in (IGTM, eIGTM):
        igtm = kind(k=5, m=3, niter=3, scale="standard").fit(X)
        igtm.save(tmp_path / "model.npz")
        for again in (load(tmp_path / "model.npz"), pickle.loads(pickle.dumps(igtm))):
            assert type(again) is kind
            assert again.transform(X).tobytes() == igtm.transform(X).tobytes()
        assert type(clone(igtm)) is kind
        assert igtm.get_feature_names_out().tolist() == ["igtm0", "igtm1"]
        assert list(igtm.set_output(transform="pandas").transform(X).columns) == ["igtm0", "igtm1"]
        with pytest.raises(NotFittedError):
            kind(model="responsibilities").get_feature_names_out()


def test_what_takes_a_map_takes_eigtm():
    X = correlated(200, 4)
    igtm = eIGTM(k=5, m=3, niter=3, scale="standard")
    grid = {"m": [2, 3]}
    assert type(IGTMSearch(igtm, grid).fit(X).best_estimator_) is eIGTM
    assert type(GridSearchCV(igtm, grid, cv=2).fit(X).best_estimator_) is eIGTM
    assert saturation(igtm, X, shares=(0.5, 1)).n_passes > 1
    IGTM(k=5, m=3, niter=1, scale="standard").fit(X, init=igtm.fit(X))
