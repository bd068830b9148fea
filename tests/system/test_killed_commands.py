"""Commands that are killed at their work leave nothing half-written, and are done again to the same bits."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import zarr
from helpers.command_line import HEEDING
from helpers.killed import COMMANDS, GOES_ON, OUTPUTS, finish, kill, prepare

from dask_igtm import load

pytestmark = pytest.mark.slow

ATLAS = ("atlas", "x.zarr", "-o", "a.npz", "--checkpoint", "c.npz", "--max-depth", "2", "--json")
# Enough iterations to be met at one.
LONG = ("--k", "6", "--m", "3", "--niter", "60", "--tol", "0", "--solver", "em")
FEW = ("--n-regions", "2", "--min-samples", "300", "--child", "k=4,m=2")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    prepare(folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(home):
    found = {}

    def once(name):
        if name not in found:
            found[name] = finish(name, home)
            output = home / OUTPUTS[name]
            (shutil.rmtree if output.is_dir() else lambda path: path.unlink())(output)
        return found[name]

    return once


KILLED = [(name, number) for name in COMMANDS for number in (signal.SIGKILL, signal.SIGINT)]


@pytest.mark.parametrize(("name", "number"), [*KILLED, ("Zarr", signal.SIGTERM), ("convert", signal.SIGTERM)])
def test_a_killed_command_is_run_again(name, number, home, undisturbed, tmp_path):
    folder = tmp_path / "home"
    expected = undisturbed(name)
    shutil.copytree(home, folder)
    code, said = kill(name, folder, number, blocks=12)
    there = folder / OUTPUTS[name]
    assert there.exists() == (name in GOES_ON)
    if number != signal.SIGKILL:
        assert not list(folder.glob("*.part"))
    if number == signal.SIGINT:
        assert code == 130
        assert said.startswith("interrupted")
    else:  # by SIGTERM it clears up likewise
        assert code == (128 + number if number == signal.SIGTERM else -number)
    assert finish(name, folder) == expected


def begin(folder):
    command = [sys.executable, "-c", HEEDING, *ATLAS, *LONG, *FEW]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, text=True, **pipes)


def end(folder):
    process = begin(folder)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    maps = [igtm.centers_.tobytes() for igtm in load(folder / "a.npz").maps_]
    return (json.loads(out)["table"], maps), err


def stop(folder, number, *said):
    """Send a signal once lines that begin so have come, in turn; return exit code and last line."""
    process = begin(folder)
    for pattern in said:
        for line in process.stderr:
            if re.match(pattern, line):
                break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, (err.splitlines() or [""])[-1]


def test_an_atlas_that_is_killed_at_every_level_comes_to_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    at = rng.normal(size=(4_000, 4)) + np.repeat(6 * np.eye(4), 1_000, axis=0)
    (tmp_path / "whole").mkdir()
    zarr.create_array(tmp_path / "whole" / "x.zarr", data=rng.permutation(at), chunks=(1_000, 4))
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    (expected, _), folder = end(tmp_path / "whole"), tmp_path / "cut"
    assert {row["map"].count("/") for row in expected[0]} == {0, 1, 2}
    assert stop(folder, signal.SIGKILL, "iteration    3")[0] == -signal.SIGKILL
    assert stop(folder, signal.SIGKILL, "level 1", "pass    3")[0] == -signal.SIGKILL
    code, said = stop(folder, signal.SIGINT, "level 1", "pass ")
    assert (code, said) == (
        130,
        "interrupted; the checkpoint 'c.npz' keeps what was done, and the same command goes on from it",
    )
    assert stop(folder, signal.SIGKILL, "level 2", "pass    3")[0] == -signal.SIGKILL
    assert not (folder / "a.npz").exists()
    found, said = end(folder)
    assert found == expected
    assert "\niteration " not in said  # of the root, which was done
    there = ["a.npz", "c.level-1.npz", "c.level-2.npz", "c.npz", "x.zarr"]
    assert sorted(path.name for path in folder.iterdir()) == there
