"""Commands that are made slow, and killed at their work."""

import subprocess
import sys

import numpy as np
import zarr
from helpers.data import correlated

from dask_igtm import IGTM

# As `python -m dask_igtm`, but that each block waits, and is told of when it is begun.
SLOWLY = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from dask_igtm.cli.commands import main
from dask_igtm.data import convert, row_blocks
from dask_igtm.passes import map_rows, reduce
delay = float(sys.argv.pop(1))

def slow(place, name):
    function = getattr(place, name)
    def slowly(*args):
        print("at work", flush=True)
        time.sleep(delay)
        return function(*args)
    setattr(place, name, slowly)

slow(*((reduce, "_work") if sys.argv[1] == "report" else (map_rows, "_write")))
slow(map_rows, "_map_block")
slow(convert, "_storable")
convert.CHUNK_BYTES = row_blocks.READ_BYTES = 4_000
main(prog_name="dask-igtm")
"""
TABLES = ("means", "modes", "responsibilities")
COMMANDS = {
    "Zarr": ("transform", "m.npz", "x.zarr", "-o", "out.zarr", "--outputs", ",".join(TABLES)),
    "Parquet": ("transform", "m.npz", "x.zarr", "-o", "out.parquet", "--outputs", ",".join(TABLES)),
    "CSV": ("transform", "m.npz", "x.zarr", "-o", "out.csv", "--outputs", ",".join(TABLES)),
    "convert": ("convert", "x.npy", "out.zarr"),
    "report": ("report", "m.npz", "x.zarr", "-o", "out.html"),
}
OUTPUTS = {
    "Zarr": "out.zarr",
    "Parquet": "out.parquet",
    "CSV": "out.csv",
    "convert": "out.zarr",
    "report": "out.html",
}
GOES_ON = ("Zarr", "Parquet")  # with what is missing; others have nothing under their name before the end


def prepare(folder):
    """Write what the commands read."""
    X = correlated(9_600, 5)
    zarr.create_array(folder / "x.zarr", data=X, chunks=(100, 5))
    np.save(folder / "x.npy", X)
    IGTM(k=4, m=2, niter=2).fit(X).save(folder / "m.npz")


def start(name, folder, delay, *more):
    command = [sys.executable, "-c", SLOWLY, str(delay), *COMMANDS[name], *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, text=True, **pipes)


def kill(name, folder, number, blocks):
    """Send a signal to a slow command once it has begun some blocks; return its exit code and last line."""
    process = start(name, folder, 0.2)
    begun = 0
    for line in process.stdout:
        begun += line == "at work\n"
        if begun == blocks:
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    return process.returncode, (err.splitlines() or [""])[-1]


def finish(name, folder):
    """Run a command to its end; return what it wrote."""
    process = start(name, folder, 0)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert name not in GOES_ON or "complete" in out
    return content(name, folder)


def content(name, folder):
    """Return the bytes of all files of an output, but of labels with the id of a run."""
    path = folder / OUTPUTS[name]
    if path.is_file():
        return path.read_bytes()
    labels = {"projection.parquet", "zarr.json"} if name in GOES_ON else set()
    files = (file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files if file.name not in labels}
