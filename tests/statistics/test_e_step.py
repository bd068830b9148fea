"""The sums of an E-step add up to those of all rows at once, in any grouping."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from dask_igtm.model.basis import make_basis
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

FINITE = st.floats(-1e3, 1e3, width=32)
THREE_BLOCKS = st.tuples(*(st.integers(0, 20).flatmap(lambda n: arrays(float, (n, 3), elements=FINITE)),) * 3)


@settings(deadline=None)
@given(THREE_BLOCKS)
def test_sufficient_statistics_merge_associatively(three):
    data = np.random.default_rng(0).normal(size=(100, 3)) * 100
    model = initialize(moments_of(data, None), make_basis(4, 2, 0.3), regul=0.1, scale=None).model
    a, b, c = (e_step(X, None, model, "numpy") for X in three)
    whole = e_step(np.concatenate(three), None, model, "numpy")
    for total in ((a + b) + c, a + (b + c)):
        for name, value in vars(whole).items():
            assert_allclose(getattr(total, name), value, rtol=1e-9, atol=1e-6)
