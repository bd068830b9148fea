"""Commands that are killed at their work leave nothing half-written, and are done again to the same bits."""

import shutil
import signal

import pytest
from helpers.killed import COMMANDS, GOES_ON, OUTPUTS, finish, kill, prepare

pytestmark = pytest.mark.slow


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
