"""Centres come with the names of their columns, and columns say how they vary over the map."""

import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from helpers.maps import bent_map
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from dask_igtm import IGTM, load
from dask_igtm.projection.columns import variation

X = correlated(300, 4)
FRAME = pd.DataFrame(X, columns=["mass", "length", "width", "depth"])


def igtm(**parameters):
    return IGTM(**{"k": 5, "m": 2, "niter": 4, "solver": "em", "scale": "standard", **parameters})


def test_centers_have_the_names_of_the_fit_and_the_places_of_the_nodes(tmp_path):
    fitted = igtm().fit(FRAME)
    table = fitted.centers_table()
    assert table.columns.tolist() == ["x1", "x2", *FRAME.columns]
    assert_array_equal(table[["x1", "x2"]], fitted.nodes_)
    assert_array_equal(table[FRAME.columns], fitted.centers_)
    assert table.index.name == "node"
    assert_array_equal(table.index, np.arange(25))
    fitted.save(tmp_path / "map.npz")
    pd.testing.assert_frame_equal(load(tmp_path / "map.npz").centers_table(), table)


def test_columns_without_names_have_numbers():
    assert igtm().fit(X).centers_table().columns.tolist() == ["x1", "x2", 0, 1, 2, 3]


def test_columns_that_are_called_like_coordinates_keep_their_names():
    named = pd.DataFrame(X, columns=["x0", "x1", "x2", "x3"])
    table = igtm().fit(named).centers_table()
    assert table.columns.tolist() == ["map_x1", "map_x2", "x0", "x1", "x2", "x3"]


def test_centers_of_principal_axes_are_in_the_columns():
    fitted = igtm(n_components=2).fit(FRAME)
    assert_array_equal(fitted.centers_table()[FRAME.columns], fitted.centers_)


def test_a_map_that_is_not_fitted_has_no_centers():
    with pytest.raises(NotFittedError):
        IGTM().centers_table()


@settings(deadline=None, max_examples=30)
@given(k=st.integers(1, 9), m=st.integers(1, 5), n_columns=st.integers(1, 6), seed=st.integers(0, 99))
def test_columns_vary_as_their_centres_do(k, m, n_columns, seed):
    model = bent_map(k, m, 0.7, 0.3, n_columns, seed)
    expected = model.centers.std(axis=0) / np.sqrt(0.3)
    assert_allclose(variation(model), expected, rtol=1e-6, atol=1e-9)
