"""Grids and basis functions that cannot be."""

import numpy as np
import pytest

from dask_igtm import IGTM


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 10, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(200, 5)) * [4, 3, 2, 1, 0.5] + [1, -2, 0, 3, 5]


@pytest.mark.parametrize("parameters", [{"m": 1, "s": 0}, {"k": 1, "m": 1, "s": 0}], ids=str)
def test_one_basis_function_without_width_is_an_error(X, parameters):
    with pytest.raises(ValueError, match=r"s=0.*m=1.*give s > 0 or m"):
        igtm(**parameters).fit(X)
