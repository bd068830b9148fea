"""Has the sample saturated? Fits to growing shares of the rows, each the one it would be by itself."""

import re
import sys

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, saturation
from dask_igtm.estimators.saturation import Saturation
from dask_igtm.statistics import row_subsets

N = 600
SHARES = (1 / 4, 1 / 2, 1)


def igtm(**parameters):
    return IGTM(**{"k": 4, "m": 3, "niter": 5, "tol": 0, "scale": "center", "solver": "em", **parameters})


def drawn(seed, shares=SHARES, held_out=0.1):
    """Which rows are held out, and which each share has."""
    edges = held_out + (1 - held_out) * np.array([0, *shares])
    part = row_subsets.draw(np.arange(N), np.random.RandomState(seed).randint(2**31 - 1), edges)
    return part == 0, [(part > 0) & (part <= i + 1) for i in range(len(shares))]


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return correlated(N, 4)


@pytest.mark.parametrize("parameters", [{}, {"solver": "accelerated"}, {"k": 0, "scale": "standard"}])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_share_is_fitted_as_it_would_be_by_itself(X, parameters, weighted):
    weight = np.random.default_rng(1).integers(0, 3, N) if weighted else np.ones(N)
    found = saturation(
        igtm(**parameters), X, weight if weighted else None, shares=SHARES, held_out=0.2, random_state=5
    )
    held_out, trained = drawn(5, held_out=0.2)
    for i, rows in enumerate(trained):
        one = igtm(**parameters).fit(X[rows], sample_weight=weight[rows])
        assert_allclose(found.n_samples[i], weight[rows].sum())
        assert_allclose(found.training[i], one.log_likelihood_, rtol=1e-9)
        assert_allclose(found.held_out[i], one.score(X[held_out], sample_weight=weight[held_out]), rtol=1e-9)
    assert_array_equal(found.n_iter, [5, 5, 5])
    assert found.n_passes == 6


def test_shares_are_nested_spread_over_all_blocks_and_as_large_as_they_say():
    held_out, trained = drawn(0)
    assert abs(held_out.mean() - 0.1) < 0.04
    for rows, share in zip(trained, SHARES, strict=True):
        assert abs(rows[~held_out].mean() - share) < 0.06
        assert not (rows & held_out).any()
        assert all(block.any() for block in np.split(rows, 10))
    assert (trained[0] <= trained[1]).all()
    assert (trained[1] <= trained[2]).all()
    assert (trained[2] | held_out).all()


def test_chunks_do_not_matter_and_reads_do_not_grow_with_shares(X):
    computed = []

    def note(block, block_id):
        computed.append(block_id[0])
        return block

    lazy = da.from_array(X, chunks=(150, -1)).map_blocks(note, dtype=float, meta=np.empty((0, 0)))
    reads = []
    for shares in ((1,), (1 / 16, 1 / 4, 1 / 2, 1)):
        computed.clear()
        found = saturation(igtm(persist=False), lazy, shares=shares)
        reads.append(len(computed))
    assert reads == [4 * (1 + 5 + 1)] * 2
    assert_allclose(found.held_out, saturation(igtm(), X, shares=shares).held_out, rtol=1e-9)


def test_a_linear_sheet_saturates_and_a_tiny_share_does_not():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (4000, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(4000, 5))
    found = saturation(igtm(k=6, m=2, niter=40, regul=0.01), X, shares=(1 / 128, 1 / 2, 1), tol=0.02)
    assert found.enough == 0.5
    assert found.held_out[0] < found.held_out[-1] - 0.02
    assert found.training[0] > found.training[-1]


def known(held_out, tol=0.01):
    n = len(held_out)
    shares = 4.0 ** np.arange(1 - n, 1)
    return Saturation(
        share=shares,
        n_samples=1024 * shares,
        training=np.zeros(n),
        held_out=np.array(held_out),
        n_iter=np.arange(n),
        converged=np.arange(n) != 1,
        tol=tol,
        n_passes=9,
    )


@pytest.mark.parametrize(
    ("held_out", "enough"),
    [
        ([-3.0, -2.0, -1.5, -1.0], 1),
        ([-3.0, -2.0, -1.005, -1.0], 1 / 4),
        ([-3.0, -0.9, -1.3, -1.0], 1),  # a share that was better by luck does not count
        ([-0.5, -0.9, -0.95, -1.0], 1 / 64),
        ([np.nan, -1.0, -1.0, -1.0], 1 / 16),
    ],
)
def test_the_share_that_is_enough(held_out, enough):
    assert known(held_out).enough == enough


