"""Machines without room, rights or a home: a process in each runs many commands there.

    python -m attacks.places FOLDER

is such a process; it reads commands from stdin, and writes what became of each.
"""

import contextlib
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr
from attacks.attack import HARMLESS, REFUSED, Attack
from click.testing import CliRunner
from helpers.cluster import end
from helpers.rights import give_up

from dask_igtm import IGTM, load
from dask_igtm.cli.commands import main as dask_igtm
from dask_igtm.data.table_files import open_path

N_ROWS = 3000
SMALL = ("--k", "4", "--m", "2", "--niter", "2", "--tol", "0", "--quiet")
SILENT = {"PYTHONWARNINGS": "ignore::UserWarning"}  # what packages say where they are imported
HERE = SILENT | {
    "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parents[1])))
}
LEFT = (".part", ".partial", ".lock", "~")
LIMITS = {"size": resource.RLIMIT_FSIZE, "files": resource.RLIMIT_NOFILE}


def written(out, source, *more):
    """Commands that write something to a folder, each with where that is."""
    rows, model = f"{source}/x.zarr", f"{source}/m.npz"
    several = [
        ("m.npz", ["fit", rows, "-o", "{}", *SMALL]),
        ("n.npz", ["fit", rows, "-o", "{}", "--checkpoint", f"{out}/c.npz", *SMALL]),
        ("x.zarr", ["convert", f"{source}/x.npy", "{}"]),
        ("deep/x.zarr", ["convert", f"{source}/x.csv", "{}"]),
        ("p.zarr", ["transform", model, rows, "-o", "{}", "--quiet"]),
        ("p.csv", ["transform", model, rows, "-o", "{}", "--quiet"]),
        ("p.parquet", ["transform", model, rows, "-o", "{}", "--quiet"]),
        ("r.html", ["report", model, rows, "-o", "{}", "--quiet"]),
    ]
    return [
        ([word.format(f"{out}/{name}") for word in (*words, *more)], f"{out}/{name}")
        for name, words in several
    ]


def is_whole(path):
    """Say whether an output is all of it; None where nothing is, or what says that it is cut short."""
    if not path.exists() or (path.is_dir() and is_cut_short(path)):
        return None
    return WHOLE[path.suffix](path)


def is_cut_short(folder):
    """Say whether a projection is begun and not complete."""
    if folder.suffix == ".parquet":
        return not any(label.read_bytes().startswith(b"PAR1") for label in folder.glob("projection.parquet"))
    labels = [json.loads(label.read_text())["attributes"] for label in folder.glob("zarr.json")]
    return not all(label.get("dask_igtm", {}).get("complete", True) for label in labels) or not labels


def is_whole_zarr(path):
    """Say whether an array, or a projection, has all of its rows."""
    found = zarr.open(path, mode="r")
    rows = found if isinstance(found, zarr.Array) else found["means"]
    return rows.shape[0] == N_ROWS and bool(np.isfinite(rows[:]).all())


WHOLE = {
    ".npz": lambda path: len(load(path).nodes_) == 16,
    ".html": lambda path: path.read_text().endswith("</html>\n"),
    ".csv": lambda path: len(path.read_text().splitlines()) == N_ROWS + 1,
    ".parquet": lambda path: open_path(str(path)).shape[0] == N_ROWS,
    ".zarr": is_whole_zarr,
}


def left_in(folder):
    """Return what no run should leave, once threads of Zarr have had time to clear up."""
    for _ in range(20):
        left = [str(path) for path in folder.rglob("*") if path.name.endswith(LEFT)]
        if not left:
            break
        time.sleep(0.1)
    return left


def outcome(arguments, path, home, limits):
    """Run a command, and say what became of it."""
    with limited(limits):
        ended = CliRunner().invoke(dask_igtm, arguments, prog_name="dask-igtm")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("Warning:", "not converged"))]
    left = left_in(home)
    whole = is_whole(path)
    what = f"{arguments[0]} {path.name}"
    if left:
        return f"{what} leaves {left}"
    if whole is False:
        return f"{what} is half-written"
    if ended.exit_code == 0:
        return HARMLESS if whole and not lines else f"{what} went well, but for {lines}"
    if ended.exit_code == 1 and len(lines) == 1 and lines[0].startswith("Error: "):
        return REFUSED if "see --debug" not in lines[0] else f"{what}: {lines[0]}"
    return f"{what} fails with {ended.exit_code}: {ended.stderr or ended.exception!r}"


def main():
    """Run commands as they come on stdin, each under its limits, and write their outcomes."""
    home = Path(sys.argv[1])
    if "user" in sys.argv[2:]:
        give_up()
    for line in sys.stdin:
        arguments, target, limits, modes = json.loads(line)
        kept = {path: os.stat(path).st_mode for path in modes}
        for path, mode in modes.items():
            os.chmod(path, mode)
        said = outcome(arguments, Path(target), home, limits)
        for path, mode in kept.items():
            os.chmod(path, mode)
        print(json.dumps(said), flush=True)


@contextlib.contextmanager
def limited(limits):
    """Let this process have no more than so much of something."""
    before = {name: resource.getrlimit(LIMITS[name]) for name in limits}
    for name, n in limits.items():
        resource.setrlimit(LIMITS[name], (n, before[name][1]))
    try:
        yield
    finally:
        for name, pair in before.items():
            resource.setrlimit(LIMITS[name], pair)


