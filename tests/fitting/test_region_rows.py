"""A map of a region equals the fit whose weights are the responsibilities for the region."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.data import correlated, holed
from helpers.families import rows_of
from helpers.inputs import all_kinds, assert_same_fit
from helpers.lazy import CountingStore, computing, counting
from scipy import sparse
from sklearn.exceptions import NotFittedError

from dask_igtm import IGTM, landscape
from dask_igtm.fitting import unchanged
from dask_igtm.passes import reduce

X = correlated(300, 5)
N = len(X)
SETTINGS = {"k": 5, "m": 2, "niter": 6, "tol": 0, "solver": "em"}
CHILD = {"k": 4, "m": 2, "niter": 5}
BOX = (-1.0, 0.0, -1.0, 1.0)
WEIGHTS = np.arange(N) % 4 / 2


@pytest.fixture(scope="module")
def igtm():
    return IGTM(**SETTINGS).fit(X)


def share(igtm, X, region):
    """Return the responsibilities of each row for a region, (n,)."""
    R = igtm.describe(X, ("responsibilities",))["responsibilities"]
    return np.asarray(R)[:, landscape.regions.node_mask(igtm.nodes_, region)].sum(axis=1)


def by_hand(igtm, X, region, sample_weight=None, **settings):
    """Return the fit with these weights."""
    weight = share(igtm, X, region) * (1.0 if sample_weight is None else sample_weight)
    return type(igtm)(**(igtm.get_params() | settings)).fit(X, sample_weight=weight)


def assert_zooms(igtm, X, region=BOX, sample_weight=None, given=None, **settings):
    """Hold a zoom on some rows against the weighted fit; `given` are the same rows in another container."""
    child = igtm.zoom(X if given is None else given, region, sample_weight, **settings)
    assert_same_fit(child, by_hand(igtm, X, region, sample_weight, **settings), rtol=1e-8)
    return child


@pytest.mark.parametrize("solver", ["em", "accelerated", "sampled", "auto"])
@pytest.mark.parametrize("scale", [None, "center", "standard"])
def test_it_is_the_weighted_fit(igtm, solver, scale):
    child = assert_zooms(igtm, X, solver=solver, scale=scale, **CHILD)
    assert child.get_params() == igtm.get_params() | {"solver": solver, "scale": scale} | CHILD


@pytest.mark.parametrize(
    "region",
    [
        12,
        [0, 1, 2, 6],
        np.arange(25) % 2 == 0,
        BOX,
        [(-1, -1), (1, -1), (0, 1)],
        [(-1, -1), (1, 1), (1, -1), (-1, 1)],  # whose edges cross
    ],
)
def test_any_region(igtm, region):
    assert_zooms(igtm, X, region, **CHILD)


def test_all_nodes_are_a_plain_fit(igtm):
    child = igtm.zoom(X, np.arange(25))
    assert_same_fit(child, igtm, rtol=1e-8)
    assert child.n_samples_seen_ == pytest.approx(N)


@pytest.mark.parametrize(
    "kind",
    ["csr", "csc", "frame", "dask", "uneven", "zarr", "path", "column_zarr", "sparse_chunks", "coo_chunks"],
)
def test_any_container(igtm, kind, tmp_path):
    assert_zooms(igtm, X, given=all_kinds(X, tmp_path)[kind], sample_weight=WEIGHTS, **CHILD)


@pytest.mark.parametrize("persist", [True, False, "auto"])
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_keeping_rows_changes_nothing(igtm, solver, lazy, persist):
    given = da.from_array(X, chunks=(70, -1)) if lazy else X
    assert_zooms(igtm, X, given=given, persist=persist, solver=solver, **CHILD)


@pytest.mark.parametrize("persist", [True, False])
@pytest.mark.parametrize("missing", ["marginalize", "median"])
@pytest.mark.parametrize("lazy", [True, False])
def test_rows_with_gaps(missing, lazy, persist):
    rows = holed(X, 0.2)
    rows[[5, 80, 81]] = np.nan  # rows that say nothing
    igtm = IGTM(**SETTINGS, missing=missing).fit(rows)
    given = da.from_array(rows, chunks=(70, -1)) if lazy else rows
    weight = np.nan_to_num(share(igtm, rows, BOX))
    if missing == "marginalize":
        weight[[5, 80, 81]] = 0.0
    other = IGTM(**SETTINGS | CHILD, missing=missing).fit(rows, sample_weight=weight)
    assert_same_fit(igtm.zoom(given, BOX, persist=persist, **CHILD), other, rtol=1e-8)


@pytest.mark.parametrize("family", ["diagonal", "bernoulli", "poisson"])
@pytest.mark.parametrize("persist", [True, False])
def test_every_noise(family, persist):
    rows = rows_of(family)
    igtm = IGTM(**SETTINGS, noise=family).fit(rows)
    given = da.from_array(rows, chunks=(70, -1))
    assert_zooms(igtm, rows, given=given, sample_weight=WEIGHTS, persist=persist, **CHILD)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_rows_that_are_wide(kind):
    rng = np.random.default_rng(0)
    rows = (rng.random((120, 1030)) < 0.03) * 1.0
    rows[:60, :200] += rng.normal(size=(60, 1)) * 3
    igtm = IGTM(**SETTINGS).fit(rows)
    assert_zooms(igtm, rows, given=kind(rows), **CHILD)


def test_axes_are_those_of_the_region(igtm):
    parent = IGTM(**SETTINGS, n_components=3).fit(X)
    child = assert_zooms(parent, X, **CHILD)
    assert child.model_.weights.shape == (5, 3)


def test_column_names_are_those_of_the_parent():
    frame = pd.DataFrame(X, columns=list("abcde"))
    igtm = IGTM(**SETTINGS).fit(frame)
    child = igtm.zoom(frame, BOX)
    assert child.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        igtm.zoom(frame[list("edcba")], BOX)
    with pytest.raises(ValueError, match="4 features"):
        IGTM(**SETTINGS).fit(X).zoom(X[:, :4], BOX)


def test_a_zoom_in_a_zoom_counts_by_the_last_map_alone(igtm):
    child = igtm.zoom(X, BOX)
    grandchild = child.zoom(X, [0, 1, 2], **CHILD)
    assert_same_fit(grandchild, by_hand(child, X, [0, 1, 2], **CHILD), rtol=1e-8)


def test_the_parent_stays_as_it_was(igtm):
    before = vars(igtm).copy()
    igtm.zoom(X, BOX, k=3)
    assert vars(igtm) == before


def test_passes_are_counted_with_the_one_that_weighs_the_region(igtm, monkeypatch):
    real, walked = reduce.walk, []
    monkeypatch.setattr(reduce, "walk", lambda *args, **kwargs: walked.append(1) or real(*args, **kwargs))
    child = igtm.zoom(X, BOX)
    assert len(walked) == 1 + 1 + SETTINGS["niter"] + 1  # size, moments, iterations, likelihood
    assert child.n_passes_ == by_hand(igtm, X, BOX).n_passes_ + 1


# Regions and rows that are none


@pytest.mark.parametrize("region", [np.zeros(25, bool), (-0.1, 0.0, 0.7, 0.8), [(2, 2), (3, 2), (2, 3)]])
def test_a_region_without_nodes_is_refused(igtm, region):
    with pytest.raises(ValueError, match="none of the 25 nodes of the map in it"):
        igtm.zoom(X, region)


@pytest.mark.parametrize("region", [25, [3, 3], "west", (1.0, -1.0, 0.0, 1.0), np.ones(7, bool), []])
def test_what_is_no_region_is_refused(igtm, region):
    with pytest.raises(ValueError, match=r"region="):
        igtm.zoom(X, region)


def test_a_region_without_rows_is_refused():
    rng = np.random.default_rng(0)
    rows = np.r_[rng.normal(size=(150, 2)) * 0.01, rng.normal(size=(150, 2)) * 0.01 + 50]
    igtm = IGTM(k=9, m=3, solver="em", niter=30).fit(rows)
    g = igtm.describe(rows, ("responsibilities",))["responsibilities"].sum(axis=0)
    assert (g < 1e-12).any()
    with pytest.raises(ValueError, match=r"The region has \d+ nodes and no rows"):
        igtm.zoom(rows, g < 1e-12)
    with pytest.raises(ValueError, match="has 25 nodes and no rows"):
        IGTM(**SETTINGS).fit(X).zoom(X, np.arange(25), np.zeros(N))


def test_faults_of_rows_and_settings_are_told_before_a_pass(igtm, monkeypatch):
    monkeypatch.setattr(reduce, "reduce", computing)
    with pytest.raises(ValueError, match="Invalid parameter"):
        igtm.zoom(X, BOX, depth=3)
    with pytest.raises(ValueError, match="solver="):
        igtm.zoom(X, BOX, solver="best")
    with pytest.raises(TypeError, match="callbacks"):
        igtm.zoom(X, BOX, callbacks=[3])
    with pytest.raises(NotFittedError):
        IGTM().zoom(X, BOX)


def test_entries_that_are_not_finite_are_named(igtm):
    rows = X.copy()
    rows[7, 3] = np.inf
    for given in (rows, da.from_array(rows, chunks=(70, -1))):
        with pytest.raises(ValueError, match="3"):
            igtm.zoom(given, BOX)
    with pytest.raises(ValueError, match="negative"):
        igtm.zoom(X, BOX, -np.ones(N))


# How rows are read


@pytest.mark.parametrize(("persist", "reads"), [(True, 2), ("auto", 2), (False, 2 + 6 + 1)])
def test_how_often_blocks_are_read(igtm, persist, reads):
    lazy, computed = counting(X)
    with dask.config.set(scheduler="synchronous"):
        igtm.zoom(lazy, BOX, persist=persist)
    assert {number: computed.count(number) for number in range(3)} == dict.fromkeys(range(3), reads)


def test_a_store_is_read_chunk_by_chunk(igtm):
    store = CountingStore()
    CountingStore.read.clear()
    array = zarr.create_array(store, data=X, chunks=(100, 5))
    CountingStore.read.clear()
    igtm.zoom(array, BOX, persist=False)
    assert len(set(CountingStore.read)) == 3
    assert len(CountingStore.read) == 3 * (2 + 6 + 1)


def test_rows_with_next_to_nothing_in_the_region_are_not_read_by_its_sums(monkeypatch):
    rng = np.random.default_rng(0)
    rows = np.r_[rng.normal(size=(200, 3)), rng.normal(size=(100, 3)) + 60]
    igtm = IGTM(**SETTINGS).fit(rows)
    far = share(igtm, rows, BOX) < 1e-17
    assert 50 < far.sum() < 250
    real, seen = unchanged.e_step, []

    def noting(X, *args):
        seen.append(len(X))
        return real(X, *args)

    monkeypatch.setattr(unchanged, "e_step", noting)
    assert_zooms(igtm, rows, niter=2)
    assert seen[:2] == [300 - far.sum()] * 2


@pytest.mark.parametrize("persist", [True, False])
def test_every_local_scheduler_has_the_same_bits(igtm, persist):
    given = da.from_array(X, chunks=((1, 99, 0, 100, 37, 63), -1))
    found = set()
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler, num_workers=3):
            found.add(bits(igtm.zoom(given, BOX, WEIGHTS, persist=persist, solver="accelerated")))
    assert len(found) == 1


def bits(igtm):
    return igtm.centers_.tobytes(), igtm.history_.tobytes(), igtm.beta_inv_, igtm.log_likelihood_


# Checkpoints and callbacks


class Stop(Exception):  # noqa: N818
    """What a test cuts a fit with."""


def raising_after(number):
    def callback(event):
        if event.number == number:
            raise Stop

    return callback


@pytest.mark.parametrize("persist", [True, False])
@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_cut_fit_goes_on_to_the_same_bits(igtm, solver, persist, tmp_path):
    given = da.from_array(X, chunks=(70, -1))
    settings = {"solver": solver, "persist": persist}
    whole = igtm.zoom(given, BOX, **settings)
    with pytest.raises(Stop):
        igtm.zoom(given, BOX, checkpoint=tmp_path / "c.npz", callbacks=[raising_after(3)], **settings)
    told = []
    child = igtm.zoom(given, BOX, checkpoint=tmp_path / "c.npz", callbacks=[told.append], **settings)
    assert told[0].number > 3
    assert bits(child) == bits(whole)


def test_a_checkpoint_of_another_region_parent_or_fit_is_refused(igtm, tmp_path):
    path = tmp_path / "c.npz"
    igtm.zoom(X, BOX, checkpoint=path)
    other = IGTM(**SETTINGS | {"niter": 3}).fit(X)
    for begin in (
        lambda: igtm.zoom(X, [1, 2], checkpoint=path),
        lambda: other.zoom(X, BOX, checkpoint=path, niter=6),
        lambda: igtm.zoom(X, BOX, WEIGHTS, checkpoint=path),
        lambda: igtm.fit(X, checkpoint=path),
    ):
        with pytest.raises(ValueError, match="checkpoint"):
            begin()
    plain = tmp_path / "plain.npz"
    IGTM(**SETTINGS).fit(X, checkpoint=plain)
    with pytest.raises(ValueError, match="checkpoint"):
        igtm.zoom(X, BOX, checkpoint=plain)


def test_a_callback_stops_it(igtm):
    child = igtm.zoom(X, BOX, callbacks=[lambda event: event.number == 2])
    assert child.n_iter_ == 2
    assert child.stopped_by_ == "callback"


def test_a_small_region_of_a_fit_with_its_sides_chosen(igtm):
    """k=0 chooses by the weight of the region."""
    child = assert_zooms(igtm, X, k=0, m=0)
    assert len(child.nodes_) < len(IGTM(k=0, m=0, niter=1).fit(X).nodes_)


def test_rows_of_a_region_that_are_all_equal_are_refused():
    rows = np.r_[np.zeros((100, 3)), np.random.default_rng(0).normal(size=(100, 3)) + 9]
    igtm = IGTM(**SETTINGS).fit(rows)
    home = np.flatnonzero(igtm.describe(rows, ("responsibilities",))["responsibilities"][0] > 1e-9)
    assert (share(igtm, rows, home)[100:] < 1e-16).all()
    with pytest.raises(ValueError, match="equal"):
        igtm.zoom(rows, home)
