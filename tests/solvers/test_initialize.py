"""Principal axes and the first map come from the moments of the data."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM, load, runIGTM

X = correlated(400, 5)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "scale": "center", **parameters})


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("n_components", "kept"), [(3, 3), (0.9, None), (-1, None)])
@pytest.mark.parametrize("scale", ["center", "standard"])
def test_principal_axes_come_from_the_moments(lazy, n_components, kept, scale):
    given = da.from_array(X, chunks=(90, 5)) if lazy else X
    scaled = StandardScaler(with_std=scale == "standard").fit_transform(X)
    pca = PCA(0.8 if n_components == -1 else n_components).fit(scaled)
    one = igtm(scale=scale, n_components=n_components).fit(given)
    other = igtm().fit(pca.transform(scaled))
    assert one.model_.affine.axes.shape == (5, kept or pca.n_components_)
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=1e-8)
    assert_allclose(one.history_, other.history_, rtol=1e-9)
    # Back in the user's columns, the map lies in the plane of these axes.
    assert_allclose(one.model_.basis.phi @ one.weights_, one.centers_, atol=1e-9)
    centers = (one.inverse_transform(np.eye(36)) - X.mean(axis=0)) / one.scale_
    assert_allclose(centers @ pca.components_.T @ pca.components_, centers, atol=1e-8)
    assert_allclose(np.abs(centers @ pca.components_.T), np.abs(other.centers_), atol=1e-7)
    assert_allclose((one.noise_variance_ / one.scale_**2).sum(), one.beta_inv_ * pca.n_components_)


def test_principal_axes_are_saved_and_run_igtm_has_them_lazily(tmp_path):
    one = igtm(n_components=2).fit(X)
    one.save(tmp_path / "model.npz")
    assert_array_equal(load(tmp_path / "model.npz").transform(X), one.transform(X))
    here = runIGTM(X, k=6, m=3, niter=5, doPCA=True)
    lazy = runIGTM(da.from_array(X, chunks=(90, 5)), k=6, m=3, niter=5, doPCA=True)
    assert_allclose(lazy.matMeans.compute(), here.matMeans, atol=1e-8)
    assert lazy.matY.shape[0] < 5
    with pytest.raises(ValueError, match="n_components=7 is more than the 5 columns"):
        igtm(n_components=7).fit(X)


@pytest.mark.parametrize("seed", range(8))
def test_axes_with_tied_entries_keep_their_signs(seed):
    two = correlated(500, 2, seed)
    maps = [
        IGTM(k=6, m=3, niter=5, scale="standard").fit(da.from_array(two, chunks=(rows, -1))).transform(two)
        for rows in (500, 100, 37, 7)
    ]
    for map_ in maps[1:]:
        assert_allclose(map_, maps[0], atol=1e-9)
