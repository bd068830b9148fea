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
import uuid
from pathlib import Path

import numpy as np
import zarr
from click.testing import CliRunner
from helpers.rights import give_up

from attacks.attack import HARMLESS, REFUSED, Attack

N_ROWS = 3000
SMALL = ("--k", "4", "--m", "2", "--niter", "2", "--tol", "0", "--quiet")
HERE = {"PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parents[1])))}
LIMITS = {"size": resource.RLIMIT_FSIZE, "files": resource.RLIMIT_NOFILE}


def written(out, source):
    """Commands that write something to a folder, each with the name of that."""
    rows, model = f"{source}/x.zarr", f"{source}/m.npz"
    return [
        (["fit", rows, "-o", f"{out}/m.npz", *SMALL], "m.npz"),
        (["fit", rows, "-o", f"{out}/n.npz", "--checkpoint", f"{out}/c.npz", *SMALL], "n.npz"),
        (["convert", f"{source}/x.npy", f"{out}/x.zarr"], "x.zarr"),
        (["convert", f"{source}/x.csv", f"{out}/deep/x.zarr"], "deep/x.zarr"),
        (["transform", model, rows, "-o", f"{out}/p.zarr", "--quiet"], "p.zarr"),
        (["transform", model, rows, "-o", f"{out}/p.csv", "--quiet"], "p.csv"),
        (["transform", model, rows, "-o", f"{out}/p.parquet", "--quiet"], "p.parquet"),
        (["report", model, rows, "-o", f"{out}/r.html", "--quiet"], "r.html"),
    ]


def is_whole(path):
    """Say whether an output is all of it; None where nothing is, or what says that it is cut short."""
    from dask_igtm import load
    from dask_igtm.data.table_files import open_path

    if not path.exists():
        return None
    if path.suffix == ".npz":
        return len(load(path).nodes_) == 16
    if path.suffix == ".html":
        return path.read_text().endswith("</html>\n")
    if path.suffix == ".csv":
        return len(path.read_text().splitlines()) == N_ROWS + 1
    if path.suffix == ".parquet":
        parts = [part for part in path.glob("projection.parquet") if part.read_bytes().startswith(b"PAR1")]
        return len(open_path(str(path)).shape) == 2 and open_path(str(path)).shape[0] == N_ROWS if parts else None
    if not any(path.rglob("zarr.json")):
        return None
    found = zarr.open(path, mode="r")
    if isinstance(found, zarr.Array):
        return found.shape == (N_ROWS, 5)
    return bool((found["means"][:] == found["means"][:]).all()) if found.attrs["dask_igtm"]["complete"] else None


def outcome(arguments, path, home):
    """Run a command, and say what became of it."""
    from dask_igtm.cli.commands import main

    ended = CliRunner().invoke(main, arguments, prog_name="dask-igtm")
    lines = [line for line in ended.stderr.splitlines() if not line.startswith(("Warning:", "not converged"))]
    left = [str(p) for p in home.rglob("*") if p.name.endswith((".part", ".partial", ".lock", "~"))]
    whole = is_whole(path) if path else None
    what = f"{shlex.join(arguments[:1])} {path and path.name}"
    if left:
        return f"{what} leaves {left}"
    if whole is False:
        return f"{what} is half-written"
    if ended.exit_code == 0:
        return HARMLESS if (whole or path is None) and not lines else f"{what} went well, but for {lines}"
    if ended.exit_code == 1 and len(lines) == 1 and lines[0].startswith("Error: "):
        return REFUSED if "see --debug" not in lines[0] else f"{what}: {lines[0]}"
    return f"{what} fails with {ended.exit_code}: {ended.stderr or ended.exception!r}"


def main():
    """Run commands as they come on stdin, each under its limits, and write their outcomes."""
    home = Path(sys.argv[1])
    if "user" in sys.argv[2:]:
        give_up()
    import dask_igtm.cli.commands  # noqa: F401 - before there are limits

    for line in sys.stdin:
        arguments, name, limits, modes = json.loads(line)
        kept = {path: os.stat(path).st_mode for path in modes}
        for path, mode in modes.items():
            os.chmod(path, mode)
        with limited(limits):
            said = outcome(arguments, home / name if name else None, home)
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
    from dask_igtm import IGTM

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
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "attacks.places", home, *who],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"TMPDIR": str(home.parent), **os.environ, **HERE, **(env or {})},
    )
    said, errors = process.communicate("".join(json.dumps(command) + "\n" for command in commands), timeout=180)
    yield from map(json.loads, said.splitlines())
    if process.returncode or errors or len(said.splitlines()) < len(commands):
        yield f"the process ended with {process.returncode}: {errors[-400:]}"


