"""Outputs at places that hold something else, or that the call reads, and outputs that are cut short."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr
from attacks.attack import HARMLESS, REFUSED, Attack
from click.testing import CliRunner
from helpers.command_line import HEEDING

from dask_igtm import IGTM, convert
from dask_igtm.cli.commands import main

OLD, N_ROWS = np.zeros((20, 3)), 400_000
FIT = ("--k", "3", "--m", "2", "--niter", "1")
# What writes to a place, by the ending of its name.
WRITERS = {
    "npz": ("fit", "x.zarr", *FIT, "-o"),
    "html": ("report", "m.npz", "x.zarr", "-o"),
    "csv": ("transform", "m.npz", "x.zarr", "-o"),
    "parquet": ("transform", "m.npz", "x.zarr", "-o"),
    "zarr": ("transform", "m.npz", "x.zarr", "-o"),
    "none": ("convert", "x.npy"),
    "state": ("fit", "x.zarr", *FIT, "-o", "other.npz", "--overwrite", "--checkpoint"),
}
CHOICES = {"npz", "html", "csv", "parquet", "zarr", "none"}  # which have --overwrite


def prepare():
    """Make rows, a file of rows and a map."""
    rows = np.random.default_rng(0).normal(size=(100, 3))
    zarr.create_array("x.zarr", data=rows, chunks=(50, 3))
    np.save("x.npy", rows)
    IGTM(k=3, m=2, niter=1).fit(rows).save("m.npz")


def run(*arguments):
    """Run a command, which may not wait for ever; return its exit code and what it says of failure."""

    def too_long(*_):
        raise RuntimeError("waits for ever")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(30)
    try:
        result = CliRunner().invoke(main, list(arguments))
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return result.exit_code, [line for line in result.stderr.splitlines() if line.startswith("Error: ")]


def snapshot(folder="."):
    """Return all that is in a folder: links, kinds, and what files hold."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        held = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[str(path)] = os.readlink(path) if path.is_symlink() else (path.lstat().st_mode, held)
    return found


def pipe(place):
    os.mkfifo(place)


def bound(place):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)


def full_folder(place):
    os.mkdir(place)
    Path(place, "thesis.tex").write_text("years")


def file(place):
    Path(place).write_text("years")


def foreign_group(place):
    zarr.create_group(place, attributes={"mine": 1}).create_array("y", data=OLD)


def loop(place):
    os.symlink(os.path.basename(place), place)


def link_to(make):
    def made(place):
        make("far")
        os.symlink("far", place)

    return made


def link_into_nothing(place):
    os.symlink("none/far", place)


def new_link(place):
    os.symlink("far", place)


THERE = {
    "pipe": pipe,
    "socket": bound,
    "folder": full_folder,
    "file": file,
    "foreign group": foreign_group,
    "loop": loop,
    "link to a pipe": link_to(pipe),
    "link to a folder": link_to(full_folder),
    "link to a file": link_to(file),
    "link into nothing": link_into_nothing,
    "new link": new_link,
}
FILES = {"npz", "html", "csv"}


def may_be_done(ending, there, overwrite):
    """Whether an output may come to what is there."""
    if there == "new link":
        return True
    if there == "link into nothing":  # where stores make the folder, as they do without a link
        return ending in {"parquet", "zarr", "none"}
    return there in {"file", "link to a file"} and ending in FILES and overwrite


def at_something_else(folder, _rng):
    """Let each writer meet each thing, with and without --overwrite."""
    with contextlib.chdir(folder):
        prepare()
        inputs = snapshot()
        for (ending, command), (there, make) in itertools.product(WRITERS.items(), THERE.items()):
            for overwrite in (False, True) if ending in CHOICES else (True,):
                yield _met(ending, command, there, make, overwrite, inputs)


def _met(ending, command, there, make, overwrite, inputs):
    place = f"out.{ending}"
    make(place)
    before = snapshot()
    code, errors = run(*command, place, *(["--overwrite"] if overwrite and ending in CHOICES else []))
    after = snapshot()
    _clear(inputs)
    what = f"{command[0]} to .{ending} at a {there}, overwrite={overwrite}"
    if any(name.endswith((".part", ".lock")) for name in after):
        return f"{what}: leaves a part"
    if {name: after.get(name) for name in inputs} != inputs:
        return f"{what}: an input has changed"
    if (
        code == 0
        and may_be_done(ending, there, overwrite)
        and after[place] == _kept(there, before, after, place)
    ):
        return HARMLESS
    if (
        code == 1
        and len(errors) == 1
        and {n: after.get(n) for n in before} == before
        and "Errno" not in errors[0]
    ):
        return REFUSED
    return f"{what}: {code} {errors}"