def made_source(folder):
    """A folder of what commands read."""
    folder.mkdir()
    X = np.random.default_rng(0).normal(size=(N_ROWS, 5)) * [5, 3, 1, 1, 1]
    zarr.create_array(folder / "x.zarr", data=X, chunks=(500, 5))
    np.save(folder / "x.npy", X)
    np.savetxt(folder / "x.csv", X, delimiter=",", header="a,b,c,d,e", comments="")
    igtm = IGTM(k=4, m=2, niter=2, tol=0).fit(X)
    igtm.save(folder / "m.npz")
    return folder


def run_all(home, commands, *who, before=(), env=None):
    """Yield the outcomes of commands in a process of their own, which may stand behind another."""
    errors = home.parent / "errors"
    with errors.open("wb") as stderr:
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "attacks.places", home, *who],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={"TMPDIR": str(home.parent), **os.environ, **HERE, **(env or {})},
            start_new_session=True,
        )
    try:
        with process.stdin as stdin:
            stdin.write("".join(json.dumps(command) + "\n" for command in commands))
        with process.stdout as stdout:
            yield from map(json.loads, stdout)
        process.wait(60)
    finally:
        end(process)
    if process.returncode or errors.read_text():
        yield f"the process ended with {process.returncode}: {errors.read_text()[-400:]}"


def without_rights(folder, rng):
    """Outputs to a folder that a user may not write to, and inputs that may not be read."""
    source, home = made_source(folder / "source"), folder / "out"
    (home / "again").mkdir(parents=True)
    closed = {str(home): 0o555}
    longer = ["--overwrite" if word == "--quiet" else word for word in SMALL] + ["--niter", "4"]
    goes_on = ["fit", f"{source}/x.zarr", "-o", f"{home}/m2.npz", "--checkpoint", f"{home}/c.npz", *longer]
    commands = [
        *((*command, {}, closed) for command in written(home, source)),
        *((*command, {}, {}) for command in written(home, source)),
        *((*command, {}, closed) for command in written(home, source, "--overwrite")),
        (goes_on, f"{home}/m2.npz", {}, closed),
    ]
    for name in ("x.zarr", "x.zarr/zarr.json", "x.zarr/c/3/0", "x.npy", "x.csv", "m.npz", "."):
        commands += [(*command, {}, {str(source / name): 0}) for command in written(home / "again", source)]
    yield from run_all(home, commands, "user")


def without_room(folder, rng):
    """Files that may grow no longer than at random, and projections that go on afterwards."""
    source, home = made_source(folder / "source"), folder / "out"
    commands = []
    for number, n_bytes in enumerate(np.exp(rng.uniform(np.log(10), np.log(2e5), 6)).astype(int)):
        (home / str(number)).mkdir(parents=True)
        several = written(home / str(number), source)
        commands += [(*command, {"size": int(n_bytes)}, {}) for command in several]
        commands += [
            (*command, {}, {}) for command in several if command[1].endswith(("p.zarr", "p.parquet"))
        ]
    yield from run_all(home, commands)


def on_a_full_disk(folder, rng):
    """Small disks of its own, which nobody else sees."""
    if not has_worlds():
        return
    source, home = made_source(folder / "source"), folder / "out"
    commands, mounts = [], []
    for number, n_bytes in enumerate((4096, *np.exp(rng.uniform(np.log(1e4), np.log(5e5), 4)).astype(int))):
        disk = home / str(number)
        disk.mkdir(parents=True)
        mounts.append(f"mount -t tmpfs -o size={n_bytes} tmpfs {shlex.quote(str(disk))}")
        commands += [(*command, {}, {}) for command in written(disk, source)]
    yield from run_all(home, commands, before=world(" && ".join(mounts)))


def has_worlds():
    """Say whether a process can have disks that nobody else sees."""
    return shutil.which("unshare") and not subprocess.run([*world("true"), "true"], check=False).returncode


def world(script):
    """What to put before a command, so that it sees other disks."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", f'{script} && exec "$@"', "sh")


NO_DISK = "mount --bind / / && mount -o remount,bind,ro / && mount -t tmpfs -o ro tmpfs /dev/shm"


def without_a_home(folder, rng):
    """Everything is read-only but one small disk, as in containers; homes and caches are missing."""
    if not has_worlds():
        return
    source, home = made_source(folder / "source"), folder / "out"
    home.mkdir()
    script = f"{NO_DISK} && mount -t tmpfs -o size=20m tmpfs {shlex.quote(str(home))}"
    on_workers = ["fit", f"{source}/x.zarr", "-o", f"{home}/w.npz", *SMALL, "--workers", "1"]
    commands = [(*command, {}, {}) for command in (*written(home, source), (on_workers, f"{home}/w.npz"))]
    nowhere = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR"), str(source / "nowhere"))
    yield from run_all(home, commands, before=world(script), env=nowhere)


def without_files(folder, rng):
    """Few open files; the report is left out, for what draws it panics by itself."""
    source, home = made_source(folder / "source"), folder / "out"
    commands = []
    for number, n_files in enumerate((100, 4, *rng.integers(5, 20, 4))):
        (home / str(number)).mkdir(parents=True)
        several = written(home / str(number), source)[:-1]
        commands += [(*command, {"files": int(n_files)}, {}) for command in several]
    yield from run_all(home, commands)


ATTACKS: tuple[Attack, ...] = (
    Attack("folders and files without rights", without_rights),
    Attack("files that may not grow", without_room),
    Attack("a disk that is full", on_a_full_disk),
    Attack("no home, no cache, no shared memory, all else read-only", without_a_home),
    Attack("few open files", without_files),
)

if __name__ == "__main__":
    main()
