"""Rows that are made dense, or fetched from elsewhere, a tile at a time."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose
from scipy import sparse

from dask_igtm import IGTM

X = correlated(400, 5)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "solver": "em", "scale": "center", **parameters})


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("missing", ["error", "median", "marginalize"])
def test_sparse_rows_with_gaps_allowed_are_made_dense_a_tile_at_a_time_and_others_not(
    lazy, missing, monkeypatch
):
    wide = sparse.csr_array(sparse.random(20_000, 60, density=0.05, random_state=0))
    heights, toarray = [], sparse.csr_array.toarray
    monkeypatch.setattr(sparse.csr_array, "toarray", lambda X: heights.append(X.shape[0]) or toarray(X))
    given = da.from_array(np.arange(2), chunks=1).map_blocks(
        lambda i: wide[10_000 * i[0] :][:10_000], chunks=((10_000,) * 2, (60,)), new_axis=1, meta=wide[:0]
    )
    one = igtm(missing=missing, n_blocks=0 if lazy else 2).fit(given if lazy else wide)
    positions = one.transform(given if lazy else wide)
    assert (0 < max(heights) <= 4096) if missing != "error" else not heights
    monkeypatch.undo()
    other = igtm(missing=missing, n_blocks=2).fit(wide.toarray())
    assert_allclose(one.centers_, other.centers_, rtol=1e-7, atol=1e-9)
    assert_allclose(np.asarray(positions), other.transform(wide.toarray()), atol=1e-6)


def test_sparse_rows_with_gaps():
    Y = X * (np.abs(X) > 1)
    Y[np.random.default_rng(0).random(Y.shape) < 0.1] = np.nan
    one = igtm(missing="marginalize").fit(sparse.csr_array(Y))
    assert_allclose(one.centers_, igtm(missing="marginalize").fit(Y).centers_, rtol=1e-9)
    assert_allclose(one.impute(sparse.csr_array(Y)), igtm(missing="marginalize").fit(Y).impute(Y))
    with pytest.raises(ValueError, match="NaN or inf"):
        igtm().fit(sparse.csr_array(Y))


class Elsewhere(np.ndarray):
    """Rows in another memory, such as those of a GPU, which NumPy must not touch before they are fetched."""

    def get(self):
        return self.view(np.ndarray)

    def __array__(self, *_args, **_kwargs):
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, *_args, **_kwargs):
        raise TypeError("unsupported type")


def test_rows_elsewhere_are_fetched_a_tile_at_a_time():
    given = da.from_array(X, chunks=(100, 5)).map_blocks(lambda b: b.view(Elsewhere), meta=np.empty((0, 0)))
    one, other = igtm().fit(given), igtm().fit(X)
    assert_allclose(one.centers_, other.centers_, rtol=1e-8, atol=1e-9)
    assert_allclose(one.transform(given).compute(), other.transform(X), atol=1e-9)
