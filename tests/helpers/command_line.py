"""A fit by the command line, in a process that can be interrupted."""

FIT = ("fit", "x.zarr", "-o", "m.npz", "--k", "4", "--m", "2", "--tol", "0")
# As `python -m dask_igtm`, but heeding Ctrl-C where the tests run in the background of a shell.
HEEDING = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from dask_igtm.__main__ import run
run()
"""
