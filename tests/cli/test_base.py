"""How commands speak, how they fail, and who computes."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import types
import warnings

import numpy as np
import pytest
import zarr
from helpers.cluster import running
from helpers.command_line import FIT, HEEDING
from helpers.data import correlated
from helpers.hostile import ACTIVE

from dask_igtm import IGTM, load
from dask_igtm.cli import base
from dask_igtm.cli.commands import main

X = correlated(600, 5)
COMMANDS = ("convert", "fit", "zoom", "atlas", "transform", "report", "info", "estimate")
SMALL = ("--k", "4", "--m", "2", "--niter", "5", "--tol", "0")

# What goes where


def test_facts_in_words_on_stdout_and_progress_on_stderr(cli):
    code, out, err = cli("fit", "x.zarr", "-o", "m.npz", *SMALL)
    assert code == 0
    assert {"path", "rows", "converged"} <= {line.split()[0] for line in out.splitlines()}
    lines = [line for line in err.splitlines() if line.startswith("iteration")]
    assert len(lines) == 5
    assert err.splitlines()[-1] == "not converged after 5 iterations; for more, give a larger --niter"


def test_of_many_columns_a_few_are_told_in_words_and_all_in_json(cli, folder):
    names = [f"gene {i}" for i in range(2000)]
    zarr.create_array(folder / "wide.zarr", data=np.zeros((3, 2000)), attributes={"columns": names})
    assert "gene 10, gene 11, and 1,988 more\n" in cli("info", "wide.zarr")[1]
    assert json.loads(cli("info", "wide.zarr", "--json")[1])["columns"] == names


def test_quiet(cli, model):
    assert cli("transform", model, "x.zarr", "-o", "y.zarr", "--quiet")[2] == ""
    _, _, err = cli("fit", "x.zarr", "-o", "n.npz", *SMALL, "--quiet")
    assert "iteration  " not in err


def test_warnings_are_one_line_each(cli):
    # pytest turns warnings into errors, and the command shows them.
    zarr.create_array("far.zarr", data=1e3 + X, chunks=(600, 5))
    code, _, err = cli("fit", "far.zarr", "-o", "m.npz", "--scale", "none", "--niter", "2")
    assert code == 0
    (line,) = [line for line in err.splitlines() if line.startswith("Warning")]
    assert "scale" in line


def test_warnings_of_packages_that_the_options_come_from_are_a_line_too(cli, monkeypatch):
    def warn():
        warnings.warn("joblib will operate\nin serial mode", stacklevel=1)
        return []

    monkeypatch.setattr(base, "estimator_options", warn)
    _, _, err = cli("estimate", "x.zarr")
    assert set(err.splitlines()) == {"Warning: joblib will operate in serial mode"}


# Failing

FAILURES = [
    (["fit", "x.zarr"], 2, "--output"),
    (["fit", "x.zarr", "-o", "n.npz", "--solver", "newton"], 2, "'em', 'accelerated'"),
    (["fit", "x.zarr", "-o", "n.npz", "--k", "many"], 2, "not a valid integer"),
    (["fit", "x.npy", "-o", "n.npz"], 2, "first run: dask-igtm convert x.npy x.zarr"),
    (["fit", "x.csv.gz", "-o", "n.npz"], 1, "There is no file"),
    (["transform", "m.npz", "x.zarr", "-o", "y.feather"], 1, "give one of .parquet, .pq, .csv, .zarr"),
    (["fit", "x.zarr", "-o", "n.npz", "--scheduler", "tcp://a:1", "--workers", "2"], 2, "not both"),
    (["fit", "x.zarr", "-o", "n.npz", "--workers", "0"], 2, "--workers"),
    (["nothing"], 2, "No such command"),
    (["fit", "x.zarr", "-o", "n.npz", "--missing", "often"], 1, "--missing often; give one of"),
    (["fit", "none.zarr", "-o", "n.npz"], 1, "none.zarr'; give the path"),
    (["fit", "x.zarr", "-o", "none/n.npz"], 1, "no folder"),
    (["fit", "x.zarr", "-o", "m.npz"], 1, "something at 'm.npz'"),
    (["fit", "x.zarr", "-o", "wide.zarr", "--overwrite"], 1, "a folder at 'wide.zarr'"),
    (["fit", "x.zarr", "-o", "x.zarr"], 1, "'x.zarr' is the input"),
    (["fit", "x.zarr", "-o", "x.zarr/m.npz", "--overwrite"], 1, "'x.zarr/m.npz' is the input"),
    (["fit", "x.zarr", "-o", "m.npz", "--checkpoint", "./m.npz"], 1, "'m.npz' is the input"),
    (["fit", "x.zarr", "-o", "n.npz", "--checkpoint", "x.zarr/m.npz"], 1, "'x.zarr/m.npz' is the input"),
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
    monkeypatch.setattr(IGTM, "write_table", lambda *_, **__: 1 / 0)
    code, _, err = cli("transform", model, "x.zarr", "-o", "y.zarr")
    assert (code, err) == (1, "Error: ZeroDivisionError: division by zero, see --debug\n")


def test_every_command_has_json_debug_and_quiet():
    assert sorted(main.commands) == sorted(COMMANDS)
    for command in main.commands.values():
        assert {"json", "debug", "verbose"} <= {parameter.name for parameter in command.params}


# Text of the user

EVIL = "\x1b[31m\n\u2028\0\x9b\u202e漢"
AS_PYTHON_WRITES_IT = r"\x1b[31m\n\u2028\x00\x9b\u202e漢"
NO_UTF8 = "\udcff\x1b[2J"


def test_names_are_told_as_they_are_and_do_nothing(cli, folder):
    zarr.create_array("e.zarr", data=X, attributes={"columns": [EVIL, *"bcde"]})
    code, out, _ = cli("info", "e.zarr")
    assert code == 0
    assert f"{AS_PYTHON_WRITES_IT}, b, c, d, e\n" in out
    assert not ACTIVE.search(out)
    assert json.loads(cli("info", "e.zarr", "--json")[1])["columns"][0] == EVIL


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["info", f"{NO_UTF8}.npz"], 1),
        (["fit", f"{NO_UTF8}.zarr", "-o", "m.npz"], 1),
        (["fit", f"{NO_UTF8}.npy", "-o", "m.npz"], 2),
        (["fit", "x.zarr", "-o", f"{NO_UTF8}/m.npz"], 1),
        (["fit", "x.csv", "-o", "m.npz", "--columns", f"{NO_UTF8},b"], 1),
        (["fit", "x.zarr", "-o", "m.npz", "--solver", f"{NO_UTF8}"], 2),
        (["info", "x.zarr", f"{NO_UTF8}"], 2),
        (["info", "x.zarr", f"--{NO_UTF8}"], 2),
        ([NO_UTF8], 2),
        ([f"--{NO_UTF8}"], 2),
    ],
)
def test_what_was_typed_does_nothing_in_an_error(cli, folder, arguments, code):
    (folder / "x.csv").write_text("a,b\n1,2\n")
    found, out, err = cli(*arguments)
    assert (found, out) == (code, "")
    assert err.splitlines()[-1].startswith("Error: ")
    assert r"\udcff\x1b[2J" in err
    assert not ACTIVE.search(err)


def test_warnings_and_logs_do_nothing(cli, folder):
    fit = ("--checkpoint", f"{NO_UTF8}.npz", *SMALL)
    (folder / "x.csv").write_text("\x9ba,b\nu,2\nv,3\nw,5\n")
    _, _, warned = cli("estimate", "x.csv")
    assert r"Warning: " in warned
    assert r"\x9ba" in warned
    assert cli("fit", "x.zarr", "-o", "m.npz", *fit)[0] == 0
    _, _, logged = cli("fit", "x.zarr", "-o", "n.npz", *fit)
    assert r"checkpoint '\udcff\x1b[2J.npz'" in logged
    assert not ACTIVE.search(warned + logged)


def test_what_a_terminal_cannot_encode_is_written_as_python_writes_it(folder):
    zarr.create_array("e.zarr", data=X, attributes={"columns": [EVIL, "ä", *"cde"]})
    command = [sys.executable, "-m", "dask_igtm", "info", "e.zarr"]
    latin = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(command, capture_output=True, check=True, env=latin)
    assert r"\u6f22, ä, c".encode("latin-1") in done.stdout


# Misunderstood

MISUNDERSTOOD = [
    ["fit", "x.zarr"],
    ["fit", "-o", "n.npz"],
    ["fit", "x.zarr", "-o", "n.npz", "--kk", "3"],
    ["fit", "x.zarr", "-o", "n.npz", "--solver", "newton"],
    ["fit", "x.zarr", "-o", "n.npz", "--scheduler", "tcp://a:1", "--workers", "2"],
    ["fit", "x.npy", "-o", "n.npz"],
    ["nothing"],
    ["--nothing"],
    ["info"],
]


@pytest.mark.parametrize("arguments", MISUNDERSTOOD, ids=" ".join)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_misunderstood_is_told_in_json_too(cli, arguments, first):
    code, out, err = cli(*(["--json", *arguments] if first else [*arguments, "--json"]))
    assert code == 2
    assert f"Error: {json.loads(out)['error']}" == err.splitlines()[-1]
    assert cli(*arguments) == (code, "", err)


def test_json_may_be_asked_for_before_the_command(cli, model):
    assert json.loads(cli("--json", "info", model)[1]) == json.loads(cli("info", model, "--json")[1])
    assert json.loads(cli("--json", "info", "none.npz")[1])["error"] in cli("info", "none.npz")[2]


def test_a_file_of_the_name_of_an_option(cli):
    code, out, err = cli("info", "--", "--json")
    assert (code, out) == (1, "")
    assert "'--json'" in err


def test_json_has_no_infinity(cli, model, monkeypatch):
    monkeypatch.setattr(IGTM, "estimate", lambda *_: types.SimpleNamespace(one=-np.inf, other=np.nan))
    assert json.loads(cli("estimate", "x.zarr", "--json")[1]) == {"one": None, "other": None}


def test_memory_that_runs_out_is_told_with_what_to_do(cli, model, monkeypatch):
    def run_out(*_, **__):
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr(IGTM, "write_table", run_out)
    code, _, err = cli("transform", model, "x.zarr", "-o", "y.zarr")
    assert code == 1
    assert err.startswith("Error: Out of memory: Unable to allocate 9 TiB; take smaller chunks")
    assert len(err.splitlines()) == 1


# Ended from outside


def ended_by(process, line, signum):
    for said in process.stderr:
        if said.startswith(line):
            break
    process.send_signal(signum)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.slow
def test_a_fit_that_is_terminated_says_what_is_kept(folder):
    command = [
        sys.executable,
        "-m",
        "dask_igtm",
        *FIT,
        "--niter",
        "1000000",
        "--checkpoint",
        "c.npz",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    code, out, err = ended_by(process, "iteration    3", signal.SIGTERM)
    assert code == 143
    assert json.loads(out) == {"error": err.splitlines()[-1]}
    assert err.splitlines()[-1].endswith("the same command goes on from it")
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["c.npz", "x.zarr"]


@pytest.mark.slow
def test_nobody_reads_what_is_printed(model):
    command = [sys.executable, "-m", "dask_igtm", "info", model, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


# Computing elsewhere


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("dask_igtm.cli.clusters.PATIENCE", 0.3)


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:1", "tls://127.0.0.1:1", "foo://a:1", "a", "", "inproc://a"]
)
def test_no_scheduler(cli, impatient, address):
    code, out, err = cli("fit", "x.zarr", "-o", "m.npz", "--scheduler", address)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: No Dask scheduler answers at {address!r}: ")
    assert len(err.splitlines()) == 1


def test_something_that_never_says_anything(cli, impatient):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        code, _, err = cli("estimate", "x.zarr", "--scheduler", address)
    assert code == 1
    assert "nobody does within" in err
    assert len(err.splitlines()) == 1


@pytest.mark.slow
def test_a_scheduler_that_dies_in_a_fit(folder):
    (folder / "cluster").mkdir()
    with running(folder / "cluster") as cluster:
        command = [sys.executable, "-m", "dask_igtm", *FIT, "--niter", "100000", "--checkpoint", "c.npz"]
        process = subprocess.Popen(
            [*command, "--scheduler", cluster.address], stderr=subprocess.PIPE, text=True
        )
        for line in process.stderr:
            if line.startswith("iteration    3"):
                break
        cluster.kill_scheduler()
        _, err = process.communicate(timeout=60)
    lines = [line for line in err.splitlines() if not line.startswith("iteration ")]
    assert process.returncode == 1
    assert len(lines) == 1
    assert lines[0].startswith(f"Error: The scheduler at {cluster.address} was lost")
    assert "'c.npz'" in lines[0]


@pytest.mark.slow
def test_a_worker_is_no_scheduler(cli, folder):
    (folder / "cluster").mkdir()
    with running(folder / "cluster") as cluster:
        with cluster.client(2) as client:
            worker = next(iter(client.scheduler_info()["workers"]))
        _, _, err = cli("estimate", "x.zarr", "--scheduler", worker)
    assert "a Worker does" in err


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


# Where commands are run


def test_a_folder_that_is_gone_is_said_to_be(cli, folder, monkeypatch):
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert cli("info", folder / "x.zarr") == (
        1,
        "",
        "Error: The folder that this was started in is gone; change to another.\n",
    )


@pytest.mark.parametrize("lacking", ["shared memory", "a folder for temporary files"])
def test_worker_processes_that_cannot_be_started(cli, monkeypatch, lacking):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    if lacking == "shared memory":
        monkeypatch.setattr(multiprocessing, "Lock", refuse)
    else:
        monkeypatch.setattr(tempfile, "gettempdir", refuse)
    code, out, err = cli("fit", "x.zarr", "-o", "m.npz", *SMALL, "--workers", "1", "--quiet")
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert "Read-only file system" in line
    assert "/dev/shm" in line
    assert "Without --workers, threads of this process compute." in line


def test_notes_are_sentences_after_the_error(cli, folder, model):
    (folder / "x.zarr" / "c" / "3" / "0").write_bytes(b"damaged")
    code, _, err = cli("transform", model, "x.zarr", "-o", "y.zarr", "--quiet")
    assert code == 1
    (line,) = err.splitlines()
    assert line.endswith(". This happened in rows 0:600 of X.")


@pytest.mark.slow
def test_what_a_failed_read_leaves_behind_says_nothing_at_exit(folder):
    code = """if True:
        import atexit, logging, sys
        atexit.register(logging.getLogger("asyncio").error, "Task was destroyed but it is pending!")
        from dask_igtm.__main__ import run
        sys.argv[1:] = ["info", "none.npz"]
        run()
    """
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stderr == "Error: There is no file at 'none.npz'.\n"