def test_a_result_prints_as_a_table_and_goes_to_pandas(monkeypatch):
    lines = str(known([-3.0, -2.0, -1.005, -1.0])).splitlines()
    assert lines[0].split() == ["share", "rows", "training", "held", "out", "iterations"]
    assert lines[1].split() == ["1/64", "16", "0.0000", "-3.0000", "0"]
    assert lines[2].split()[-2:] == ["not", "converged"]
    assert lines[-1] == "From share 1/4 on all come within 0.01 of the last: more rows do not pay."
    assert str(known([-3.0, -1.0])).endswith("comes within 0.01 of the last: more rows may still pay.")
    frame = known([-3.0, -1.0]).to_frame()
    assert frame.columns.tolist() == ["share", "n_samples", "training", "held_out", "n_iter", "converged"]
    assert frame.held_out.tolist() == [-3.0, -1.0]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install"):
        known([-3.0, -1.0]).to_frame()


def test_the_map_that_is_given_is_neither_fitted_nor_changed(X):
    one = igtm(random_state=np.random.RandomState(3))
    first, second = (saturation(one, X, shares=(1,)).held_out for _ in range(2))
    assert_array_equal(first, second)
    assert not hasattr(one, "model_")
    assert not hasattr(one, "n_features_in_")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"shares": (1 / 2, 1 / 4)}, "growing shares"),
        ({"shares": (0, 1)}, "growing shares"),
        ({"shares": (1, 2)}, "growing shares"),
        ({"shares": ()}, "growing shares"),
        ({"shares": (np.nan, 1)}, "growing shares"),
        ({"held_out": 0}, "held_out=0"),
        ({"held_out": 1.0}, "held_out=1"),
        ({"tol": -1}, "tol=-1"),
    ],
)
def test_what_is_refused(X, parameters, message):
    with pytest.raises(ValueError, match=message):
        saturation(igtm(), X, **parameters)


def test_others_are_refused_before_anything_is_read(X):
    def refuse(*args, **kwargs):
        raise AssertionError("something was computed")

    lazy = da.from_array(X, chunks=(150, -1))
    with dask.config.set(scheduler=refuse):
        with pytest.raises(TypeError, match="give an IGTM"):
            saturation(IGTM, lazy)
        with pytest.raises(ValueError, match=r"saturation.*compute_chunk_sizes"):
            saturation(igtm(), lazy[lazy[:, 0] > 0])


def test_a_share_that_is_too_small_is_named(X):
    with pytest.raises(ValueError, match="every sample_weight is zero") as caught:
        saturation(igtm(), X, shares=(1e-9, 1))
    assert any("share 1e-09" in note for note in caught.value.__notes__)


def test_a_collapse_is_warned_of_by_share(X):
    with pytest.warns(UserWarning, match="collapse") as caught:
        saturation(igtm(regul=1e5), X, shares=(1 / 16, 1))
    assert {re.split(": ", str(warning.message))[0] for warning in caught} == {"share 1/16", "share 1"}
    assert {warning.filename for warning in caught} == {__file__}


def test_an_event_a_pass_and_true_stops(X):
    events = []
    found = saturation(igtm(), X, shares=(1 / 2, 1), callbacks=[events.append])
    assert [event.number for event in events] == [1, 2, 3, 4, 5]
    assert [event.n_going for event in events] == [2, 2, 2, 2, 0]
    stopped = saturation(igtm(), X, shares=(1 / 2, 1), callbacks=[lambda event: event.number == 2])
    assert_array_equal(stopped.n_iter, [2, 2])
    assert stopped.held_out[0] != found.held_out[0]
    assert_array_equal(stopped.held_out, saturation(igtm(niter=2), X, shares=(1 / 2, 1)).held_out)
    with pytest.raises(TypeError, match="give a list of functions"):
        saturation(igtm(), X, callbacks=[3])


def test_a_line_a_pass(X, capfd):
    saturation(igtm(verbose=True), X, shares=(1 / 2, 1))
    lines = capfd.readouterr().err.splitlines()
    assert [line.split("fits")[0] for line in lines] == [
        f"pass    {number} of 5  {going} of 2 " for number, going in ((1, 2), (2, 2), (3, 2), (4, 2), (5, 0))
    ]
