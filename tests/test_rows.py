"""What a map says of single rows: outputs from one pass, its domain, and rows drawn from it."""

from types import SimpleNamespace

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax
from scipy.stats import entropy

from dask_igtm import IGTM, load, runIGTM
from dask_igtm.fitting import fit
from dask_igtm.posterior import row_outputs
from dask_igtm.posterior.row_outputs import Answers
from dask_igtm.statistics.log_histogram import SHARES, Histogram

X = correlated(2000, 5)
SHARED = ("means", "node", "entropy", "log_likelihood")
ALL = (
    *("means", "modes", "node", "top_nodes", "top_responsibilities", "responsibilities", "relative"),
    *("entropy", "log_likelihood", "deviance"),
)
INTEGER = {"node", "top_nodes"}


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 5, "scale": "standard", **parameters})


@pytest.fixture(scope="module")
def fitted():
    return igtm().fit(X)


def computing(*_args, **_kwargs):
    raise AssertionError("something was computed")


def oracle(model, rows, top):
    """All outputs, densely."""
    squares = (((rows[:, None] - model.centers_) ** 2) / model.noise_variance_).sum(axis=2)
    logits = -0.5 * squares
    R = softmax(logits, axis=1)
    order = np.argsort(-R, axis=1, kind="stable")[:, :top]
    log_volume = 0.5 * np.log(2 * np.pi * model.noise_variance_).sum()
    deviance = np.log(R.shape[1]) - logsumexp(logits, axis=1)
    return {
        "means": R @ model.nodes_,
        "modes": model.nodes_[R.argmax(axis=1)],
        "node": R.argmax(axis=1),
        "top_nodes": order,
        "top_responsibilities": np.take_along_axis(R, order, axis=1),
        "responsibilities": R,
        "relative": R / R.max(axis=1, keepdims=True),
        "entropy": entropy(R, axis=1),
        "log_likelihood": -deviance - log_volume,
        "deviance": deviance,
    }


# Outputs


@pytest.mark.parametrize("top", [1, 5, 36])
def test_outputs_are_those_of_a_dense_posterior(fitted, top):
    described = fitted.describe(X, ALL, top=top)
    expected = oracle(fitted, X, top)
    assert tuple(described) == ALL
    for name, values in described.items():
        assert isinstance(values, np.ndarray)
        assert values.dtype == (np.int32 if name in INTEGER else np.float64)
        assert values.shape == expected[name].shape
        if name != "top_nodes":  # which rounding may order otherwise where responsibilities vanish
            assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
    R, nodes = described["responsibilities"], described["top_nodes"]
    assert_array_equal(np.take_along_axis(R, nodes, axis=1), described["top_responsibilities"])
    assert all(len(set(row)) == top for row in nodes.tolist())


FEW_VALUES = st.integers(1, 12).flatmap(
    lambda k: arrays(float, (4, k), elements=st.integers(0, 3).map(float))
)


@settings(deadline=None, max_examples=60)
@given(FEW_VALUES, st.integers(1, 12))
def test_ties_go_to_the_node_with_the_lower_index(responsibilities, top):
    top = min(top, responsibilities.shape[1])
    before = responsibilities.copy()
    tile = SimpleNamespace(responsibilities=responsibilities, log_likelihood=0, deviance=0, entropy=0)
    answers = Answers(tile, np.zeros((responsibilities.shape[1], 2)), top)
    order = np.argsort(-responsibilities, axis=1, kind="stable")[:, :top]
    assert_array_equal(answers.top_nodes, order)
    assert_array_equal(answers.node, order[:, 0])
    assert_array_equal(answers.top_responsibilities, np.take_along_axis(before, order, axis=1))
    assert_array_equal(responsibilities, before)


def test_lazy_outputs_are_lazy_and_share_one_pass(fitted):
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = da.from_array(X, chunks=(250, 5)).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    with dask.config.set(scheduler=computing):
        described = fitted.describe(watched, ALL)
        inside = fitted.applicability(watched)
    expected = fitted.describe(X, ALL)
    for name, values in described.items():
        assert isinstance(values, da.Array)
        assert (values.shape, values.dtype) == (expected[name].shape, expected[name].dtype)
    (computed,) = dask.compute(described)
    assert reads == [250] * 8
    for name, values in computed.items():
        assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12)
        assert values.dtype == described[name].dtype
    assert inside.dtype == bool
    assert_array_equal(inside.compute(), fitted.applicability(X))


