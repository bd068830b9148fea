"""Maps that fall onto one point: what is said before the fit and after it, and what raises no alarm."""

import dataclasses
import warnings

import numpy as np
import pytest
from helpers.data import correlated
from helpers.families import FAMILIES, WHOLE, rows_of
from helpers.maps import bent_map
from sklearn.datasets import load_wine

from dask_igtm import IGTM, eIGTM
from dask_igtm.fitting.collapse import warn_if_collapsed
from dask_igtm.model.model import Prior


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
    estimator = eIGTM(k=6, m=3, niter=60, scale=scale, regul=regul).fit(rows)
    assert estimator.stopped_by_ != "collapse"
    assert estimator.transform(rows).std(axis=0).max() > 0.1


@pytest.mark.filterwarnings("error")
def test_a_map_that_explains_little_of_many_columns_has_not_collapsed():
    rows = np.random.default_rng(0).normal(size=(6000, 900))
    estimator = eIGTM(k=4, m=2, niter=12, tol=1, scale="center").fit(rows)
    assert estimator.stopped_by_ == "tolerance"
    assert estimator.beta_inv_ > 0.99 * rows.var()
    assert estimator.transform(rows).std(axis=0).min() > 0.3


def test_moments_do_not_tell_whether_a_map_collapses():
    """Two sets of rows with the same mean and variance, under the same ridge."""
    rng = np.random.default_rng(0)
    one, two = (whitened(rows) for rows in (rng.normal(size=(400, 1)), rng.choice([-1.0, 1.0], (400, 1))))
    ridge = {"k": 8, "scale": "center", "regul": 40}
    with pytest.warns(UserWarning, match="collapsed"):
        assert eIGTM(**ridge).fit(one).stopped_by_ == "collapse"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert eIGTM(**ridge).fit(two).transform(two).std() > 0.5


@pytest.mark.parametrize(
    ("parameters", "says", "says_not"),
    [
        (
            {"scale": "center", "regul": 1e6},
            r'scale="standard", or with a smaller regul .than 1e\+06',
            "hold no",
        ),
        ({"scale": "standard", "regul": 1e6}, r"fit with a smaller regul", "standard"),
        ({"scale": "center", "regul": 1e6, "tol": 0, "niter": 30}, "smaller regul", "hold no"),
    ],
    ids=str,
)
def test_the_advice_is_none_that_was_followed(parameters, says, says_not):
    with pytest.warns(UserWarning, match=says) as caught:
        eIGTM(k=6, **parameters).fit(correlated(300, 4))
    assert [str(warning.message).split()[2] for warning in caught] == ["may", "has"]
    assert not any(says_not in str(warning.message) for warning in caught)


@pytest.mark.parametrize("family", WHOLE)
def test_bits_and_counts_that_collapse_are_told_of_the_ridge_alone(family):
    rows = rows_of(family)
    for fit in ("fit", "partial_fit"):
        with pytest.warns(UserWarning, match=r"fit with a smaller regul .than 1e\+06") as caught:
            igtm = getattr(IGTM(k=5, m=3, regul=1e6, **FAMILIES[family]), fit)(rows)
        assert "scale" not in str(caught[0].message)
        assert np.ptp(igtm.centers_, axis=0).max() < 0.01
        assert igtm.stopped_by_ == ("collapse" if fit == "fit" else "iterations")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("family", WHOLE)
def test_sound_maps_of_bits_and_counts_raise_no_alarm(family):
    for regul in (0.01, 1.0):
        igtm = IGTM(k=5, m=3, regul=regul, niter=30, **FAMILIES[family]).fit(rows_of(family))
        assert igtm.stopped_by_ != "collapse"


def test_a_collapse_without_a_ridge_says_what_the_rows_may_lack():
    model = bent_map(4, 2, 0.3, beta_inv=1.0, n_columns=3)
    affine = dataclasses.replace(model.affine, standardised=True)
    point = dataclasses.replace(model, affine=affine, weights=0 * model.weights)
    with pytest.warns(UserWarning, match="may hold no structure") as caught:
        assert warn_if_collapsed(point, Prior(0.0, point.weights, 0.0))
    assert "regul" not in str(caught[0].message)


def test_a_stream_that_collapses_says_so():
    with pytest.warns(UserWarning, match="may collapse"), pytest.warns(UserWarning, match="has collapsed"):
        eIGTM(k=5, m=3, scale="center", regul=1e6).partial_fit(correlated(300, 4))


@pytest.mark.parametrize("missing", ["error", "marginalize"])
def test_a_fit_says_before_it_starts_that_its_map_may_collapse(missing):
    says = 'may collapse .* fit with scale="standard", or with a smaller regul'
    with pytest.warns(UserWarning, match=says):
        eIGTM(k=8, niter=1, missing=missing).fit(load_wine().data)


@pytest.mark.filterwarnings("error")
def test_a_single_column_that_keeps_its_map_raises_no_alarm():
    rows = np.random.default_rng(0).choice([-20.0, 20.0], (400, 1))
    assert eIGTM(k=8, scale="center", regul=0.2).fit(rows).transform(rows).std() > 0.5


@pytest.mark.filterwarnings("error")
def test_nothing_is_said_of_a_fit_without_iterations():
    assert eIGTM(k=4, m=2, regul=1e6, niter=0).fit(correlated(100, 3)).n_iter_ == 0


def test_a_fit_that_ends_while_its_map_shrinks_says_so():
    """A map within the noise, under a ridge that takes a third of it in each iteration."""
    rows, short = correlated(533, 4), {"k": 4, "m": 3, "tol": 0, "scale": "center", "regul": 1e3}
    with pytest.warns(UserWarning, match="The map will collapse onto one point: its centres"):
        eIGTM(niter=5, **short).fit(rows)
    with pytest.warns(UserWarning, match="The map has collapsed onto one point: its centres"):
        eIGTM(niter=20, **short).fit(rows)
