"""What a test compares bit by bit, in a module that workers of tests can import."""

import dask.array as da
import numpy as np

from dask_igtm import IGTM, landscape


def bits(X, niter=3):
    """Every bit of a fit, of a projection, and of landscapes."""
    igtm = IGTM(k=6, m=3, niter=niter, tol=0).fit(X)
    y = X if isinstance(X, da.Array) else da.from_zarr(X)
    parts = (
        igtm.centers_,
        igtm.history_,
        [igtm.beta_inv_, igtm.log_likelihood_],
        igtm.transform(X).compute(),
        landscape.property(igtm, X, y[:, :2]).values,
        landscape.classes(igtm, X, da.where(y[:, 0] > 1, "high", "low")).values,
    )
    return [np.asarray(part).tobytes() for part in parts]
