"""One fit at a time writes to a checkpoint, and the others are told."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.cut import bits
from helpers.data import correlated

from dask_igtm import IGTM, IGTMSearch, saturation
from dask_igtm.fitting import start
from dask_igtm.statistics.moments import moments_of

X = correlated(300, 4)
REFUSED = r"Another fit writes to the checkpoint '.*fit.npz': that of process \d+ on .*path of its own"


def estimator(**changed):
    return IGTM(**({"k": 4, "m": 3, "niter": 8, "tol": 0, "solver": "em"} | changed))


def fit(path, **run):
    return estimator().fit(X, checkpoint=path, **run)


def search(path, **run):
    return IGTMSearch(estimator(), {"regul": [0.1, 1.0]}, cv=2, refit=False).fit(X, checkpoint=path, **run)


def shares(path, **run):
    return saturation(estimator(), X, shares=(1 / 2, 1), checkpoint=path, **run)


@pytest.mark.parametrize("second", [fit, search, shares])
@pytest.mark.parametrize("first", [fit, search, shares])
def test_a_second_fit_is_refused_at_once(tmp_path, first, second):
    path, tried = tmp_path / "fit.npz", []

    def meanwhile(event):
        if event.number in (1, 5):
            before = path.read_bytes()
            with pytest.raises(ValueError, match=REFUSED):
                second(path)
            assert path.read_bytes() == before
            tried.append(event.number)

    first(path, callbacks=[meanwhile])
    assert tried == [1, 5]
    assert os.listdir(tmp_path) == ["fit.npz"]
    first(path)  # goes on


def test_the_first_fit_is_none_the_worse(tmp_path):
    path = tmp_path / "fit.npz"

    def meanwhile(_):
        with pytest.raises(ValueError, match=REFUSED):
            estimator(regul=0.5).fit(X, checkpoint=path)

    assert bits(fit(path, callbacks=[meanwhile])) == bits(estimator().fit(X))


def test_a_fit_that_failed_lets_others_go_on(tmp_path):
    def fails(event):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="gone"):
        fit(tmp_path / "fit.npz", callbacks=[fails])
    assert os.listdir(tmp_path) == ["fit.npz"]
    assert bits(fit(tmp_path / "fit.npz")) == bits(estimator().fit(X))


@pytest.mark.parametrize("one", [fit, search, shares])
def test_without_locks_the_one_that_lost_the_checkpoint_stops(one):
    path, inner = f"memory://lost/{one.__name__}.npz", []

    def meanwhile(event):
        if event.number == 3 and not inner:
            inner.append(None)
            one(path)  # goes on to the end from where this one is

    with pytest.raises(ValueError, match=r"has written to the checkpoint '.*' meanwhile") as caught:
        one(path, callbacks=[meanwhile])
    assert not getattr(caught.value, "__notes__", [])  # of iterations that would be in the checkpoint
    events = []
    one(path, callbacks=[events.append])
    assert not events  # all that the inner one did is there


def test_without_locks_the_later_one_stops_before_its_first_iteration_if_the_first_goes_on(monkeypatch):
    path = "memory://later/fit.npz"
    estimator(niter=2).fit(X, checkpoint=path)

    def meanwhile(*args):
        monkeypatch.undo()
        estimator(niter=4).fit(X, checkpoint=path)
        return moments_of(*args)

    monkeypatch.setattr(start, "moments_of", meanwhile)
    with pytest.raises(ValueError, match="meanwhile"):
        fit(path, callbacks=[lambda event: pytest.fail("an iteration")])
    assert bits(fit(path)) == bits(estimator().fit(X))


FITS = """
import sys, time
import numpy as np
from dask_igtm import IGTM
igtm = IGTM(k=4, m=3, niter=8, tol=0, solver="em")
def tell(event):
    print(event.number, flush=True)
    time.sleep(float(sys.argv[3]))
igtm.fit(np.load(sys.argv[1]), checkpoint=sys.argv[2], callbacks=[tell])
"""


@pytest.mark.slow
def test_a_killed_fit_is_gone_on_with_at_once(tmp_path):
    np.save(tmp_path / "x.npy", X)
    path = tmp_path / "fit.npz"
    command = [sys.executable, "-c", FITS, tmp_path / "x.npy", path, "60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "1\n"
    with pytest.raises(ValueError, match=rf"process {process.pid} on"):
        fit(path)
    process.kill()
    process.communicate()
    events = []
    again = fit(path, callbacks=[events.append])
    assert [event.number for event in events] == list(range(2, 9))
    assert bits(again) == bits(estimator().fit(X))
    assert sorted(os.listdir(tmp_path)) == ["fit.npz", "x.npy"]
