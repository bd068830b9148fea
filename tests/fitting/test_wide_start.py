"""Fits to wide rows set out from the plane of the covariance, which they never make."""

import logging
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import holed
from helpers.lazy import counting
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from dask_igtm import IGTM, IGTMSearch, saturation
from dask_igtm.solvers import leading_axes, wide_spectrum
from dask_igtm.statistics import moments as moments_module

N, D = 500, 60


def rows_of(kind, n_rows=N, n_columns=D, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_rows, 5)) * [3, 2, 1.4, 1, 0.7] @ rng.normal(size=(5, n_columns))
    noise = rng.normal(size=(n_rows, n_columns))
    return {
        "bits": (0.3 * hidden + 0.7 * noise > 1.0).astype(float),
        "counts": rng.poisson(np.exp(0.2 * hidden - 1.0)).astype(float),
        "normal": hidden + noise + 1.0,
    }[kind]


BITS = rows_of("bits")


@pytest.fixture
def narrow(monkeypatch):
    """Return what takes rows of the tests for narrow ones; before, they are wide."""

    def narrow_from(n_columns):
        monkeypatch.setattr(wide_spectrum, "WIDE", n_columns)
        monkeypatch.setattr(wide_spectrum, "WIDE_FOR_AXES", n_columns)

    narrow_from(32)
    return lambda: narrow_from(2**30)


def igtm(**parameters):
    given = {"k": 6, "m": 3, "niter": 12, "tol": 0, "solver": "em", "scale": "center", "regul": 0.01}
    return IGTM(**given | parameters)


def assert_same_fit(one, other, within=1e-6):
    """Hold objectives against each other, and maps, which move a thousand times as far as starts."""
    assert_allclose(one.history_, other.history_, rtol=within, atol=within)
    assert one.log_likelihood_ == pytest.approx(other.log_likelihood_, rel=within)
    size = np.abs(other.centers_ - other.centers_.mean(axis=0)).max()
    assert_allclose(one.centers_, other.centers_, atol=max(1e-5, within) * size)
    assert_allclose(one.scale_, other.scale_, rtol=1e-9)


@pytest.mark.parametrize("kind", ["bits", "counts", "normal"])
@pytest.mark.parametrize("scale", [None, "center", "standard"])
@pytest.mark.parametrize("n_components", [None, 4, 0.5])
def test_fits_are_those_of_the_covariance(narrow, kind, scale, n_components):
    X = rows_of(kind)
    settings = {"scale": scale, "n_components": n_components}
    fits = [igtm(**settings).fit(given) for given in (X, sparse.csr_array(X), X.astype(np.float32))]
    narrow()
    expected = igtm(**settings).fit(X)
    for fit in fits[: 3 if kind != "normal" else 2]:  # float32 has all bits and counts
        assert_same_fit(fit, expected)
        assert fit.n_passes_ >= expected.n_passes_ == 13
    assert_same_fit(igtm(**settings).fit(sparse.csr_array(X)), expected)


@pytest.mark.parametrize("regul", ["auto", 0.1])
@pytest.mark.parametrize("solver", ["accelerated", "sampled"])
def test_solvers_that_draw_rows_set_out_from_there_too(narrow, regul, solver):
    if regul == "auto" and solver == "sampled":
        return
    X = rows_of("normal", 3000)
    one = igtm(solver=solver, regul=regul, niter=10).fit(X)
    narrow()
    assert_same_fit(one, igtm(solver=solver, regul=regul, niter=10).fit(X), within=1e-5)


@pytest.mark.parametrize("scale", ["center", "standard"])
def test_weights_are_repeated_rows(narrow, scale):
    weight = np.random.default_rng(1).integers(0, 4, N)
    one = igtm(scale=scale).fit(BITS, sample_weight=weight)
    assert_same_fit(one, igtm(scale=scale).fit(np.repeat(BITS, weight, axis=0)), within=1e-8)
    assert_same_fit(igtm(scale=scale).fit(sparse.csr_array(BITS), sample_weight=weight), one, within=1e-8)


