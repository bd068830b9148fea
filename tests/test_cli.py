"""The command line: what it writes where, what it returns, and how it fails."""

import inspect
import json
import os
import signal
import subprocess
import sys
import types
import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.cluster import running
from helpers.data import correlated
from numpy.testing import assert_array_equal

from dask_igtm import IGTM, load
from dask_igtm.cli.commands import main
from dask_igtm.cli.estimator_options import SHOWN_OTHERWISE, estimator_options

X = correlated(600, 5)
COMMANDS = ("convert", "fit", "transform", "report", "info", "estimate")
SMALL = ("--k", "4", "--m", "2", "--niter", "5", "--tol", "0")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    zarr.create_array("x.zarr", data=X, chunks=(100, 5))
    return tmp_path


@pytest.fixture
def cli(capsys):
    """Run a command; return its exit code, stdout and stderr."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments], prog_name="dask-igtm")
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def model():
    IGTM(k=4, m=2, niter=2).fit(X).save("m.npz")
    return "m.npz"


def test_from_a_file_to_a_map(cli):
    np.save("x.npy", X)
    assert cli("convert", "x.npy", "again.zarr")[0] == 0
    assert_array_equal(zarr.open_array("again.zarr")[:], X)
    assert cli("fit", "again.zarr", "-o", "m.npz", *SMALL, "--scale", "standard")[0] == 0
    assert (
        cli("transform", "m.npz", "again.zarr", "-o", "y.zarr", "--outputs", "means,log_likelihood")[0] == 0
    )
    igtm = IGTM(k=4, m=2, niter=5, tol=0, scale="standard").fit(da.from_array(X, chunks=(600, 5)))
    assert load("m.npz").centers_.tobytes() == igtm.centers_.tobytes()
    assert load("m.npz").get_params() == igtm.get_params()
    group = zarr.open_group("y.zarr", mode="r")
    assert sorted(group.array_keys()) == ["log_likelihood", "means"]
    assert_array_equal(group["means"][:], igtm.transform(X))


def test_the_ridge_that_the_evidence_chose_is_told(cli):
    chosen = ("--niter", "8", "--scale", "center", "--regul", "auto")
    assert cli("fit", "x.zarr", "-o", "m.npz", *SMALL, *chosen)[0] == 0
    assert json.loads(cli("info", "m.npz", "--json")[1])["regul"] == load("m.npz").regul_ != "auto"


# Parameters


def test_every_parameter_is_an_option_with_its_default():
    given = {
        name: parameter.default
        for name, parameter in inspect.signature(IGTM.__init__).parameters.items()
        if name not in SHOWN_OTHERWISE
    }
    assert {
        option.name: option.callback(None, option, option.default) for option in estimator_options()
    } == given
    for option in estimator_options():
        assert option.help, option.name
        assert option.show_default
    assert {"self", "verbose"} == SHOWN_OTHERWISE


@pytest.mark.parametrize("command", ["fit", "estimate"])
def test_help_names_every_option(cli, command):
    code, out, _ = cli(command, "--help")
    assert code == 0
    for option in estimator_options():
        assert f"--{option.name.replace('_', '-')} " in out
    assert "[none|center|standard]" in out
    assert "[default: 200]" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--persist", "false"], {"persist": False}),
        (["--persist", "auto"], {"persist": "auto"}),
        (["--scale", "none", "--n-components", "2"], {"scale": None, "n_components": 2}),
        (["--n-components", "0.9", "--regul", "1e-2"], {"n_components": 0.9, "regul": 0.01}),
        (["--random-state", "none", "--missing", "median"], {"random_state": None, "missing": "median"}),
        (["--solver", "accelerated", "--model", "modes"], {"solver": "accelerated", "model": "modes"}),
    ],
)
def test_values_of_parameters(cli, arguments, expected):
    code, out, _ = cli("fit", "x.zarr", "-o", "m.npz", *SMALL, "--json", *arguments)
    assert code == 0
    given = IGTM(k=4, m=2, niter=5, tol=0, **expected).get_params()
    assert json.loads(out)["parameters"] == load("m.npz").get_params() == given


# What goes where


def test_facts_in_words_on_stdout_and_progress_on_stderr(cli):
    code, out, err = cli("fit", "x.zarr", "-o", "m.npz", *SMALL)
    assert code == 0
    assert {"path", "rows", "converged"} <= {line.split()[0] for line in out.splitlines()}
    lines = [line for line in err.splitlines() if line.startswith("iteration")]
    assert len(lines) == 5
    assert err.splitlines()[-1] == "not converged after 5 iterations; for more, give a larger --niter"


def test_quiet(cli, model):
    assert cli("transform", model, "x.zarr", "-o", "y.zarr", "--quiet")[2] == ""
    _, _, err = cli("fit", "x.zarr", "-o", "n.npz", *SMALL, "--quiet")
    assert "iteration  " not in err


def test_json_is_one_object(cli, model):
    np.save("x.npy", X)
    results = {
        name: json.loads(cli(*arguments, "--json")[1])
        for name, arguments in {
            "convert": ("convert", "x.npy", "c.zarr"),
            "fit": ("fit", "x.zarr", "-o", "fitted.npz", *SMALL),
            "transform": ("transform", model, "x.zarr", "-o", "y.zarr"),
            "info": ("info", model),
            "array": ("info", "x.zarr"),
            "group": ("info", "y.zarr"),
            "estimate": ("estimate", "x.zarr", "--niter", "7"),
        }.items()
    }
    assert results["convert"]["shape"] == results["array"]["shape"] == [600, 5]
    assert results["array"]["chunks"] == [100, 5]
    assert results["fit"]["log_likelihood"] == load("fitted.npz").log_likelihood_
    assert results["fit"]["iterations"] == 5
    assert results["info"]["converged"] is False
    assert results["group"] == results["transform"]
    assert results["group"]["complete"] is True
    assert results["group"]["means"] == [600, 2]
    assert results["estimate"]["n_passes"] == 9


def test_names_of_columns_are_told(cli):
    with open("x.csv", "w") as file:
        file.write("height,weight\n1,2\n3,5\n")
    assert "height, weight" in cli("convert", "x.csv", "named.zarr")[1]
    assert "height, weight" in cli("info", "named.zarr")[1]


def test_warnings_are_one_line_each(cli):
    # pytest turns warnings into errors, and the command shows them.
    zarr.create_array("far.zarr", data=1e3 + X, chunks=(600, 5))
    code, _, err = cli("fit", "far.zarr", "-o", "m.npz", "--regul", "100", "--niter", "2")
    assert code == 0
    (line,) = [line for line in err.splitlines() if line.startswith("Warning") and "offset" not in line][:1]
    assert "scale" in line


# Failing


FAILURES = [
    (["fit", "x.zarr"], 2, "--output"),
    (["fit", "x.zarr", "-o", "n.npz", "--solver", "newton"], 2, "'em', 'accelerated'"),
    (["fit", "x.zarr", "-o", "n.npz", "--k", "many"], 2, "not a valid integer"),
    (["fit", "x.npy", "-o", "n.npz"], 2, "first run: dask-igtm convert x.npy x.zarr"),
    (["fit", "x.csv.gz", "-o", "n.npz"], 2, "dask-igtm convert x.csv.gz x.zarr"),
    (["fit", "x.zarr", "-o", "n.npz", "--scheduler", "tcp://a:1", "--workers", "2"], 2, "not both"),
    (["fit", "x.zarr", "-o", "n.npz", "--workers", "0"], 2, "--workers"),
    (["nothing"], 2, "No such command"),
    (["fit", "x.zarr", "-o", "n.npz", "--missing", "often"], 1, "missing='often'; give one of"),
    (["fit", "none.zarr", "-o", "n.npz"], 1, "none.zarr'; give the path"),
    (["fit", "x.zarr", "-o", "none/n.npz"], 1, "no folder"),
    (["fit", "x.zarr", "-o", "x.zarr"], 1, "something at 'x.zarr'"),
    (["fit", "x.zarr", "-o", "x.zarr", "--overwrite"], 1, "something at 'x.zarr'"),
    (["transform", "none.npz", "x.zarr", "-o", "y.zarr"], 1, "no file at 'none.npz'"),
    (["transform", "m.npz", "x.zarr", "-o", "y.zarr", "--outputs", "colour"], 1, "give some of"),
    (["transform", "m.npz", "wide.zarr", "-o", "y.zarr"], 1, "features"),
    (["info", "text.txt"], 1, "not a file saved by dask_igtm"),
    (["convert", "x.npy", "x.zarr"], 1, "x.npy"),
    (["estimate", "gone.zarr"], 1, "gone.zarr"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), FAILURES)
def test_a_failure_is_one_line_and_a_code(cli, model, arguments, code, message, folder):
    zarr.create_array("wide.zarr", data=np.ones((20, 7)))
    (folder / "text.txt").write_text("no model")
    before = sorted(path.name for path in folder.iterdir())
    found, out, err = cli(*arguments)
    assert found == code
    assert out == ""
    *_, last = err.splitlines()
    assert last.startswith("Error: ")
    assert message in last
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_failing_block_is_told_with_its_rows_and_the_checkpoint(cli, folder):
    IGTM(k=4, m=2, niter=2).fit("x.zarr", checkpoint="fit.npz")
    (folder / "x.zarr" / "c" / "3" / "0").write_bytes(b"garbage")
    code, out, err = cli("fit", "x.zarr", "-o", "m.npz", "--json", "--persist", "false")
    assert code == 1
    assert len([line for line in err.splitlines() if line.startswith("Error")]) == 1
    assert "rows" in err
    assert json.loads(out)["error"] in err


def test_debug_shows_the_error_itself(model):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        main(["info", "none.npz", "--debug"])


def test_an_error_without_words_is_named(cli, model, monkeypatch):
    monkeypatch.setattr(IGTM, "project_to_zarr", lambda *_: 1 / 0)
    code, _, err = cli("transform", model, "x.zarr", "-o", "y.zarr")
    assert (code, err) == (1, "Error: ZeroDivisionError: division by zero, see --debug\n")


def test_a_model_is_not_replaced_unless_asked(cli, model):
    before = load(model).centers_.tobytes()
    assert cli("fit", "x.zarr", "-o", model, *SMALL)[0] == 1
    assert load(model).centers_.tobytes() == before
    assert cli("fit", "x.zarr", "-o", model, *SMALL, "--overwrite")[0] == 0
    assert load(model).n_iter_ == 5


# Going on


def test_fit_sets_out_from_another_map(cli, model):
    assert cli("fit", "x.zarr", "-o", "on.npz", *SMALL, "--init", model)[0] == 0
    expected = IGTM(k=4, m=2, niter=5, tol=0).fit("x.zarr", init=load(model))
    assert load("on.npz").centers_.tobytes() == expected.centers_.tobytes()


FIT = ("fit", "x.zarr", "-o", "m.npz", "--k", "4", "--m", "2", "--tol", "0")


# As `python -m dask_igtm.cli`, but heeding Ctrl-C where the tests run in the background of a shell.
HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from dask_igtm.cli.commands import main
main()
"""


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_command_goes_on(cli, folder):
    command = [sys.executable, "-c", HEEDING, *FIT, "--niter", "100000", "--checkpoint", "fit.npz"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("iteration    3"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("interrupted after iteration ")
    assert last.endswith(
        "; the checkpoint 'fit.npz' keeps what was done, and the same command goes on from it"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["fit.npz", "x.zarr"]
    done = int(last.removeprefix("interrupted after iteration ").split(";")[0])
    code, _, err = cli(*FIT, "--niter", done + 3, "--checkpoint", "fit.npz")
    assert code == 0
    # The signal may have come between writing a state and taking note of it.
    assert any(f"going on after iteration {n} " in err for n in (done, done + 1))
    whole = IGTM(k=4, m=2, tol=0, niter=done + 3).fit("x.zarr")
    assert load("m.npz").centers_.tobytes() == whole.centers_.tobytes()


def test_ctrl_c_without_a_checkpoint_says_what_would_have_helped(cli, folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(IGTM, "fit", interrupt)
    code, out, err = cli(*FIT)
    assert (code, out) == (130, "")
    assert err == (
        "interrupted before the first iteration; nothing is kept; with --checkpoint PATH the same command "
        "could go on\n"
    )
    assert not (folder / "m.npz").exists()


def test_a_conversion_that_was_cut_leaves_nothing(cli, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    np.save("x.npy", X)
    monkeypatch.setattr(zarr.Array, "append", interrupt)
    assert cli("convert", "x.npy", "new.zarr") == (130, "", "interrupted\n")
    assert sorted(path.name for path in folder.iterdir()) == ["x.npy", "x.zarr"]


def test_a_projection_that_was_cut_goes_on(cli, model, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dask_igtm.projection.to_zarr.write_rows", interrupt)
        code, _, err = cli("transform", model, "x.zarr", "-o", "y.zarr")
        assert code == 130
        assert err.splitlines()[-1] == "interrupted; the same command goes on with what is missing"
    assert "complete        no" in cli("info", "y.zarr")[1]
    assert cli("transform", model, "x.zarr", "-o", "y.zarr")[0] == 0
    assert "complete        yes" in cli("info", "y.zarr")[1]


def test_the_report_gets_model_rows_and_path(cli, model, monkeypatch, folder):
    asked = []
    fake = types.SimpleNamespace(report=lambda *arguments: asked.append(arguments))
    monkeypatch.setitem(sys.modules, "dask_igtm.plot.report", fake)
    assert cli("report", model, "x.zarr", "-o", "map.html")[0] == 0
    ((igtm, rows, path),) = asked
    assert isinstance(igtm, IGTM)
    assert (rows, path) == (str(folder / "x.zarr"), "map.html")


def test_a_report(cli, model, folder):
    pytest.importorskip("dask_igtm.plot.report")
    assert cli("report", model, "x.zarr", "-o", "map.html")[0] == 0
    assert "<html" in (folder / "map.html").read_text()


# Starting


def test_help_loads_nothing_slow():
    code = (
        "import sys, contextlib, dask_igtm.cli.commands\n"
        "with contextlib.suppress(SystemExit): dask_igtm.cli.commands.main(['--help'])\n"
        "print(*{'numpy', 'dask', 'sklearn', 'zarr', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert all(command in done.stdout for command in COMMANDS)
    assert "130  interrupted" in done.stdout


def test_every_command_has_json_debug_and_quiet():
    assert sorted(main.commands) == sorted(COMMANDS)
    for command in main.commands.values():
        assert {"json", "debug", "verbose"} <= {parameter.name for parameter in command.params}


# Computing elsewhere


@pytest.mark.slow
@pytest.mark.parametrize("interrupted", [False, True])
def test_worker_processes(interrupted, folder):
    command = [
        sys.executable,
        "-c",
        HEEDING,
        *FIT,
        "--niter",
        "6",
        "--workers",
        "2",
        "--checkpoint",
        "c.npz",
    ]
    if interrupted:  # as a terminal does it: every process of the group gets the signal
        process = subprocess.Popen(
            [*command, "--niter", "100000"],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for line in process.stderr:
            if line.startswith("iteration    3"):
                break
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in err
        assert "'c.npz' keeps" in err
    else:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "dashboard at" in done.stderr
        assert load("m.npz").centers_.tobytes() == whole(6)


def whole(niter):
    return IGTM(k=4, m=2, tol=0, niter=niter).fit("x.zarr").centers_.tobytes()


@pytest.mark.slow
def test_a_scheduler(cli, folder):
    (folder / "cluster").mkdir()
    with running(folder / "cluster") as cluster, warnings.catch_warnings():
        path = "x.zarr"  # the workers are at home elsewhere
        arguments = ("-o", "m.npz", *FIT[4:], "--niter", "4", "--scheduler", cluster.address)
        assert cli("fit", path, *arguments)[0] == 0
        assert cli("transform", "m.npz", path, "-o", "y.zarr", "--scheduler", cluster.address)[0] == 0
    assert load("m.npz").centers_.tobytes() == whole(4)
    assert zarr.open_group("y.zarr").attrs["dask_igtm"]["complete"]
