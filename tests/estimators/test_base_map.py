"""The domain of a map, and rows drawn from it."""

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, load
from dask_igtm.data import npz_io
from dask_igtm.fitting import fit

X = correlated(2000, 5)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 5, "scale": "standard", **parameters})


@pytest.fixture(scope="module")
def fitted():
    return igtm().fit(X)


# Domain


@pytest.fixture(scope="module", params=[2, 60])
def many(request):
    rows = np.random.default_rng(1).normal(size=(20_000, request.param))
    return rows, igtm().fit(da.from_array(rows, chunks=(3000, -1)))


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.9, 0.95, 0.99, 1.0])
def test_a_share_of_the_rows_of_the_fit_lies_inside(many, quantile):
    rows, model = many
    inside, scores = model.applicability(rows, quantile), model.score_samples(rows)
    assert abs(inside.mean() - quantile) < 1e-3
    least = np.quantile(scores, 1 - quantile)
    sure = abs(scores - least) > 0.01 * abs(scores - scores.max()).mean()
    assert_array_equal(inside[sure], (scores >= least)[sure])
    assert_allclose(model.applicability(rows, quantile, reference=rows), inside)
    assert not model.applicability(rows + 50, quantile).any()


def test_few_rows_and_equal_rows_are_counted_exactly():
    rows = np.repeat(X[:20], 5, axis=0)
    model = igtm(k=3, m=2).fit(rows)
    for quantile in (0.1, 0.5, 0.9, 1.0):
        inside = model.applicability(rows, quantile, reference=rows)
        assert inside.sum() == 5 * np.ceil(20 * quantile)
        assert model.applicability(rows, 1.0).all()


def test_a_row_that_weighs_more_counts_more():
    weight = np.where(np.arange(len(X)) < 1000, 9.0, 1.0)
    model = igtm(niter=3).fit(X, sample_weight=weight)
    inside = model.applicability(X, 0.8)
    assert abs(weight @ inside / weight.sum() - 0.8) < 2e-3
    repeated = np.repeat(X, weight.astype(int), axis=0)
    assert (model.applicability(X, 0.8, reference=repeated) == inside).mean() > 0.999


def test_reference_makes_the_domain(fitted):
    lazy = da.from_array(X, chunks=(300, 5))
    inside = fitted.applicability(lazy, 0.9, reference=X[:500])
    assert isinstance(inside, da.Array)
    assert abs(inside.compute()[:500].mean() - 0.9) < 3e-3
    near = X[np.argsort(fitted.describe(X, ("deviance",))["deviance"])[:200]]
    assert fitted.applicability(X, reference=near).mean() < 0.11


def test_rows_with_gaps_are_compared_with_their_own_bound():
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.4, np.nan, X)
    holes[:100] = X[:100]
    model = igtm(missing="marginalize").fit(holes)
    holes[0] = np.nan
    far = np.full_like(X[:1], np.nan)
    far[0, 2] = 1e3
    inside = model.applicability(holes, 0.9)
    assert inside[0]
    assert abs(inside.mean() - 0.9) < 0.02
    assert not model.applicability(far).any()


def test_the_domain_is_saved(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    back = load(tmp_path / "model.npz")
    assert back.deviance_.tobytes() == fitted.deviance_.tobytes()
    assert_array_equal(back.applicability(X), fitted.applicability(X))


def test_a_file_of_an_older_release_has_no_domain(fitted, tmp_path):
    fitted.save(tmp_path / "model.npz")
    header, arrays = npz_io.read(tmp_path / "model.npz", npz_io.MODEL)
    del arrays["deviance"]
    npz_io.write(tmp_path / "old.npz", npz_io.MODEL, header, arrays)
    back = load(tmp_path / "old.npz")
    with pytest.raises(ValueError, match=r"older release; give those rows.* as reference="):
        back.applicability(X)
    assert_array_equal(back.applicability(X, reference=X), fitted.applicability(X))
    back.save(tmp_path / "again.npz")
    assert load(tmp_path / "again.npz").deviance_ is None


def test_weights_of_a_reference_count_its_rows(fitted):
    weight = np.arange(len(X)) % 3
    repeated = np.repeat(X, weight, axis=0)
    expected = fitted.applicability(X, 0.8, reference=repeated)
    assert_array_equal(fitted.applicability(X, 0.8, X, weight), expected)
    lazy = da.from_array(X, chunks=(300, 5))
    assert_array_equal(fitted.applicability(X, 0.8, lazy, da.from_array(weight, chunks=500)), expected)
    assert (fitted.applicability(X, 0.8, reference=X) != expected).any()
    with pytest.raises(ValueError, match="reference_weight is given without a reference"):
        fitted.applicability(X, reference_weight=weight)


def test_an_interrupted_fit_has_no_domain(monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    model = igtm()
    with monkeypatch.context() as patch, dask.config.set(scheduler="synchronous"):
        patch.setattr(fit, "likelihood_of", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X)
    with pytest.raises(ValueError, match=r"interrupted.*reference="):
        model.applicability(X)
    assert model.applicability(X, 1.0, reference=X).all()


@pytest.mark.parametrize("quantile", [0, -0.1, 1.01, np.nan])
def test_quantiles_are_checked(fitted, quantile):
    with pytest.raises(ValueError, match=r"quantile=.*share above 0 and at most 1"):
        fitted.applicability(X, quantile)


# Samples


@pytest.mark.parametrize("settings", [{}, {"scale": None}, {"n_components": 3}])
def test_samples_have_the_moments_of_the_mixture(settings):
    model = igtm(**settings).fit(X)
    rows = model.sample(200_000)
    affine = model.model_.affine
    axes = np.eye(5) if affine.axes is None else affine.axes.T
    noise = model.beta_inv_ * (axes * affine.scale).T @ (axes * affine.scale)
    covariance = np.cov(model.centers_.T, ddof=0) + noise
    spread = np.sqrt(np.diag(covariance))
    assert_allclose(rows.mean(axis=0) / spread, model.centers_.mean(axis=0) / spread, atol=0.01)
    assert_allclose(
        np.cov(rows.T) / np.outer(spread, spread), covariance / np.outer(spread, spread), atol=0.02
    )


def test_samples_are_likely_under_the_model_alone(fitted):
    rows = fitted.sample(20_000)
    assert fitted.score(rows) > fitted.score(rows + 0.5 * rows.std(axis=0))
    other = igtm().fit(X[:, ::-1])
    assert fitted.score(rows) > other.score(rows)
    assert_array_equal(rows, fitted.sample(20_000))


def test_samples_are_seeded(fitted):
    assert fitted.sample().shape == (1, 5)
    one, other = (IGTM(k=4, random_state=seed, niter=1).fit(X) for seed in (1, 2))
    assert not np.array_equal(one.sample(3), other.sample(3))
    drawing = igtm(random_state=np.random.RandomState(0)).fit(X)
    assert not np.array_equal(drawing.sample(3), drawing.sample(3))
    with pytest.raises(ValueError, match="n_samples=0"):
        fitted.sample(0)
