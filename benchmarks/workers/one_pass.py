"""Do passes when asked, by whichever dask_igtm this process finds; `before.py` keeps two of these.

It first says where that package is. Then each line asks for a pass by three words parted by tabs: the
folder of the rows and the model, "block" for an E-step of one block on one thread or "pass" for a whole
pass, and the name of the kernel. The answer is a line of its seconds and of the mean ln p(x) that it found.
It has to run with two commits, so it takes from the package only what both have.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable

import numpy as np

import dask_igtm
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.model.arrays import unpack
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.statistics.e_step import e_step

BLOCK = 20_000  # rows


def model_of(arrays: dict[str, np.ndarray]) -> Model:
    """Return the model of some arrays, also by a package that knows one noise alone."""
    try:
        from dask_igtm.noise import families
    except ImportError:
        return unpack(arrays)
    return unpack(arrays, families.unpack(arrays))


def passes(folder: str) -> dict[str, Callable[[str], tuple[float, float]]]:
    """Read the rows and the model of a folder; return what can be timed on them."""
    X = np.load(f"{folder}/X.npy")
    with np.load(f"{folder}/model.npz") as arrays:
        model = model_of(dict(arrays))
    source = prepare(row_blocks(X))
    some = np.ascontiguousarray(X[:: max(1, len(X) // BLOCK)])

    def of_block(kernel: str) -> tuple[float, float]:
        new = dataclasses.replace(model)  # each pass of a fit has another
        with single_threaded_blas:
            start = time.perf_counter()
            found = e_step(some, None, new, kernel)
            return time.perf_counter() - start, found.log_likelihood / len(some)

    def of_all(kernel: str) -> tuple[float, float]:
        new = dataclasses.replace(model)
        start = time.perf_counter()
        found = reduce(source, e_step, new, kernel, label="igtm-estep")
        return time.perf_counter() - start, found.log_likelihood / len(X)

    return {"block": of_block, "pass": of_all}


def main() -> None:
    """Answer until there is no more line."""
    print(dask_igtm.__file__, flush=True)
    held, known = "", {}
    for line in sys.stdin:
        folder, what, kernel = line.rstrip("\n").split("\t")
        if folder != held:
            held, known = folder, {}  # the rows before go first
            known = passes(folder)
        print(*known[what](kernel), flush=True)


if __name__ == "__main__":
    main()
