"""What a command line is given that it cannot do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import zarr
from click.testing import CliRunner

from dask_igtm import IGTM
from dask_igtm.cli.commands import main
from tests.attacks.attack import REFUSED, Attack

LONG = "n" * 300
NO_TABLES = [
    "none.zarr",
    "empty",
    "empty.csv",
    "empty.parquet",
    "empty.npz",
    "folder",
    "folder.zarr",
    "bytes.csv",
    "bytes.npz",
    "bytes.parquet",
    *(LONG + ending for ending in ("", ".zarr", ".csv", ".parquet", ".npz")),
    *(os.fsdecode(b"\xff\xfe") + ending for ending in ("", ".zarr", ".csv", ".parquet")),
    *("foo://x" + ending for ending in ("", ".zarr", ".csv", ".parquet")),
    *("http://127.0.0.1:1/x" + ending for ending in (".zarr", ".csv", ".parquet")),
    "http://[::1/x.zarr",
    "zip://x.zarr",
    "memory://x.zarr",
    "*.parquet",
    "",
    "::",
    "file://",
]
NO_TARGETS = [
    *(LONG + ending for ending in ("", ".zarr", ".csv", ".parquet", ".npz")),
    *("foo://x" + ending for ending in ("", ".zarr", ".csv", ".parquet")),
    *("http://127.0.0.1:1/x" + ending for ending in (".zarr", ".csv", ".parquet")),
    *("empty/x" + ending for ending in (".zarr", ".csv", ".parquet", ".npz")),
    "folder",
    "",
]
SIZES = [
    ("--k", "100000"),
    ("--m", "100000"),
    ("--k", "3000", "--m", "3000"),
    ("--k", "1000000000000"),
    ("--k", "10000000000000000000000"),
    ("--niter", "10000000000000000000000"),
    ("--n-blocks", "10000000000000000000000"),
    ("--n-components", "10000000000000000000000"),
    ("--random-state", "-10000000000000000000000"),
    ("--s", "1e400"),
]
MISUNDERSTOOD = [
    (),
    ("fit",),
    ("fit", "x.zarr"),
    ("fit", "x.zarr", "-o"),
    ("fit", "x.zarr", "-o", "m.npz", "--kk", "3"),
    ("fit", "x.zarr", "-o", "m.npz", "--k", "many"),
    ("fit", "x.zarr", "y.zarr", "-o", "m.npz"),
    ("fit", "x.npy", "-o", "m.npz"),
    ("fit", "x.zarr", "-o", "m.npz", "--scheduler", "tcp://a:1", "--workers", "2"),
    ("transform", "m.npz", "-o", "y.zarr"),
    ("nothing",),
    ("--nothing",),
    ("info", "--overwrite", "x.zarr"),
]


def files(folder: Path) -> None:
    """Write a table, a map, and what is neither."""
    zarr.create_array(folder / "x.zarr", data=np.random.default_rng(0).normal(size=(60, 3)), chunks=(20, 3))
    np.save(folder / "x.npy", np.zeros((60, 3)))
    IGTM(k=3, m=2, niter=1).fit(str(folder / "x.zarr")).save(folder / "map.npz")
    for name in ("empty", "empty.csv", "empty.parquet", "empty.npz"):
        (folder / name).touch()
    for name in ("bytes.csv", "bytes.npz", "bytes.parquet"):
        (folder / name).write_bytes(bytes(range(128, 256)))
    for name in ("folder", "folder.zarr"):
        (folder / name).mkdir()


def judged(code: int | None, out: str, err: str) -> str:
    """Say what is wrong with how a command in JSON fails, or that it was refused."""
    lines = err.splitlines()
    try:
        told = json.loads(out)
    except ValueError:
        return f"no JSON on stdout: {out[:100]!r}, stderr {err[-300:]!r}"
    if code not in {1, 2}:
        return f"exit code {code}"
    if code == 1 and len(lines) != 1:
        return f"{len(lines)} lines on stderr: {err[-300:]!r}"
    if "Traceback" in err or not lines[-1].startswith("Error: "):
        return f"no error on stderr: {err[-300:]!r}"
    if list(told) != ["error"] or f"Error: {told['error']}" != lines[-1]:
        return f"another error in JSON: {told}"
    return REFUSED if "see --debug" not in err else f"an error that says too little: {err}"


def tried(arguments: Sequence[str]) -> str:
    """Run a command here; say what came of it, with its arguments where that is a fault."""
    before = sorted(Path().rglob("*"))
    done = CliRunner().invoke(main, ["--json", *arguments], prog_name="dask-igtm")
    verdict = judged(done.exit_code, done.stdout, done.stderr)
    left = [str(path) for path in sorted(Path().rglob("*")) if path not in before]
    verdict = f"it leaves {left}" if verdict == REFUSED and left else verdict
    return verdict if verdict == REFUSED else f"{arguments!r:.200}: {verdict}"


def hostile_paths(folder: Path, _: np.random.Generator) -> Iterator[str]:
    """Give every command paths of what it cannot read, and paths where it cannot write."""
    files(folder)
    with contextlib.chdir(folder):
        for path in NO_TABLES:
            yield tried(["info", path])
            yield tried(["fit", path, "-o", "m.npz", "--quiet"])
            yield tried(["estimate", path])
            yield tried(["convert", path, "y.zarr"])
            yield tried(["transform", "map.npz", path, "-o", "y.zarr"])
            yield tried(["transform", path, "x.zarr", "-o", "y.zarr"])
            yield tried(["report", path, "x.zarr", "-o", "y.html"])
        for path in NO_TARGETS:
            yield tried(["fit", "x.zarr", "-o", path, "--quiet", "--k", "3", "--m", "2"])
            yield tried(["convert", "x.npy", path])
            yield tried(["transform", "map.npz", "x.zarr", "-o", path])
            yield tried(["report", "map.npz", "x.zarr", "-o", path])


def sizes_and_misunderstandings(folder: Path, _: np.random.Generator) -> Iterator[str]:
    """Ask for maps that cannot be held, numbers beyond all bounds, and what no command line says."""
    files(folder)
    with contextlib.chdir(folder):
        for size in SIZES:
            yield tried(["fit", "x.zarr", "-o", "m.npz", "--quiet", *size])
            yield tried(["estimate", "x.zarr", *size])
        for arguments in MISUNDERSTOOD:
            yield tried(arguments)


def dead_schedulers(folder: Path, _: np.random.Generator) -> Iterator[str]:
    """Name schedulers that are not there, or say nothing, in processes whose end is watched as well."""
    files(folder)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        port = silent.getsockname()[1]
        addresses = [
            f"tcp://127.0.0.1:{port}",
            f"ws://127.0.0.1:{port}",
            "tcp://127.0.0.1:1",
            "tcp://no.such.host.invalid:8786",
            "foo://x:1",
            "nowhere",
        ]
        command = [sys.executable, "-m", "dask_igtm", "fit", "x.zarr", "-o", "m.npz", "--json", "--scheduler"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started = [subprocess.Popen([*command, each], cwd=folder, text=True, **pipes) for each in addresses]
        for address, process in zip(addresses, started, strict=True):
            try:
                out, err = process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                yield f"{address}: waited for longer than a minute"
                continue
            verdict = judged(process.returncode, out, err)
            yield verdict if verdict == REFUSED else f"{address}: {verdict}"


ATTACKS: tuple[Attack, ...] = (
    Attack("commands with paths that cannot be read or written", hostile_paths),
    Attack("commands with sizes beyond memory, and lines that say nothing", sizes_and_misunderstandings),
    Attack("commands with schedulers that are not there, or say nothing", dead_schedulers),
)
