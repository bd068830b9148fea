"""Break a fit and a projection off, and let both go on where they were.

    python examples/resuming.py [--rows N]

A process that fits is killed without warning; the same call goes on from its checkpoint, to the bits of a fit
that was never cut. A projection runs into a chunk that cannot be read; once it can, the same call writes
what is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import dask.array as da
import numpy as np
import zarr
from sklearn.datasets import make_swiss_roll

from dask_igtm import IGTM


def main() -> None:
    """Cut and go on, twice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000, help="default: %(default)s")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "roll.zarr")
        X, _ = make_swiss_roll(rows, noise=0.5, random_state=0)
        zarr.create_array(data, data=X, chunks=(-(-rows // 20), 3))
        igtm = resume_a_fit(data, Path(folder, "checkpoint.npz"))
        resume_a_projection(igtm, data, Path(folder, "map.zarr"))


def fit(data: Path, checkpoint: Path | None) -> IGTM:
    """Fit 30 iterations, and keep the state of the fit after each in the checkpoint."""
    igtm = IGTM(k=10, scale="standard", niter=30, tol=0, verbose=checkpoint is not None)
    return igtm.fit(data, checkpoint=checkpoint)


def resume_a_fit(data: Path, checkpoint: Path) -> IGTM:
    """Kill a process that has fitted for a while, and make the same call again."""
    print("A process starts to fit:", flush=True)
    process = multiprocessing.get_context("spawn").Process(target=fit, args=(data, checkpoint))
    process.start()
    states = set()
    while process.is_alive() and len(states) < 10:  # let it get somewhere
        if checkpoint.exists():
            states.add(checkpoint.stat().st_mtime_ns)
        time.sleep(0.001)
    process.kill()
    process.join()
    print(f"It was killed. Its checkpoint has {checkpoint.stat().st_size:,} bytes; the same call goes on:")
    igtm = fit(data, checkpoint)
    same = np.array_equal(igtm.centers_, fit(data, None).centers_)
    print(f"The same bits as a fit that was never cut: {same}\n")
    return igtm


def resume_a_projection(igtm: IGTM, data: Path, target: Path) -> None:
    """See a projection fail with the rows to blame, and make the same call with rows that can be read."""
    X = da.from_zarr(zarr.open_array(data, mode="r"))
    try:
        igtm.project_to_zarr(X.map_blocks(fail_at_chunk_17, dtype=X.dtype), target)
    except OSError as error:
        print(f"The projection failed: {error} {' '.join(error.__notes__)}")
    written = np.isfinite(zarr.open_array(target / "log_likelihood", mode="r")[:])
    print(f"It had written {written.mean():.0%} of the rows. The disk is back, and the same call goes on.")
    group = igtm.project_to_zarr(X, target)
    written = np.isfinite(group["log_likelihood"][:])
    print(f"Written: {written.mean():.0%} of the rows, complete: {group.attrs['dask_igtm']['complete']}")


def fail_at_chunk_17(rows: np.ndarray, block_id: tuple[int, int]) -> np.ndarray:
    """Stand for a disk that is away."""
    if block_id[0] == 17:
        raise OSError("The disk does not answer.")
    return rows


if __name__ == "__main__":
    main()
