"""What a fit tells while it runs: events, lines, a bar, and names on the dashboard."""

import dataclasses
import functools
import io
import logging
import sys

import dask.array as da
import numpy as np
import pytest
from dask.callbacks import Callback
from helpers import terminal
from helpers.data import correlated
from rich.console import Console

from dask_igtm import IGTM, IterationEvent, PassEvent, load, runIGTM
from dask_igtm.fitting import progress

X = correlated(600, 5)


def igtm(**changed):
    return IGTM(**({"k": 6, "m": 3, "niter": 12, "tol": 0} | changed))


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_an_event_an_iteration(solver):
    events = []
    fitted = igtm(solver=solver).fit(X, callbacks=[events.append])
    assert [event.number for event in events] == list(range(1, 13))
    assert [event.log_likelihood for event in events] == fitted.history_.tolist()
    for event in events:
        assert type(event) is IterationEvent
        assert (event.niter, event.n_rows, event.converged) == (12, 600, False)
        assert event.rows_per_second == pytest.approx(600 / event.seconds)
        assert event.seconds_left == pytest.approx(event.elapsed / event.number * (12 - event.number))
    assert events[0].change == np.inf
    assert sum(event.seconds for event in events) == pytest.approx(events[-1].elapsed)
    with pytest.raises(dataclasses.FrozenInstanceError):
        events[0].number = 0


def test_the_last_event_of_a_converged_fit_says_so():
    events = []
    assert igtm(niter=200, tol=1e-2).fit(X, callbacks=[events.append]).converged_
    assert [event.converged for event in events] == [False] * (len(events) - 1) + [True]
    assert events[-1].seconds_left == 0
    assert all(event.change <= 1e-2 for event in events[-4:])


def test_rows_of_unknown_number_count_by_their_weights():
    lazy, events = da.from_array(X, chunks=(100, 5)), []
    igtm(niter=1).fit(lazy[lazy[:, 0] > -np.inf], callbacks=[events.append])
    assert events[0].n_rows == 600


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_true_stops_a_fit_and_keeps_what_it_reached(solver):
    told = []
    fitted = igtm(solver=solver).fit(X, callbacks=[lambda event: event.number == 5, told.append])
    shorter = igtm(solver=solver, niter=5).fit(X)
    assert fitted.n_iter_ == len(told) == 5
    assert not fitted.converged_
    assert fitted.log_likelihood_ == shorter.log_likelihood_
    assert fitted.centers_.tobytes() == shorter.centers_.tobytes()


@pytest.mark.parametrize("answer", ["written", 7, np.ones(3)])
def test_what_a_callback_returns_beside_true_stops_nothing(answer):
    assert igtm().fit(X, callbacks=[lambda _: answer]).n_iter_ == 12
    assert igtm().fit(X, callbacks=[lambda _: np.True_]).n_iter_ == 1


def test_a_stopped_fit_goes_on_from_its_checkpoint(tmp_path):
    events = []
    igtm().fit(X, checkpoint=tmp_path / "fit.npz", callbacks=[lambda event: event.number == 5])
    fitted = igtm().fit(X, checkpoint=tmp_path / "fit.npz", callbacks=[events.append])
    assert [event.number for event in events] == list(range(6, 13))
    assert events[0].seconds_left == pytest.approx(events[0].elapsed * 6)
    assert fitted.centers_.tobytes() == igtm().fit(X).centers_.tobytes()


def test_stopping_leaves_a_trace_in_the_log(caplog):
    with caplog.at_level(logging.INFO, "dask_igtm"):
        igtm().fit(X, callbacks=[lambda event: event.number == 2])
    assert "a callback stops the fit after iteration 2" in caplog.text


def test_a_callback_that_fails_fails_the_fit():
    fitted = igtm(niter=2).fit(X)
    before = fitted.centers_.tobytes()

    def fail(_):
        raise OSError("no room for the log")

    with pytest.raises(OSError, match="no room"):
        fitted.fit(X + 1, callbacks=[fail])
    assert fitted.centers_.tobytes() == before


@pytest.mark.parametrize("callbacks", [print, ["print"]])
def test_callbacks_that_are_none_are_refused(callbacks):
    with pytest.raises(TypeError, match="give a list of functions"):
        igtm().fit(X, callbacks=callbacks)


def test_nothing_of_a_run_stays_on_the_estimator(tmp_path):
    fitted = igtm(niter=2, verbose=1).fit(X, callbacks=[lambda _: None])
    assert fitted.get_params()["verbose"] == 1
    fitted.save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").get_params() == fitted.get_params()


@pytest.mark.parametrize("verbose", [True, 1])
def test_a_line_an_iteration_where_there_is_no_terminal(verbose, capfd):
    igtm(niter=11, verbose=verbose).fit(X)
    printed = capfd.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert [line.split("  log-likelihood")[0] for line in lines] == [
        f"iteration {number:4d} of 11" for number in range(1, 12)
    ]
    assert all("change" in line and "rows/s" in line and line.endswith("left") for line in lines)


def test_the_log_has_the_same_lines(capfd, caplog):
    with caplog.at_level(logging.INFO, "dask_igtm"):
        igtm(niter=2, verbose=True).fit(X)
    assert [m for m in caplog.messages if m.startswith("iteration")] == capfd.readouterr().err.splitlines()


