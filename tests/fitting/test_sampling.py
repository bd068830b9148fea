"""Fits that keep a sample of their first pass: how large it is, and that it depends on the rows alone."""

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, load
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.sampling import MOST_BYTES, draw_beside, draw_of
from dask_igtm.fitting.settings import Settings


def settings(solver="sampled", k=4):
    return Settings(k=k, m=3, s=0.3, regul=0.1, niter=50, tol=1e-4, scale="standard", solver=solver, seed=3)


def lazy(n_rows, n_columns=4):
    return row_blocks(da.zeros((n_rows, n_columns), chunks=(min(n_rows, 500), n_columns)))


def sheet(n_rows=17_000, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.uniform(-1, 1, (n_rows, 2))
    bent = np.column_stack([latent, np.sin(3 * latent[:, 0]), latent.prod(axis=1)])
    return bent + 0.05 * rng.normal(size=bent.shape)


X = sheet()


def igtm(**kwargs):
    return IGTM(**{"k": 4, "m": 3, "scale": "standard", "solver": "sampled", "niter": 60, **kwargs})


def test_a_solver_keeps_the_rows_that_it_asks_for():
    assert draw_of(lazy(10**6), settings("em")) is None
    assert draw_of(lazy(10**6), settings("accelerated")).size == 32768
    assert draw_of(lazy(10**5), settings()).size == 6250
    assert draw_of(lazy(10**6), settings(k=16)).size == 32768 + 8192
    assert draw_of(lazy(100), settings()) is None
    draw = draw_of(lazy(20_000), settings("accelerated"))
    assert (draw.size, draw.seed, draw.n_rows) == (1250, 3, 20_000)


def test_fits_beside_others_keep_less():
    assert draw_beside(lazy(10**6), settings("em"), 0.5, 3) is None
    draw = draw_beside(lazy(10**6), settings("accelerated"), 0.5, 3)
    assert (draw.size, draw.n_rows) == (8192, 5e5)
    assert draw.seed >= 2**32  # so that no seed of parts is the same
    assert draw_beside(lazy(10**5), settings("accelerated"), 0.5, 3).size == 3125
    assert draw_beside(lazy(10**6, 10_000), settings("accelerated"), 0.5, 3) is None


def test_a_sample_of_wide_rows_has_fewer():
    draw = draw_of(lazy(10**6, 10_000), settings("accelerated"))
    assert 1024 <= draw.size <= MOST_BYTES / 8e4
    assert draw_of(lazy(10**6, 20_000), settings("accelerated")) is None  # too few to show anything


def test_blocks_of_unknown_sizes_give_a_sample_too():
    rows = da.from_array(X, chunks=(2_000, 4))
    unknown = rows[rows[:, 0] < np.inf]
    one, again = (igtm().fit(unknown) for _ in range(2))
    assert one.history_shares_.min() < 1
    assert one.centers_.tobytes() == again.centers_.tobytes()
    assert one.log_likelihood_ == pytest.approx(igtm().fit(rows).log_likelihood_, abs=0.05)


def test_schedulers_give_the_same_bits():
    rows, found = da.from_array(X, chunks=(2_000, 4)), []
    for each in ("synchronous", "threads"):
        with dask.config.set(scheduler=each, num_workers=2):
            found.append(igtm(niter=25).fit(rows))
    one, other = found
    assert other.centers_.tobytes() == one.centers_.tobytes()
    assert other.history_.tobytes() == one.history_.tobytes()


def test_chunks_change_a_fit_by_rounding_alone():
    one, other = (igtm().fit(da.from_array(X, chunks=(size, 4))) for size in (3_000, 17_000))
    assert_array_equal(one.history_shares_, other.history_shares_)
    assert_allclose(one.history_, other.history_, rtol=1e-6)


def test_random_state_draws_the_sample():
    one, same, other = (igtm(random_state=seed).fit(X) for seed in (1, 1, 2))
    assert one.history_.tobytes() == same.history_.tobytes()
    assert one.history_[0] != other.history_[0]


@pytest.mark.parametrize("stop", [60, "last"])
def test_a_fit_goes_on_from_its_checkpoint_in_any_stage(stop, tmp_path):
    whole = igtm().fit(X)
    stop = len(whole.history_) - 2 if stop == "last" else stop
    seen = []

    def cut(event):
        seen.append(event)
        return len(seen) == stop

    path = tmp_path / "fit.npz"
    part = igtm().fit(X, checkpoint=path, callbacks=[cut])
    assert part.stopped_by_ == "callback"
    assert len(part.history_) == stop
    assert np.isfinite(part.log_likelihood_)
    again = igtm().fit(X, checkpoint=path)
    assert again.centers_.tobytes() == whole.centers_.tobytes()
    assert again.history_.tobytes() == whole.history_.tobytes()
    assert (again.n_passes_, again.n_iter_, again.stopped_by_) == (
        whole.n_passes_,
        whole.n_iter_,
        whole.stopped_by_,
    )


def test_callbacks_see_the_stages():
    events = []
    fitted = igtm().fit(X, callbacks=[events.append])
    assert [event.share for event in events] == fitted.history_shares_.tolist()
    assert events[0].n_rows == 212
    assert np.isnan(events[0].seconds_left)
    assert events[-1].n_rows == len(X)
    assert events[-1].number == fitted.n_iter_
    assert events[-1].converged


def test_a_fit_tells_what_it_took(tmp_path):
    fitted = igtm().fit(X)
    assert fitted.stopped_by_ == "predicted gain"
    assert fitted.converged_
    assert fitted.n_iter_ == np.count_nonzero(fitted.history_shares_ == 1)
    least = fitted.history_shares_.sum() + 1
    assert least < fitted.n_passes_ < least + 2 * fitted.n_iter_
    path = tmp_path / "map.npz"
    fitted.save(path)
    loaded = load(path)
    assert_array_equal(loaded.history_shares_, fitted.history_shares_)
    assert (loaded.n_passes_, loaded.stopped_by_, loaded.converged_) == (
        fitted.n_passes_,
        "predicted gain",
        True,
    )


def test_weights_count_as_often_as_rows():
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    weighted, repeated = (
        igtm().fit(X, sample_weight=weight),
        igtm().fit(np.repeat(X, weight.astype(int), axis=0)),
    )
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, abs=0.05)


