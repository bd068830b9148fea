"""Many fits that were cut go on from their checkpoint to the bits of ones that were not."""

import contextlib
import logging
import socket
import subprocess
import sys
import time

import dask.array as da
import numpy as np
import pytest
from helpers.cut import cut_after
from helpers.data import correlated

from dask_igtm import IGTM, IGTMSearch, saturation
from dask_igtm.data import npz_io
from dask_igtm.fitting import fit_many, start
from dask_igtm.statistics.moments import moments_of

X = correlated(300, 4)
GRIDS = {
    "shared": {"k": [3, 4], "regul": [0.1, 1.0]},
    "apart": {"scale": ["center", "standard"], "k": [3, 4]},
}
SOLVERS = {
    "em": {"solver": "em"},
    "accelerated": {"solver": "accelerated"},
    "converging": {"solver": "em", "niter": 40, "tol": 1e-2},
    "evidence": {"solver": "em", "regul": "auto"},
}


def igtm(**parameters):
    return IGTM(**{"k": 4, "m": 3, "niter": 8, "tol": 0, "scale": "center", "solver": "em", **parameters})


def search(grid=GRIDS["shared"], cv=2, data=X, sample_weight=None, grown=None, told=(), **parameters):
    one = IGTMSearch(igtm(**parameters), grid, cv=cv)
    return one.fit(data, sample_weight=sample_weight, checkpoint=grown, callbacks=told)


def bits(one):
    results = {name: value.tobytes() for name, value in one.cv_results_.items() if name.startswith("split")}
    best = one.best_estimator_
    return results, best.centers_.tobytes(), best.history_.tobytes(), best.log_likelihood_, one.n_passes_


# The evidence chooses the ridge, which the shared grid would set.
CUT = [(solver, grid) for solver in SOLVERS for grid in GRIDS if (solver, grid) != ("evidence", "shared")]


@pytest.mark.parametrize(("solver", "grid"), CUT)
def test_a_search_cut_at_any_pass_goes_on_to_the_same_bits(tmp_path, monkeypatch, grid, solver):
    parameters = SOLVERS[solver]
    if solver == "evidence":
        parameters = {**parameters, "niter": 4}
    chosen, path = GRIDS[grid], tmp_path / "search.npz"
    whole = bits(search(chosen, **parameters))
    for n_passes in (0, 1, 2, 5, 9, 10, 13, 19, 20, 21, 26):  # moments, passes, likelihood, the refit
        cut_after(monkeypatch, n_passes, OSError("the scheduler is gone"))
        with contextlib.suppress(OSError):
            search(chosen, grown=path, **parameters)
        monkeypatch.undo()
        if n_passes % 2:  # else the next cut goes on from where this one was
            assert bits(search(chosen, grown=path, **parameters)) == whole
            for file in tmp_path.iterdir():
                file.unlink()
    assert bits(search(chosen, grown=path, **parameters)) == whole
    assert bits(search(chosen, grown=path, **parameters)) == whole  # of what is complete


def test_what_was_done_is_not_done_again(tmp_path, monkeypatch, caplog):
    path, events = tmp_path / "search.npz", []
    first = search(grown=path)
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {"search.npz", f"search.refit-{first.best_index_}.npz"}
    cut_after(monkeypatch, 4, AssertionError("a pass too many"))  # moments and likelihood, twice
    with caplog.at_level(logging.INFO, "dask_igtm"):
        again = search(grown=path, told=[events.append])
    assert bits(again) == bits(first)
    assert not events
    assert "going on after pass 8" in caplog.text


def test_niter_may_have_grown(tmp_path):
    path, events = tmp_path / "search.npz", []
    search(niter=3, grown=path)
    longer = search(grown=path, told=[events.append])
    assert [event.number for event in events] == [4, 5, 6, 7, 8]
    assert bits(longer) == bits(search())


def test_a_stopped_search_goes_on(tmp_path):
    path = tmp_path / "search.npz"
    stopped = search(grown=path, told=[lambda event: event.number == 3])
    assert stopped.cv_results_["split0_n_iter"].tolist() == [3] * 4
    for file in tmp_path.glob("*refit*"):  # the best may be another
        file.unlink()
    assert bits(search(grown=path)) == bits(search())


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_saturation_goes_on_to_the_same_bits(tmp_path, monkeypatch, solver):
    def found(path=None):
        one = saturation(igtm(solver=solver), X, shares=(1 / 4, 1), checkpoint=path)
        return one.training.tobytes(), one.held_out.tobytes(), one.n_passes

    cut_after(monkeypatch, 5, OSError("the scheduler is gone"))
    with pytest.raises(OSError, match="gone") as caught:
        found(tmp_path / "shares.npz")
    monkeypatch.undo()
    assert any("shares.npz" in note and "call again" in note for note in caught.value.__notes__)
    assert found(tmp_path / "shares.npz") == found()