def test_run_igtm_shows_its_fit(capfd):
    runIGTM(X, k=4, niter=2, verbose=True)
    assert len(capfd.readouterr().err.splitlines()) == 2


def event(**changed):
    values = dict.fromkeys([field.name for field in dataclasses.fields(IterationEvent)], 1.0)
    return IterationEvent(**(values | {"number": 7, "niter": 20, "converged": False} | changed))


@pytest.mark.parametrize(
    ("n_rows", "written"), [(12, "12"), (4567, "4.57k"), (1.5e6, "1.5M"), (2.25e9, "2.25G")]
)
def test_a_line_is_readable(n_rows, written):
    assert progress.line(event(n_rows=n_rows, log_likelihood=-61.25, change=1e-3, seconds_left=3725.2)) == (
        f"iteration    7 of 20  log-likelihood     -61.250000  change  1.00e-03  {written:>5} rows/s"
        "   1:02:05 left"
    )


def drawn(monkeypatch, width, told):
    """What a terminal of that width shows once a bar was told of some events."""
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    monkeypatch.setattr(progress, "_console", lambda: console)
    with progress.shown(True) as listeners:
        for each in told:
            assert not any(listener(each) for listener in listeners)
    return console.file.getvalue()


def test_a_bar_in_a_terminal(monkeypatch):
    told = event(log_likelihood=-61.25, change=1e-3, n_rows=4567, seconds_left=65)
    text = drawn(monkeypatch, 100, [told])
    for part in (
        "moments",
        "7/20",
        "log-likelihood -61.25",
        "change 1.0e-03",
        "4.57k rows/s",
        "0:01:05 left",
    ):
        assert part in text
    assert "━" in text


@pytest.mark.parametrize("width", [80, 100])
def test_a_bar_takes_one_line(monkeypatch, width):
    told = event(niter=200, number=123, log_likelihood=-1661.253456, n_rows=123456, seconds_left=36000)
    last = [part for part in drawn(monkeypatch, width, [told]).split("\x1b[2K") if "left" in part][-1]
    last = last.split("\n")[0].rstrip()
    assert last.startswith("123/200 ━")
    assert last.endswith("10:00:00 left")
    assert len(last) <= width


def test_the_bar_of_a_converged_fit_is_full(monkeypatch):
    half, full = (drawn(monkeypatch, 100, [event(converged=converged)]) for converged in (False, True))
    assert "7/20" in full
    assert full.count("━") > half.count("━")


def test_a_bar_counts_the_passes_of_many_fits(monkeypatch):
    told = PassEvent(
        number=7,
        n_passes=40,
        n_going=3,
        n_fits=12,
        n_rows=4567,
        seconds=1.0,
        elapsed=7.0,
        seconds_left=65.0,
    )
    text = drawn(monkeypatch, 80, [told])
    for part in ("7/40", "3 of 12 fits go on", "4.57k rows/s", "0:01:05 left"):
        assert part in text
    full = drawn(monkeypatch, 80, [dataclasses.replace(told, number=40, n_going=0, seconds_left=0.0)])
    assert full.count("━") > text.count("━")


SCRIPT = """
import sys
from dask_igtm.cli.base import say
from dask_igtm.fitting.progress import IterationEvent, shown
with shown(True) as (show,):
    say("a line above the bar")
    show(IterationEvent(3, 3, -61.25, -61.5, 0.1, 1e-3, False, 1000.0, 0.5, 1.5, 0.0))
print("IPython" in sys.modules, "rich" in sys.modules)
"""


def test_a_real_terminal_gets_a_bar():
    code, printed, shown = terminal.run(sys.executable, "-c", SCRIPT, TERM="xterm", COLUMNS="100")
    assert (code, printed) == (0, "False True\n")
    for part in ("3/3", "log-likelihood -61.25", "2k rows/s", "\x1b[", "\x1b[2Ka line above the bar\r\n"):
        assert part in shown
    assert "iteration" not in shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "term", "draws"),
    [(Terminal(), "xterm", True), (Terminal(), "dumb", False), (io.StringIO(), "xterm", False)],
)
def test_where_a_bar_is_drawn(monkeypatch, stream, term, draws):
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", term)
    assert (progress._console() is not None) == draws


@pytest.mark.parametrize("widgets", [None, "there"])
def test_a_notebook_draws_with_widgets_alone(monkeypatch, widgets):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr("rich.console.Console", functools.partial(Console, force_jupyter=True))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: widgets)
    assert (progress._console() is not None) == (widgets is not None)


def test_lines_without_rich(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "rich.console", None)
    assert progress._console() is None


def test_names_of_tasks():
    names = set()

    def note(key, *_):
        names.add(key[0].rsplit("-", 1)[0] if isinstance(key, tuple) else key)

    with Callback(pretask=note):
        igtm(niter=1, persist=False).fit(da.from_array(correlated(40_000, 5), chunks=(100, 5)))
    assert {"igtm-moments", "igtm-estep", "igtm-combine", "igtm-likelihood"} <= names


N = 300


def small(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


def test_fit_prints_a_line_an_iteration_if_verbose_and_nothing_by_default(rows, capfd):
    small().fit(rows)
    small().fit_transform(da.from_array(rows, chunks=(100, -1))).compute()
    assert capfd.readouterr() == ("", "")
    small(verbose=True).fit(rows)
    printed = capfd.readouterr()
    assert len((printed.out + printed.err).strip().splitlines()) == 6