@pytest.mark.parametrize("as_block", [np.asarray, sparse.csr_array])
def test_chunks_change_nothing_but_rounding(narrow, as_block):
    whole = igtm(niter=0).fit(BITS)
    for chunk in (500, 130, 7):
        lazy = da.from_array(BITS, chunks=(chunk, -1)).map_blocks(as_block)
        assert_allclose(igtm(niter=0).fit(lazy).centers_, whole.centers_, atol=1e-9)


def test_bits_are_the_same_each_time_and_on_every_scheduler(narrow):
    lazy = da.from_array(BITS, chunks=(90, -1))
    one = igtm().fit(lazy)
    with_threads = igtm().fit(lazy)
    assert_array_equal(one.centers_, with_threads.centers_)
    with dask.config.set(scheduler="synchronous"):
        assert_array_equal(igtm().fit(lazy).centers_, one.centers_)


def test_scales_far_apart(narrow):
    units = 10.0 ** np.linspace(-8, 8, D)
    X = rows_of("normal") + 3.0
    one, other = igtm(scale="standard").fit(X), igtm(scale="standard").fit(X * units)
    assert_allclose(other.scale_, one.scale_ * units, rtol=1e-9)
    assert_allclose(other.transform(X * units), one.transform(X), atol=1e-6)
    sparse_rows = sparse.csr_array(X * units)
    assert_allclose(igtm(scale="standard").fit(sparse_rows).transform(X * units), one.transform(X), atol=1e-6)


@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("scale", ["center", "standard"])
@pytest.mark.parametrize("offset", [1.0, 1e6, 1e9])
def test_constant_columns_far_off_add_nothing(narrow, as_given, scale, offset):
    X = np.column_stack([BITS, np.full(N, offset / 3), np.full(N, -offset)])
    one = igtm(scale=scale, niter=0).fit(as_given(X))
    narrow()
    other = igtm(scale=scale, niter=0).fit(X)
    assert_allclose(one.scale_, other.scale_, rtol=1e-9)
    assert_allclose(one.centers_, other.centers_, atol=1e-8 * max(1.0, offset * 1e-6))
    assert one.beta_inv_ == pytest.approx(other.beta_inv_, rel=1e-9)


@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array])
def test_columns_that_vary_far_off_lose_nothing(narrow, as_given):
    X = np.column_stack([BITS, 1e7 + rows_of("normal")[:, :2]])
    one = igtm(scale="standard", niter=0).fit(as_given(X))
    narrow()
    other = igtm(scale="standard", niter=0).fit(X)
    assert_allclose(
        (one.centers_ - X.mean(0)) / one.scale_, (other.centers_ - X.mean(0)) / other.scale_, atol=1e-6
    )


def test_fewer_rows_than_columns(narrow):
    for n_rows in (2, 3, 9):
        narrow_map, X = igtm(niter=3), rows_of("normal", n_rows)
        one = igtm(niter=3).fit(X)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(wide_spectrum, "WIDE", 2**30)
            assert_same_fit(one, narrow_map.fit(X))


@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("n_components", [None, 3, 0.5])
def test_rows_that_say_nothing_are_refused(narrow, as_given, n_components):
    for rows in (np.full((50, D), 0.1), np.zeros((50, D))):
        with pytest.raises(ValueError, match="All rows of X are equal"):
            igtm(n_components=n_components).fit(as_given(rows))
    with pytest.raises(ValueError, match=r"1 sample.*at least two"):
        igtm(n_components=n_components).fit(as_given(BITS[:1]))


def test_values_that_are_no_numbers_are_refused(narrow):
    rows = BITS.copy()
    rows[3, 5] = np.nan
    for given in (rows, sparse.csr_array(rows)):
        with pytest.raises(ValueError, match="NaN or inf: 1 in column 5"):
            igtm().fit(given)
    with pytest.raises(ValueError, match=r"too large.*column 5"):
        igtm().fit(np.where(np.isnan(rows), 1e200, rows))


