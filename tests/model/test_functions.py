"""The functions of a map: orthonormal, and all that the RBFs and the constant make at the nodes."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from dask_igtm.model.basis import make_basis
from dask_igtm.model.functions import functions_of

WIDTHS = [1e-6, 0.01, 0.3, 1, 10, 1e3, 1e6]


def of(k, m, s):
    basis = make_basis(k, m, s)
    functions = functions_of(basis)
    q = min(k, m)
    assert functions.axis.shape == (k, q)
    assert functions.further.shape == (k * k,)
    assert functions.values.shape == (k * k, q * q + 1)
    assert functions.of_phi.shape == (q * q + 1, m * m + 1)
    return basis.phi, functions


@pytest.mark.parametrize("s", WIDTHS)
@pytest.mark.parametrize(
    ("k", "m"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 5), (5, 5), (8, 4), (16, 4), (30, 6)]
)
def test_they_make_every_rbf_and_the_constant(k, m, s):
    phi, functions = of(k, m, s)
    assert_allclose(functions.values @ functions.of_phi, phi, atol=1e-14 * max(k, m))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 14), st.integers(1, 8), st.floats(-6, 6))
def test_they_are_orthonormal(k, m, power):
    phi, functions = of(k, m, 10.0**power)
    gram = functions.values.T @ functions.values
    there = np.ones(len(gram))
    there[-1] = gram[-1, -1] > 0.5  # where the RBFs make the constant too nothing is left of it
    assert_allclose(gram, np.diag(there), atol=1e-13)
    assert_allclose(functions.values @ functions.of_phi, phi, atol=1e-13)


@pytest.mark.parametrize(("k", "m"), [(1, 1), (1, 4), (3, 3), (3, 6)])
def test_nothing_is_left_of_the_constant_where_there_are_as_many_rbfs_as_nodes(k, m):
    _, functions = of(k, m, 0.3)
    assert not functions.further.any()


@pytest.mark.parametrize("s", WIDTHS)
def test_sums_over_functions_have_no_terms_much_larger_than_themselves(s):
    phi, functions = of(16, 4, s)
    sheet = phi @ np.random.default_rng(0).normal(size=(17, 3))
    by_functions = functions.values.T @ sheet
    assert_allclose(np.linalg.norm(by_functions, axis=0), np.linalg.norm(sheet, axis=0), rtol=1e-12)
    assert_allclose(functions.values @ by_functions, sheet, atol=1e-13 * np.abs(sheet).max())


def test_they_are_worked_out_once_for_a_basis_and_travel_with_no_pickle_of_it():
    basis = make_basis(20, 4, 0.3)
    before = len(pickle.dumps(basis))
    assert functions_of(basis) is functions_of(basis)
    assert functions_of(basis).values is functions_of(basis).values
    assert len(pickle.dumps(basis)) == before
    copy = pickle.loads(pickle.dumps(basis))
    assert functions_of(copy) is not functions_of(basis)
    assert_allclose(functions_of(copy).values, functions_of(basis).values, rtol=0)