def without_rights(folder, rng):
    """Outputs to a folder that a user may not write to, and inputs that may not be read."""
    source, home = made_source(folder / "source"), folder / "out"
    home.mkdir()
    rows, model = source / "x.zarr", source / "m.npz"
    commands = [(arguments, name, {}, {str(home): 0o555}) for arguments, name in written(home, source)]
    commands += [(arguments, name, {}, {}) for arguments, name in written(home, source)]
    targets = ("p.zarr", "p.csv", "p.parquet")
    replace = [(["transform", str(model), str(rows), "-o", f"{home}/{name}", "--overwrite"], name) for name in targets]
    more = [*SMALL[:4], "--niter", "4", *SMALL[6:]]
    replace += [
        (["fit", str(rows), "-o", f"{home}/m2.npz", "--checkpoint", f"{home}/c.npz", *more], "m2.npz"),
        (["convert", str(source / "x.npy"), f"{home}/x.zarr", "--overwrite"], "x.zarr"),
        (["fit", str(rows), "-o", f"{home}/m.npz", "--overwrite", *SMALL], "m.npz"),
        (["report", str(model), str(rows), "-o", f"{home}/r.html", "--overwrite"], "r.html"),
    ]
    commands += [(arguments, name, {}, {str(home): 0o555}) for arguments, name in replace]
    closed = ("x.zarr", "x.zarr/zarr.json", "x.zarr/c/3/0", "x.npy", "x.csv", "m.npz", ".")
    again = home / "again"
    for path in closed:
        commands += [
            (arguments, f"again/{name}", {}, {str(source / path): 0}) for arguments, name in written(again, source)
        ]
    again.mkdir()
    yield from run_all(home, commands, "user")


def without_room(folder, rng):
    """Files that may grow no longer than at random."""
    source, homes = made_source(folder / "source"), folder / "out"
    for n_bytes in np.exp(rng.uniform(np.log(10), np.log(2e5), 6)).astype(int):
        home = homes / uuid.uuid4().hex
        home.mkdir(parents=True)
        commands = [(arguments, name, {"size": int(n_bytes)}, {}) for arguments, name in written(home, source)]
        commands += [(arguments, name, {}, {}) for arguments, name in written(home, source) if name[0] == "p"]
        yield from run_all(home, commands)


def on_a_full_disk(folder, rng):
    """A small disk of its own, which nobody else sees."""
    if not has_worlds():
        return
    source, home = made_source(folder / "source"), folder / "out"
    home.mkdir()
    for n_bytes in (4096, *np.exp(rng.uniform(np.log(1e4), np.log(5e5), 4)).astype(int)):
        script = f"mount -t tmpfs -o size={n_bytes} tmpfs {shlex.quote(str(home))}"
        commands = [(arguments, name, {}, {}) for arguments, name in written(home, source)]
        yield from run_all(home, commands, before=world(script))


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
    workers = (["fit", f"{source}/x.zarr", "-o", f"{home}/w.npz", *SMALL, "--workers", "1"], "w.npz")
    commands = [(arguments, name, {}, {}) for arguments, name in (*written(home, source), workers)]
    nowhere = str(source / "nowhere")
    for changed in ({}, {"HOME": nowhere}, {"NUMBA_CACHE_DIR": nowhere, "TMPDIR": nowhere, "XDG_CACHE_HOME": nowhere}):
        yield from run_all(home, commands, before=world(script), env=changed)


def without_files(folder, rng):
    """Few open files."""
    source, homes = made_source(folder / "source"), folder / "out"
    for n_files in rng.integers(3, 40, 5):
        home = homes / uuid.uuid4().hex
        home.mkdir(parents=True)
        commands = [(arguments, name, {"files": int(n_files)}, {}) for arguments, name in written(home, source)]
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