def test_more_axes_than_are_found_are_refused_before_a_pass(narrow, monkeypatch):
    monkeypatch.setattr(leading_axes, "MOST_AXES", 40)
    X, reads = counting(BITS)
    with pytest.raises(ValueError, match="n_components=50 is more than the 40 axes"):
        igtm(n_components=50).fit(X)
    assert len(reads) == 0
    with pytest.raises(ValueError, match=r"n_components=0.99 .* 40 axes explain at most 0\.\d+"):
        igtm(n_components=0.99).fit(BITS)


def test_axes_beyond_the_columns_that_vary(narrow):
    X = np.full((N, D), 2.0)
    X[:, [7, 30]] = rows_of("normal", n_columns=2)
    wide = igtm(n_components=5).fit(X)
    narrow()
    other = igtm(n_components=5).fit(X)
    assert wide.model_.affine.axes.shape == (D, 5)
    assert wide.log_likelihood_ == pytest.approx(other.log_likelihood_, rel=1e-6)
    axes = wide.model_.affine.axes
    assert_allclose(axes.T @ axes, np.eye(5), atol=1e-9)


# Gaps


@pytest.mark.parametrize("missing", ["mean", "median", "constant"])
@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array])
def test_filled_gaps(narrow, missing, as_given):
    X = holed(rows_of("counts"), 0.05)
    one = igtm(missing=missing).fit(as_given(X))
    narrow()
    assert_same_fit(one, igtm(missing=missing).fit(X))


@pytest.mark.parametrize("scale", ["center", "standard"])
def test_marginal_gaps_are_filled_for_the_start_alone(narrow, scale, caplog):
    X = rows_of("normal", 900)
    gaps = holed(X, 0.2)
    gaps[:3] = np.nan
    with caplog.at_level(logging.INFO, "dask_igtm"):
        one = igtm(missing="marginalize", scale=scale, niter=200).fit(gaps)
    assert "filled with means until the map has its first place" in caplog.text
    assert one.model_.gaps.strategy == "marginalize"
    assert one.model_.gaps.fill is None
    assert one.n_samples_seen_ == 897
    narrow()
    other = igtm(missing="marginalize", scale=scale, niter=200).fit(gaps)
    assert_allclose(one.scale_, other.scale_, rtol=1e-9)  # of the entries, and not of what fills the gaps
    assert one.log_likelihood_ == pytest.approx(other.log_likelihood_, rel=5e-3)


def test_a_column_of_gaps_is_refused(narrow):
    X = BITS.copy()
    X[:, 4] = np.nan
    with pytest.raises(ValueError, match="no value in column 4"):
        igtm(missing="marginalize").fit(X)


# Passes


def test_passes_are_counted_and_told(narrow, caplog):
    X, reads = counting(BITS[:100])
    with caplog.at_level(logging.INFO, "dask_igtm"):
        one = igtm(persist=False).fit(X)
    assert len(reads) == 1 + one.n_passes_
    start = int(one.n_passes_) - 13
    assert f"3 principal axes of {D} columns, after {start} passes more, are known to" in caplog.text


def test_a_plan_knows_the_passes_of_the_start(narrow):
    X = da.from_array(BITS, chunks=(100, -1))
    wide = igtm(missing="marginalize").estimate(X), igtm().estimate(X)
    narrow()
    plan = igtm().estimate(X)
    assert wide[1].n_passes - plan.n_passes == leading_axes.MOST_PASSES
    assert wide[1].n_passes_typical - plan.n_passes_typical == leading_axes.TYPICAL_PASSES - 1
    assert wide[0].n_passes == wide[1].n_passes + 1


