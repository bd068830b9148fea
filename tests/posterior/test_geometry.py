"""What kernels are given of a map: logits by its functions, and where most rows need few of its nodes."""

import dataclasses
import gc
import pickle
import weakref

import numpy as np
import pytest
from helpers.maps import bent_map, maps, powers_of_ten, rows_near
from hypothesis import given, settings
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.posterior.geometry import geometry_of

PRECISION = {np.float64: 1e-13, np.float32: 1e-6}


@pytest.mark.parametrize("dtype", PRECISION)
def test_functions_slopes_and_squares_make_the_logits(dtype):
    @settings(deadline=None, max_examples=60)
    @given(maps(powers_of_ten(-2, 3)))
    def check(model):
        geometry = geometry_of(model, dtype)
        for array in (
            geometry.axis,
            geometry.further,
            geometry.slopes,
            geometry.half_squares,
            geometry.functions,
        ):
            assert array.dtype == dtype
        Z = model.affine.forward(rows_near(model, 30))
        logits = geometry.functions @ (Z @ geometry.slopes).T - geometry.half_squares[:, None]
        centers = model.centers
        expected = (centers @ Z.T - 0.5 * (centers**2).sum(axis=1, keepdims=True)) / model.beta_inv
        size = np.abs(model.basis.phi) @ np.abs(model.weights) @ np.abs(Z).T / model.beta_inv
        assert_allclose(
            logits, expected, rtol=0, atol=PRECISION[dtype] * (np.abs(expected).max() + size.max())
        )
        assert_allclose(geometry.largest_term, (centers**2).sum(axis=1).max() / (2 * model.beta_inv))

    check()


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("k", [1, 2, 16])
def test_the_bound_is_where_all_nodes_together_are_less_than_rounding(dtype, k):
    bound = geometry_of(bent_map(k, 3, 0.3, 1.0, 2), dtype).bound
    assert_allclose(k * k * np.exp(bound), np.finfo(dtype).eps, rtol=1e-5)


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("k", [1, 2, 3, 5, 16, 30])
def test_cells_are_nodes_of_maps_whose_rows_need_few_nodes(dtype, k):
    model = bent_map(k, 3, 1.0, 1.0, 4)
    assert not len(geometry_of(model, dtype).cells)
    sharp = dataclasses.replace(model, beta_inv=1e-6)
    cells = geometry_of(sharp, dtype).cells
    if k < 3:  # a row needs a node, which is no small share
        assert not len(cells)
        return
    assert len(cells) == min(k, 4) ** 2
    assert len(set(cells.tolist())) == len(cells)
    places = sorted({int(cell) // k for cell in cells})
    assert_array_equal(cells.reshape(len(places), -1), k * np.array(places)[:, None] + places)
    gaps = np.diff([-1, *places, k])
    assert gaps.max() <= np.ceil(k / 4) + 1
    assert gaps[[0, -1]].max() <= k / 8 + 1  # they are middles of cells


def test_it_is_worked_out_once_for_a_model_and_a_precision_and_goes_with_the_model():
    model = bent_map(12, 3, 1.0, 1.0, 4)
    before = len(pickle.dumps(model))
    one = geometry_of(model, np.float64)
    assert geometry_of(model, np.float64) is one
    assert geometry_of(model, np.float32) is not one
    assert geometry_of(dataclasses.replace(model, beta_inv=0.5), np.float64) is not one
    assert len(pickle.dumps(model)) == before
    there, found = weakref.ref(model), weakref.ref(one)
    del model, one
    gc.collect()
    assert there() is None
    assert found() is None