@pytest.mark.parametrize("missing", ["median", "marginalize"])
def test_rows_with_gaps_are_in_the_sample(missing):
    holed = X.copy()
    holed[::3, 1] = np.nan
    fitted = igtm(missing=missing).fit(holed)
    plain = igtm(missing=missing, solver="em", niter=200).fit(holed)
    assert fitted.converged_
    assert fitted.log_likelihood_ > plain.log_likelihood_ - 0.05


def test_the_accelerated_solver_stops_by_what_is_left_to_gain():
    fitted = igtm(solver="accelerated", niter=200).fit(X)
    assert fitted.stopped_by_ == "predicted gain"
    further = igtm(solver="accelerated", niter=fitted.n_iter_ + 40, tol=0).fit(X)
    assert further.log_likelihood_ - fitted.log_likelihood_ < 2e-4


def test_few_rows_are_fitted_without_a_sample():
    rows = correlated(400, 4)
    one, other = (igtm(solver=solver).fit(rows) for solver in ("accelerated", "sampled"))
    assert one.history_.tobytes() == other.history_.tobytes()


def test_the_log_tells_sample_and_rows_apart(caplog):
    with caplog.at_level("INFO", "dask_igtm"):
        igtm().fit(X)
    lines = [record.message for record in caplog.records if "log-likelihood" in record.message]
    assert lines[0].startswith("sample of 212 rows, iteration    1  log-likelihood")
    assert "? left" in lines[0]
    assert lines[-1].startswith("iteration")


def test_an_estimate_says_what_is_to_be_expected():
    rows = np.broadcast_to(np.zeros(1), (10**6, 3))
    typical = {
        solver: IGTM(solver=solver, niter=300).estimate(rows).n_passes_typical
        for solver in ("em", "accelerated", "sampled")
    }
    assert typical["sampled"] < typical["accelerated"] < typical["em"] < 302
    assert IGTM(niter=3).estimate(rows).n_passes_typical == 5
    few = IGTM(solver="sampled").estimate(rows[:500])
    assert few.n_passes_typical == IGTM(solver="accelerated").estimate(rows[:500]).n_passes_typical


@pytest.mark.parametrize("solver", ["accelerated", "sampled"])
@pytest.mark.parametrize("unit", [2.0**-310, 2.0**310])
def test_units_do_not_matter(solver, unit):
    one, other = (
        igtm(solver=solver, scale="center", regul=0.1 / each**2, niter=25).fit(X * each)
        for each in (1.0, unit)
    )
    assert len(other.history_) == len(one.history_)
    assert_allclose(other.log_likelihood_ + 4 * np.log(unit), one.log_likelihood_, atol=1e-6)