def test_neither_a_fit_nor_a_plan_makes_a_covariance(monkeypatch):
    n_columns = wide_spectrum.WIDE + 700

    def refused(*_args, **_kwargs):
        raise AssertionError

    monkeypatch.setattr(moments_module.Moments, "__init__", refused)
    X = rows_of("bits", 300, n_columns).astype(np.float32)
    tracemalloc.start()
    igtm(niter=1).fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n_columns**2
    igtm().estimate(X[:50])


def test_rows_that_change_between_passes_are_refused(narrow):
    X, reads = counting(BITS[:100])
    X = X.map_blocks(lambda block: np.where(len(reads) > 1, np.nan, block), meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match="X has changed since the first pass"):
        igtm(persist=False).fit(X)


# Other ways to a start


@pytest.mark.parametrize("n_components", [None, 4])
def test_a_fit_goes_on_from_another(narrow, n_components):
    whole = igtm(niter=12, n_components=n_components).fit(BITS)
    first = igtm(niter=7, n_components=n_components).fit(BITS)
    second = igtm(niter=5, n_components=n_components).fit(BITS, init=first)
    assert_allclose(second.centers_, whole.centers_, atol=1e-9)
    if n_components:
        assert second.n_passes_ == 7  # one product finds the spectrum on axes that are known
    else:  # how large a map grows is known sooner than axes
        assert 6 < second.n_passes_ < whole.n_passes_ - 7


@pytest.mark.parametrize("n_components", [None, 4])
def test_a_checkpoint_goes_on_to_the_same_bits(narrow, tmp_path, n_components):
    path, lazy = tmp_path / "fit.npz", da.from_array(BITS, chunks=(90, -1))
    whole = igtm(n_components=n_components).fit(lazy)
    igtm(niter=5, n_components=n_components).fit(lazy, checkpoint=path)
    rest = igtm(n_components=n_components).fit(lazy, checkpoint=path)
    assert_array_equal(rest.centers_, whole.centers_)
    assert rest.n_passes_ == whole.n_passes_
    with pytest.raises(ValueError, match=r"moments was .*column 21 was"):
        igtm(n_components=n_components).fit(lazy + 1e-6 * np.eye(N, D), checkpoint=path)


@pytest.mark.parametrize("missing", ["error", "marginalize"])
@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array])
def test_maps_of_several_parts_share_the_passes(narrow, missing, as_given):
    X = rows_of("counts")
    if missing == "marginalize":
        X = holed(X, 0.05)
    given = as_given(X)
    grid = {"regul": [0.1, 1.0]}
    one = IGTMSearch(igtm(missing=missing, niter=5), grid, cv=3).fit(given)
    growing = saturation(igtm(missing=missing, niter=5), given, shares=(0.5, 1.0))
    narrow()
    other = IGTMSearch(igtm(missing=missing, niter=5), grid, cv=3).fit(X)
    within = 1e-6 if missing == "error" else 0.02
    for score in ("mean_test_score", "split0_test_score"):
        assert_allclose(one.cv_results_[score], other.cv_results_[score], rtol=within)
    assert 3 <= one.n_passes_ - other.n_passes_ <= leading_axes.MOST_PASSES
    assert_allclose(
        growing.held_out,
        saturation(igtm(missing=missing, niter=5), X, shares=(0.5, 1.0)).held_out,
        rtol=within,
    )


def test_a_stream_sets_out_from_there_too(narrow):
    one = igtm().partial_fit(BITS[:250]).partial_fit(BITS[250:])
    narrow()
    assert_allclose(igtm().partial_fit(BITS[:250]).partial_fit(BITS[250:]).centers_, one.centers_, atol=1e-7)


def test_rows_from_zarr(narrow, tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", shape=BITS.shape, chunks=(100, D), dtype=np.float32)
    array[:] = BITS
    assert_same_fit(igtm().fit(str(tmp_path / "x.zarr")), igtm().fit(BITS.astype(np.float32)))