def _kept(there, before, after, place):
    """Return what has to be at a place: the link that was there, or whatever is new."""
    return before[place] if "link" in there else after[place]


def _clear(kept):
    for name in sorted(snapshot(), reverse=True):
        if name not in kept:
            path = Path(name)
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def within_inputs(folder, _rng):
    """Write to what is read, into it and around it, under every name that it has."""
    with contextlib.chdir(folder):
        prepare()
        os.symlink("x.zarr", "link.zarr")
        os.symlink("m.npz", "link.npz")
        os.mkdir("around.zarr")
        os.symlink("../x.zarr", "around.zarr/y")
        before = snapshot()
        for arguments, more in itertools.product(_onto_inputs(folder), ([], ["--overwrite"])):
            code, errors = run(*arguments, *more)
            wrong = code != 1 or len(errors) != 1 or snapshot() != before
            yield f"{' '.join(arguments)}: {code} {errors}" if wrong else REFUSED


def _onto_inputs(folder):
    """Return commands that write to what they read."""
    rows = ("x.zarr", "around.zarr/../x.zarr", "link.zarr", str(folder / "x.zarr"), f"file://{folder}/x.zarr")
    maps = ("m.npz", "link.npz", f"file://{folder}/m.npz")
    for read, written in itertools.product(rows, rows):
        for inside in ("", "/y.zarr", "/y.csv", "/y.parquet"):
            yield "transform", "m.npz", read, "-o", written + inside
        yield "fit", read, *FIT, "-o", f"{written}/m.npz"
    for read, written in itertools.product(maps, maps):
        yield "report", read, "x.zarr", "-o", written
        yield "fit", "x.zarr", *FIT, "-o", written, "--checkpoint", read
    for written in ("x.npy", "./x.npy", f"file://{folder}/x.npy", "x.npy/y.zarr"):
        yield "convert", "x.npy", written
    yield "transform", "m.npz", "around.zarr/y", "-o", "x.zarr"
    yield "transform", "m.npz", "around.zarr/y", "-o", "around.zarr/y/z.zarr"


def _whole(path):
    """Return how many rows an array has, which has to be readable wholly."""
    return len(zarr.open_array(path, mode="r")[:])


def _begun(folder):
    """Begin a conversion that takes a second or so, which replaces what is there."""
    if not (folder / "big.npy").exists():
        np.save(folder / "big.npy", np.random.default_rng(0).normal(size=(N_ROWS, 24)))
    if not (folder / "x.zarr").exists():
        zarr.create_array(folder / "x.zarr", data=OLD)
    command = [sys.executable, "-c", HEEDING, "convert", "big.npy", "x.zarr", "--overwrite"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    while process.poll() is None and not list(folder.glob(".x.zarr.*")):
        time.sleep(0.005)
    return process


def interrupted(folder, rng):
    """Press Ctrl-C up to three times, at any moment of a conversion."""
    for _ in range(12):
        process = _begun(folder)
        time.sleep(rng.uniform(0, 0.8))
        for _ in range(rng.integers(1, 4)):
            process.send_signal(signal.SIGINT)
            time.sleep(rng.uniform(0, 0.05))
        _, errors = process.communicate(timeout=60)
        left = {path.name for path in folder.iterdir()} - {"big.npy", "x.zarr"}
        if left or process.returncode not in {0, 130} or _whole(folder / "x.zarr") not in {len(OLD), N_ROWS}:
            yield f"{process.returncode} {errors} {left}"
        else:
            yield REFUSED if process.returncode else HARMLESS


def killed(folder, rng):
    """Kill a conversion at any moment, and convert again."""
    np.save(folder / "small.npy", OLD)
    for _ in range(12):
        process = _begun(folder)
        time.sleep(rng.uniform(0, 0.8))
        process.kill()
        process.communicate()
        with contextlib.suppress(FileExistsError):  # which is right, and clears what was left
            convert(str(folder / "small.npy"), str(folder / "x.zarr"))
        left = {path.name for path in folder.iterdir()} - {"big.npy", "small.npy", "x.zarr"} - {"x.zarr.lock"}
        sound = not left and _whole(folder / "x.zarr") in {len(OLD), N_ROWS}
        convert(str(folder / "small.npy"), str(folder / "x.zarr"), overwrite=True)
        yield HARMLESS if sound and not (folder / "x.zarr.lock").exists() else f"left {left}"


ATTACKS: tuple[Attack, ...] = (
    Attack("outputs at pipes, sockets, folders, links and files of others", at_something_else, 50),
    Attack("outputs that are their own input, in it or around it", within_inputs, 30),
    Attack("Ctrl-C, once or more, at any moment of a conversion", interrupted, 10),
    Attack("SIGKILL at any moment of a conversion that replaces", killed, 10),
)