OTHERS = {
    "values": ({"data": X + 1e-6}, r"moments was .*mean of column"),
    "shape": ({"data": X[:-1]}, "shape was"),
    "weights": ({"sample_weight": np.ones(300)}, "weighted was False and is True"),
    "kernel width": ({"s": 0.5}, r"s was 0\.3 and is 0\.5"),
    "seed": ({"random_state": 3}, "parts was '2 folds of rows drawn by"),
    "number of folds": ({"cv": 3}, "belongs to other fits: there were 8 .* and there are 12"),
    "grid": ({"grid": {"k": [3, 5], "regul": [0.1, 1.0]}}, "other fits: there were 8 .*k=5, regul=0.1"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_search_is_refused_by_what_differs(tmp_path, name):
    path = tmp_path / "search.npz"
    search(niter=2, grown=path)
    before = path.read_bytes()
    changed, message = OTHERS[name]
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        search(grown=path, **changed)
    assert path.read_bytes() == before


def test_all_settings_are_compared_before_the_first_pass(tmp_path):
    """Also of the candidates whose turn comes later."""
    lazy, path = da.from_array(X, chunks=(100, 4)), tmp_path / "search.npz"
    search(GRIDS["apart"], niter=2, data=lazy, grown=path)
    assert (tmp_path / "search.2.npz").exists()
    other = npz_io.read(tmp_path / "search.2.npz", npz_io.MANY)[0]
    other["fingerprints"][1]["m"] = 7
    npz_io.write(
        tmp_path / "search.2.npz",
        npz_io.MANY,
        other,
        npz_io.read(tmp_path / "search.2.npz", npz_io.MANY)[1],
    )

    def computed(block):
        raise AssertionError("a block was computed")

    failing = lazy.map_blocks(computed, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=r"m was 7 and is 3") as caught:
        search(GRIDS["apart"], data=failing, grown=path)
    assert caught.value.__notes__ == ["This happened in the fit of k=3, scale=standard."]


def test_a_checkpoint_of_one_fit_is_none_of_many(tmp_path):
    igtm(niter=1).fit(X, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match=r"not a dask_igtm checkpoint of many fits"):
        search(grown=tmp_path / "fit.npz")
    search(niter=1, grown=tmp_path / "search.npz")
    with pytest.raises(ValueError, match=r"but 'dask_igtm checkpoint of many fits'"):
        igtm().fit(X, checkpoint=tmp_path / "search.npz")


def test_a_folder_that_is_not_there_is_said_before_the_first_pass(tmp_path, monkeypatch):
    cut_after(monkeypatch, 0, AssertionError("a pass"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        search(grown=tmp_path / "nothing" / "search.npz")


def test_object_stores():
    target = "memory://searches/search.npz"
    search(niter=3, grown=target)
    assert bits(search(grown=target)) == bits(search())


def test_another_machine_goes_on_and_says_once_that_bits_may_differ(tmp_path, monkeypatch):
    path = tmp_path / "search.npz"
    whole = search()
    IGTMSearch(igtm(niter=4), GRIDS["shared"], cv=2, refit=False).fit(X, checkpoint=path)
    monkeypatch.setattr(fit_many, "best_kernel", lambda: "numpy")
    with pytest.warns(UserWarning, match="another machine") as caught:
        again = IGTMSearch(igtm(), GRIDS["shared"], cv=2, refit=False).fit(X, checkpoint=path)
    assert len(caught) == 1
    np.testing.assert_allclose(again.best_score_, whole.best_score_, rtol=1e-9)


def test_a_search_at_the_same_time_is_seen_after_the_first_pass(monkeypatch):
    path = "memory://meanwhile/search.npz"  # where there are no locks

    def meanwhile(*args):
        monkeypatch.undo()
        search(niter=2, s=0.5, grown=path)
        return moments_of(*args)

    monkeypatch.setattr(start, "moments_of", meanwhile)
    with pytest.raises(ValueError, match=r"s was 0\.5 and is 0\.3"):
        search(grown=path)


# Killed


SLOWLY = """
import sys, time
import numpy as np
from dask_igtm import IGTM, IGTMSearch
igtm = IGTM(k=4, m=3, niter=8, tol=0, scale="center", solver="em")
search = IGTMSearch(igtm, {"scale": ["center", "standard"], "k": [3, 4]}, cv=2)
wait = lambda _: time.sleep(0.05)
search.fit(np.load(sys.argv[1]), checkpoint=sys.argv[2], callbacks=[wait])
"""


def test_a_search_that_was_killed_goes_on_to_the_same_bits(tmp_path):
    path = tmp_path / "search.npz"
    np.save(tmp_path / "x.npy", X)
    process = subprocess.Popen([sys.executable, "-c", SLOWLY, tmp_path / "x.npy", path])
    states = set()
    while process.poll() is None and len(states) < 4:
        if path.exists():
            states.add(path.stat().st_mtime_ns)
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -9
    events = []
    again = search(GRIDS["apart"], grown=path, told=[events.append])
    assert events[0].number > 1
    assert bits(again) == bits(search(GRIDS["apart"]))


@pytest.mark.parametrize("name", ["fit.npz", "fit.2.npz", "fit.refit-1.npz"])
def test_what_is_no_file_is_refused_before_the_first_pass(tmp_path, monkeypatch, name):
    cut_after(monkeypatch, 0, AssertionError("a pass"))
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(name)
    with pytest.raises(FileExistsError, match=f"There is a socket at '{name}'"):
        search(GRIDS["apart"], grown="fit.npz")