def test_an_e_step_a_block_whatever_is_asked(fitted, monkeypatch):
    calls, posteriors = [], row_outputs.posteriors

    def counted(rows, *args):
        calls.append(len(rows))
        return posteriors(rows, *args)

    monkeypatch.setattr(row_outputs, "posteriors", counted)
    lazy = da.from_array(X, chunks=(500, 5))
    dask.compute(fitted.describe(lazy, ALL), scheduler="synchronous")
    dask.compute(fitted.set_params(model="complete").transform(lazy), scheduler="synchronous")
    fitted.set_params(model="means")
    fitted.describe(X, ALL)
    assert calls == [500] * 8 + [2000]


def test_single_outputs_can_be_computed_alone_and_cut(fitted):
    described = fitted.describe(da.from_array(X, chunks=(300, 5)), ALL)
    expected = fitted.describe(X, ALL)
    for name, values in described.items():
        assert_allclose(values[290:310].compute(), expected[name][290:310], rtol=1e-9, atol=1e-12)


def test_rows_of_unknown_number(fitted):
    lazy = da.from_array(X, chunks=(300, 5))
    described = dask.compute(fitted.describe(lazy[lazy[:, 0] > 1], ALL))[0]
    expected = fitted.describe(X[X[:, 0] > 1], ALL)
    for name, values in described.items():
        assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12)


def test_transform_and_score_samples_are_outputs(fitted):
    described = fitted.describe(X, ("means", "log_likelihood"))
    assert_array_equal(described["means"], fitted.transform(X))
    assert_array_equal(described["log_likelihood"], fitted.score_samples(X))


def test_runigtm_projects_in_one_pass():
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = da.from_array(X, chunks=(500, 5)).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    result = runIGTM(watched, k=4, m=2, niter=2)
    reads.clear()
    means, modes = dask.compute(result.matMeans, result.matModes)
    assert reads == [500] * 4
    assert means.shape == modes.shape == (len(X), 2)


@pytest.mark.parametrize("missing", ["marginalize", "median"])
def test_rows_with_gaps(missing):
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X)
    holes[7] = np.nan
    described = igtm(missing=missing).fit(holes).describe(holes, ALL, top=3)
    R = described["responsibilities"]
    assert_allclose(R.sum(axis=1), 1)
    assert_allclose(described["entropy"], entropy(R, axis=1), atol=1e-9)
    assert (described["deviance"] >= 0).all()
    if missing == "marginalize":
        assert_allclose(described["entropy"][7], np.log(36))
        assert_allclose([described["deviance"][7], described["log_likelihood"][7]], 0, atol=1e-9)


@pytest.mark.parametrize("far", [1e-3, 1.0, 1e3, 1e6])
def test_entropy_lies_between_0_and_that_of_all_nodes(fitted, far):
    for dtype in (np.float32, np.float64):
        values = fitted.describe((far * X).astype(dtype), ("entropy",))["entropy"]
        assert values.min() >= 0
        assert values.max() <= np.log(36) * (1 + 1e-6)


@pytest.mark.parametrize("outputs", [(), ("means", "means"), ("means", "complete"), "means"])
def test_outputs_are_checked(fitted, outputs):
    with pytest.raises(ValueError, match=r"outputs=.*'top_nodes'.*each once"):
        fitted.describe(X, outputs)


def test_top_is_checked(fitted, tmp_path):
    with pytest.raises(ValueError, match="top=37 is more than the 36 nodes"):
        fitted.describe(X, ("top_nodes",), top=37)
    with pytest.raises(ValueError, match="top=0; give a whole number >= 1"):
        fitted.project_to_zarr(X, tmp_path / "map.zarr", ("top_nodes",), top=0)
    assert igtm(k=2).fit(X).describe(X)["node"].max() <= 3  # top=5 was not asked for


# To Zarr


def test_projections_hold_outputs_of_all_kinds(fitted, tmp_path):
    lazy = da.from_array(X, chunks=(100, 5))
    group = fitted.project_to_zarr(lazy, tmp_path / "map.zarr", ALL, top=3)
    for name, values in fitted.describe(X, ALL, top=3).items():
        assert group[name].dtype == values.dtype
        assert_allclose(group[name][:], values, rtol=1e-9, atol=1e-12)
    assert group["node"].fill_value == -1
    assert np.isnan(group["entropy"].fill_value)


