"""A map that collapses says so, and its remedy works."""

import pytest
from helpers.sound import assert_sound
from sklearn.datasets import load_breast_cancer, load_wine

from dask_igtm import IGTM


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
