"""How good a map is: against closed forms, scikit-learn, and any way to cut the rows."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from helpers.lazy import counting
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.manifold import trustworthiness
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM, IGTMRegressor, quality
from dask_igtm.projection import quality as figures

X = correlated(1500, 5)


@pytest.fixture(scope="module")
def fitted():
    return IGTM(k=6, m=3, niter=5, scale="standard").fit(X)


@pytest.fixture
def samples(monkeypatch):
    """The rows that were sampled, of each call."""
    seen, summary = [], figures.quality_of

    def watched(fitted, g, log_likelihood, sample, n_neighbors):
        seen.append(sample)
        return summary(fitted, g, log_likelihood, sample, n_neighbors)

    monkeypatch.setattr(figures, "quality_of", watched)
    return seen


def test_figures_of_all_rows(fitted):
    found = quality(fitted, X, n_neighbors=7)
    R = fitted.describe(X, ("responsibilities",))["responsibilities"]
    Z = StandardScaler().fit_transform(X)
    assert found.n_samples == found.n_sample == 1500
    assert_allclose(found.log_likelihood, fitted.score(X))
    assert_allclose(found.bic, (10 * 5 + 1) * np.log(1500) - 2 * fitted.score_samples(X).sum())
    assert found.dead_nodes == np.mean(R.sum(axis=0) < 0.5)
    assert_allclose(found.trustworthiness, trustworthiness(Z, R @ fitted.nodes_, n_neighbors=7))
    assert_allclose(found.continuity, trustworthiness(R @ fitted.nodes_, Z, n_neighbors=7))
    assert 0.8 < found.trustworthiness < 1


def test_a_node_is_dead_below_half_a_row(fitted):
    near = np.repeat(X[:1], 30, axis=0) + 1e-3 * X[:30]
    assert quality(fitted, near).dead_nodes > 0.5 > quality(fitted, X).dead_nodes


@pytest.mark.parametrize("chunks", [(1500, 5), (400, 5), ((1, 0, 700, 799), 5)])
def test_the_sample_does_not_depend_on_chunks(fitted, samples, chunks):
    one = quality(fitted, da.from_array(X, chunks=chunks), n_sample=200, random_state=3)
    other = quality(fitted, X, n_sample=200, random_state=3)
    assert_array_equal(*samples)
    assert_allclose(one.trustworthiness, other.trustworthiness)
    assert_allclose(one.bic, other.bic)
    assert one.n_sample == 200
    places = np.flatnonzero((X[:, None] == samples[0][None]).all(axis=2).any(axis=1))
    assert len(places) == 200
    assert np.histogram(places, bins=5, range=(0, 1500))[0].min() > 20  # from everywhere
    quality(fitted, X, n_sample=200, random_state=4)
    assert not np.array_equal(samples[-1], samples[0])


def test_one_pass_and_nothing_else_in_memory(fitted, samples):
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(100, 5)).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    quality(fitted, lazy, n_sample=50)
    assert reads == [100] * 15
    assert samples[0].shape == (50, 5)


@pytest.mark.parametrize("missing", ["marginalize", "median"])
def test_rows_with_gaps(missing):
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    holes[:3] = np.nan
    model = IGTM(k=6, m=3, niter=5, scale="standard", missing=missing).fit(holes)
    found = quality(model, holes)
    assert found.n_samples == (1497 if missing == "marginalize" else 1500)
    assert_allclose(found.log_likelihood, model.score(holes))
    assert 0.6 < found.trustworthiness < 1


def test_principal_axes_count_their_own_parameters():
    model = IGTM(k=6, m=3, niter=5, n_components=2).fit(X)
    found = quality(model, X)
    assert_allclose(found.bic, (10 * 2 + 1) * np.log(1500) - 2 * 1500 * model.score(X))


def test_sparse_rows(fitted):
    sparse = np.where(X > 1, X, 0)
    one, other = quality(fitted, csr_array(sparse), n_sample=300), quality(fitted, sparse, n_sample=1500)
    assert_allclose(one.bic, other.bic)
    assert one.n_sample == 300


def test_the_sample_is_that_of_the_seed_of_the_map(fitted, samples):
    for random_state in (None, fitted.random_state, 5):
        quality(fitted, X, n_sample=100, random_state=random_state)
    assert_array_equal(samples[0], samples[1])
    assert (samples[0] != samples[2]).any()


def test_a_predictor_has_the_quality_of_its_map(fitted):
    predictor = IGTMRegressor(k=6, m=3, niter=5, scale="standard").fit(X, X[:, 0])
    assert quality(predictor, X, random_state=0) == quality(fitted, X, random_state=0)


# Weights are frequencies

WEIGHT = np.arange(1500) % 4


def test_figures_of_weighted_rows_are_those_of_repeated_ones(fitted):
    one = quality(fitted, X, WEIGHT, n_sample=100)
    other = quality(fitted, np.repeat(X, WEIGHT, axis=0), n_sample=100)
    assert one.n_samples == other.n_samples == WEIGHT.sum()
    assert isinstance(one.n_samples, int)
    assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-12)
    assert_allclose(one.bic, other.bic, rtol=1e-12)
    assert one.dead_nodes == other.dead_nodes


def test_dead_nodes_are_those_of_weighted_rows(fitted):
    rare = quality(fitted, X, np.full(1500, 1e-3))
    assert rare.n_samples == pytest.approx(1.5)
    assert "1.5" in str(rare).splitlines()[0]
    assert rare.dead_nodes > quality(fitted, X, np.full(1500, 1e3)).dead_nodes
    assert_allclose(rare.bic, (10 * 5 + 1) * np.log(1.5) - 2 * 1.5 * fitted.score(X))


@pytest.mark.parametrize("chunks", [(1500, 5), (400, 5), ((1, 0, 700, 799), 5)])
def test_a_weighted_sample_does_not_depend_on_chunks(fitted, samples, chunks):
    lazy = da.from_array(X, chunks=chunks)
    one = quality(fitted, lazy, da.from_array(WEIGHT, chunks=333), n_sample=200, random_state=3)
    other = quality(fitted, X, WEIGHT, n_sample=200, random_state=3)
    assert_array_equal(*samples)
    assert_allclose(one.trustworthiness, other.trustworthiness)
    assert len(np.unique(samples[0], axis=0)) == 200


def test_rows_without_weight_are_no_neighbours(fitted, samples):
    found = quality(fitted, X, WEIGHT, n_sample=1200)
    assert found.n_sample == (WEIGHT > 0).sum() == 1125
    assert_array_equal(samples[0], X[WEIGHT > 0])
    means = fitted.transform(X[WEIGHT > 0])
    Z = StandardScaler().fit(X).transform(X[WEIGHT > 0])
    assert_allclose(found.trustworthiness, trustworthiness(Z, means))
    with pytest.raises(ValueError, match="n_neighbors=5 of 9 rows"):
        quality(fitted, X, np.arange(1500) < 9)


def test_rows_are_drawn_as_often_as_they_weigh(fitted, samples):
    weight = np.where(np.arange(1500) < 500, 9.0, 1.0)
    for random_state in range(40):
        quality(fitted, X, weight, n_sample=30, random_state=random_state)
    heavy = {row.tobytes() for row in X[:500]}
    share = np.mean([row.tobytes() in heavy for sample in samples for row in sample])
    assert abs(share - 4500 / 5500) < 0.05


def test_weights_of_lazy_rows_are_read_before_them_and_rows_once(fitted):
    lazy, computed = counting(X[:300])
    quality(fitted, lazy, WEIGHT[:300], n_sample=50)
    assert sorted(computed) == [0, 1, 2]


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-np.ones(1500), "negative or non-finite"),
        (np.zeros(1500), "n_neighbors=5 of 0 rows"),
        (np.ones(3), "give one weight a row"),
    ],
)
def test_weights_that_are_none_are_refused(fitted, weight, message):
    with pytest.raises(ValueError, match=message):
        quality(fitted, X, weight)


def test_rows_with_weight_and_no_entry_are_refused():
    model = IGTM(k=3, m=2, niter=2, solver="em", scale="standard", missing="marginalize").fit(X)
    with pytest.raises(ValueError, match="an entry and a weight"):
        quality(model, np.full((20, 5), np.nan))


def test_prints_as_a_table(fitted):
    lines = str(quality(fitted, X, n_sample=400, random_state=0)).splitlines()
    assert len(lines) == 6
    assert lines[0].split() == ["rows", "1500"]
    assert lines[4].endswith("5 neighbours, 400 rows")


def test_what_cannot_be_assessed_is_refused(fitted):
    with pytest.raises(NotFittedError):
        quality(IGTM(), X)
    with pytest.raises(ValueError, match="n_neighbors=5 of 10 rows"):
        quality(fitted, X[:10])
    with pytest.raises(ValueError, match="n_neighbors=0"):
        quality(fitted, X, n_neighbors=0)
    with pytest.raises(ValueError, match="n_sample=0"):
        quality(fitted, X, n_sample=0)
    lazy = da.from_array(X, chunks=(300, 5))
    with pytest.raises(ValueError, match=r"A sample of rows needs to know .*compute_chunk_sizes"):
        quality(fitted, lazy[lazy[:, 0] > 0])
    bad = X.copy()
    bad[1234, 2] = np.nan
    with pytest.raises(ValueError, match="1 in column 2"):
        quality(fitted, bad)


def test_the_name_is_a_function():
    import dask_igtm.projection.quality  # noqa: PLC0415

    assert callable(dask_igtm.quality)
