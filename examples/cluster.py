"""Map a Zarr array on a cluster, so that it can be broken off anywhere and run again.

    DASK_SCHEDULER_ADDRESS=tcp://scheduler:8786 python examples/cluster.py

Everything lies in one folder that the driver and all workers see: the rows (made up where there are none),
the checkpoint of the fit, the model, and the positions. `docker-compose up` runs this as its driver.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from pathlib import Path

import dask
import numpy as np
import zarr
from distributed import Client

from dask_igtm import IGTM

ROWS_PER_CHUNK = 20_000


def main() -> None:
    """Fit, save, project, and print a digest of the positions."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/data"), help="default: %(default)s")
    parser.add_argument("--rows", type=int, default=1_000_000, help="to make up; default: %(default)s")
    parser.add_argument("--niter", type=int, default=20, help="iterations; default: %(default)s")
    parser.add_argument(
        "--run", default="run", help="name of checkpoint, model and map; default: %(default)s"
    )
    parser.add_argument("--here", action="store_true", help="compute in this process instead")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("distributed").setLevel(logging.ERROR)
    data, run = arguments.folder / "x.zarr", arguments.folder / arguments.run
    if not data.exists():
        make_rows(data, arguments.rows)
    here = dask.config.set(scheduler="synchronous")
    with here if arguments.here else Client():
        # Plain EM, so that each iteration is a pass of the cluster.
        igtm = IGTM(k=16, niter=arguments.niter, tol=0, scale="standard", solver="em", persist=False)
        igtm.fit(data, checkpoint=run.with_suffix(".checkpoint.npz"))
        igtm.save(run.with_suffix(".npz"))
        positions = igtm.project_to_zarr(data, run.with_suffix(".zarr"))
    print(f"log-likelihood {igtm.log_likelihood_:.6f} after {igtm.n_iter_} iterations")
    print(f"digest {digest(positions)}")


def make_rows(path: Path, n_rows: int) -> None:
    """Store rows about a bent sheet in 20 columns; what is half written has another name."""
    rng = np.random.default_rng(0)
    half = path.with_suffix(".part")
    stored = zarr.create_array(
        half, shape=(n_rows, 20), chunks=(ROWS_PER_CHUNK, 20), dtype="f4", overwrite=True
    )
    sheet = rng.normal(size=(4, 20))
    for start in range(0, n_rows, ROWS_PER_CHUNK):
        u, v = rng.uniform(-1, 1, size=(2, min(ROWS_PER_CHUNK, n_rows - start)))
        rows = np.column_stack([u, v, u * v, u**2 - v**2]) @ sheet
        stored[start : start + len(rows)] = rows + 0.1 * rng.normal(size=rows.shape)
    half.rename(path)


def digest(group: zarr.Group) -> str:
    """Return a fingerprint of every bit of the arrays of a group."""
    total = hashlib.sha256()
    for name in sorted(group.array_keys()):
        array = group[name]
        for start in range(0, array.shape[0], array.chunks[0]):
            total.update(array[start : start + array.chunks[0]].tobytes())
    return total.hexdigest()


if __name__ == "__main__":
    main()
