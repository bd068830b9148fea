"""Principal axes and the first map come from the moments of the data."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated, holed
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM, load, runIGTM
from dask_igtm.model.basis import make_basis
from dask_igtm.model.gaps import Gaps
from dask_igtm.solvers import initialize as module
from dask_igtm.solvers.initialize import initialize, standardises
from dask_igtm.statistics.moments import moments_of, pairwise_moments_of

X = correlated(400, 5)
MANY = 131


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


def dense_start(covariance, basis):
    """Centres, noise and mean eigenvalue, from all eigenpairs and distances in all columns."""
    eigenvalues, axes = np.linalg.eigh(covariance)
    eigenvalues = np.where(eigenvalues <= len(covariance) * 2.0**-52 * eigenvalues[-1], 0, eigenvalues)[::-1]
    axes = axes[:, ::-1][:, :2]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    latent = basis.nodes if len(basis.rbf_centers) > 1 else basis.phi[:, :1]
    target = (latent - latent.mean(axis=0)) / latent.std(axis=0)
    used = min(latent.shape[1], len(eigenvalues))
    target = target[:, :used] @ (axes * np.sqrt(eigenvalues[:2]))[:, :used].T
    centers = basis.phi @ np.linalg.lstsq(basis.phi, target, rcond=None)[0]
    third = [eigenvalues[2]] if len(eigenvalues) > 2 and eigenvalues[2] > 0 else []
    return centers, min([*third, (cdist(centers, centers).mean() / 2) ** 2]), eigenvalues.mean()


def assert_starts_densely(rows, k, m):
    basis = make_basis(k, m, 0.3)
    start = initialize(moments_of(rows, None), basis, regul=0.1, scale="center")
    centers, noise, mean = dense_start(np.cov(rows.T).reshape(rows.shape[1], -1), basis)
    assert_allclose(basis.phi @ start.model.weights, centers, atol=1e-9 * np.abs(centers).max())
    assert_allclose(start.model.beta_inv, noise, rtol=1e-10)
    assert_allclose(start.variance, mean * (len(rows) - 1) / len(rows), rtol=1e-10)


@settings(deadline=None)
@given(
    n_rows=st.integers(2, 30),
    n_columns=st.integers(1, 6),
    n_constant=st.integers(0, 5),
    grid=st.sampled_from([(6, 3), (5, 2), (4, 1)]),
    seed=st.integers(0, 99),
)
def test_the_start_is_that_of_all_eigenpairs(n_rows, n_columns, n_constant, grid, seed):
    rows = np.random.default_rng(seed).normal(size=(n_rows, n_columns)) * 2.0 ** np.arange(n_columns)
    rows[:, : min(n_constant, n_columns - 1)] = 3.0
    assert_starts_densely(rows, *grid)


@pytest.mark.parametrize("n_rows", [3, 40, 700])  # of rank 2, of few dimensions, and of all
def test_the_start_in_many_columns_is_that_of_all_eigenpairs(n_rows):
    assert_starts_densely(correlated(n_rows, MANY), 6, 3)


@pytest.mark.parametrize("n_columns", [3, MANY])
@pytest.mark.parametrize("n_components", [None, 2, 0.5])
def test_equal_rows_are_refused_whatever_the_axes(n_columns, n_components):
    moments, basis = moments_of(np.full((5, n_columns), 2.0), None), make_basis(6, 3, 0.3)
    with pytest.raises(ValueError, match="All rows of X are equal"):
        initialize(moments, basis, regul=0.1, scale="center", n_components=n_components)


def test_gaps_in_many_columns_may_have_negative_eigenvalues_which_count_as_0():
    rows, gaps = holed(correlated(60, MANY), 0.5), Gaps("marginalize")
    moments = pairwise_moments_of(rows, None).pooled
    start = initialize(moments, make_basis(6, 3, 0.3), regul=0.1, scale="center", gaps=gaps)
    eigenvalues = np.linalg.eigvalsh(moments.scatter / moments.weight)
    assert eigenvalues[0] < -0.01 * eigenvalues[-1]
    assert_allclose(start.variance, eigenvalues.clip(0).mean())


def test_distances_of_many_columns_are_those_in_the_plane(monkeypatch):
    widths = []

    def seen_cdist(one, other):
        widths.append(one.shape[1])
        return cdist(one, other)

    monkeypatch.setattr(module, "cdist", seen_cdist)
    initialize(moments_of(correlated(300, MANY), None), make_basis(6, 3, 0.3), regul=0.1, scale="center")
    assert widths == [2]


# scale="auto"


def moments(X):
    return moments_of(np.asarray(X, float), None)


def related(n_columns=6, n_rows=400):
    """Rows of two groups, so that columns are correlated, with a spread of about 1 each."""
    rng = np.random.default_rng(5)
    return np.repeat([[1.0], [-1.0]], n_rows // 2, axis=0) + rng.normal(size=(n_rows, n_columns))


def test_columns_in_units_of_their_own_are_standardised():
    X = related()
    assert not standardises(moments(X), "auto")
    assert standardises(moments(X * [1, 1, 1, 1, 1, 20]), "auto")
    assert not standardises(moments(X * [1, 1, 1, 1, 1, 5]), "auto")
    assert standardises(moments(related(2) * [1, 1000]), "auto")


def test_principal_components_are_not_standardised_however_they_spread():
    X = related() * [1, 1, 1, 1, 1, 1000]
    components = PCA().fit_transform(X)
    assert np.ptp(np.log10(components.std(axis=0))) > 2
    assert not standardises(moments(components), "auto")


def test_constant_columns_are_no_measure():
    X = np.hstack([related(3) * 20, np.full((400, 4), 0.1)])
    assert not standardises(moments(X), "auto")
    assert not standardises(moments(X[:, 2:]), "auto")


@given(factor=st.floats(1e-6, 1e6), order=st.permutations(range(6)))
def test_the_choice_depends_neither_on_a_common_unit_nor_on_the_order(factor, order):
    X = related() * [1, 2, 3, 1, 4, 100]
    assert standardises(moments(factor * X[:, order] + 3), "auto")
    assert not standardises(moments(factor * (X / [1, 1, 1, 1, 1, 20])[:, order]), "auto")


def test_a_word_is_taken_at_its_word():
    X = related() * [1, 1, 1, 1, 1, 1000]
    assert standardises(moments(X), "standard")
    assert standardises(moments(related()), "standard")
    assert not standardises(moments(X), "center")
    assert not standardises(moments(X), None)
