"""Results under ugtm's names."""

import dask
import dask.array as da
import numpy as np
from helpers.data import correlated
from numpy.testing import assert_allclose

from dask_igtm import IGTM

X = correlated(300, 5)


def test_complete_on_an_empty_block():
    lazy = da.from_array(X, chunks=(100, -1))
    kept = lazy[(da.arange(300, chunks=100) // 100) != 1]
    igtm = IGTM(k=4, m=2, niter=2, model="complete").fit(X)
    (result,) = dask.compute(igtm.transform(kept))
    rows = np.r_[X[:100], X[200:]]
    assert_allclose(result.matP, igtm.transform(rows).matP)
    assert_allclose(result.matModes, igtm.transform(rows).matModes)


def test_names_of_ugtm_belong_to_the_fit():
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    before = igtm.optimizedModel.matY
    assert (igtm.set_params(scale="standard").optimizedModel.matY == before).all()