@pytest.mark.parametrize("output", ["node", "top_nodes", "top_responsibilities", "entropy"])
def test_a_projection_goes_on_where_its_last_output_was_not_written(fitted, tmp_path, output):
    lazy = da.from_array(X, chunks=(100, 5))
    path = tmp_path / "map.zarr"
    whole = fitted.project_to_zarr(lazy, path, ("means", output))[output][:]
    cut = zarr.open_group(path, mode="r+")[output]
    cut[500:800] = cut.fill_value
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = lazy.map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    assert_array_equal(fitted.project_to_zarr(watched, path, ("means", output))[output][:], whole)
    assert len(reads) == 4  # three that were missing, and one to compare


def test_another_top_is_another_projection(fitted, tmp_path):
    fitted.project_to_zarr(X, tmp_path / "map.zarr", ("top_nodes",), top=3)
    with pytest.raises(ValueError, match="another one: top was 3 and is 5"):
        fitted.project_to_zarr(X, tmp_path / "map.zarr", ("top_nodes",))
    fitted.project_to_zarr(X, tmp_path / "means.zarr", ("means",), top=3)
    fitted.project_to_zarr(X, tmp_path / "means.zarr", ("means",))  # of which top says nothing


def test_other_rows_are_told_apart_by_indices(fitted, tmp_path):
    fitted.project_to_zarr(X, tmp_path / "map.zarr", ("node",))
    with pytest.raises(ValueError, match=r"other node of rows .* projection of other data"):
        fitted.project_to_zarr(X[::-1].copy(), tmp_path / "map.zarr", ("node",))


# Histogram


POSITIVE = st.floats(0, 1e6, allow_subnormal=False)
VALUES = st.integers(1, 60).flatmap(lambda n: arrays(float, n, elements=POSITIVE))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 60).flatmap(lambda n: arrays(float, n, elements=POSITIVE)), st.integers(0, 60), st.data()
)
def test_a_histogram_adds_up(values, cut, data):
    weight = data.draw(arrays(float, len(values), elements=st.integers(1, 5).map(float)))
    whole = Histogram.of(values, weight)
    parts = Histogram.of(values[:cut], weight[:cut]) + Histogram.of(values[cut:], weight[cut:])
    for name in ("low", "high", "weight"):
        assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert (whole.low <= whole.high).all()
    assert whole.weight.sum() == weight.sum()
    quantiles = whole.quantiles(SHARES)
    exact = np.quantile(np.repeat(values, weight.astype(int)), SHARES, method="inverted_cdf")
    assert_allclose(quantiles, exact, rtol=0.006, atol=2.0**-9)
    assert (np.diff(quantiles) >= 0).all()
    assert quantiles[-1] == values.max()


def test_a_histogram_takes_any_number_and_no_weight():
    extremes = Histogram.of(np.array([0.0, 5e-324, 1.0, 1e308]), np.ones(4))
    assert_array_equal(extremes.quantiles(np.array([0.0, 1.0])), [0, 1e308])
    assert len(Histogram.of(np.ones(3), np.zeros(3)).weight) == 0


def test_the_histogram_of_many_rows_is_small():
    assert len(Histogram.of(np.random.default_rng(0).chisquare(10, 100_000), np.ones(100_000)).weight) < 1500


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
    with np.load(tmp_path / "model.npz") as members:
        np.savez(tmp_path / "old.npz", **{name: members[name] for name in members if name != "deviance"})
    back = load(tmp_path / "old.npz")
    with pytest.raises(ValueError, match=r"older release; give those rows.* as reference="):
        back.applicability(X)
    assert_array_equal(back.applicability(X, reference=X), fitted.applicability(X))
    back.save(tmp_path / "again.npz")
    assert load(tmp_path / "again.npz").deviance_ is None


def test_a_stream_has_no_domain(tmp_path):
    model = igtm().fit(X).partial_fit(X[:100])
    with pytest.raises(ValueError, match="reference="):
        model.applicability(X)
    model.save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").applicability(X, 1.0, reference=X).all()
    assert igtm().partial_fit(X).fit(X).applicability(X, 1.0).all()


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
