"""Break a fit and a projection off, and let both go on where they were.

    python examples/resuming.py [--rows N]

A process that fits is killed without warning; the same call goes on from its checkpoint, to the bits of a fit
that was never cut. A projection runs into a chunk that cannot be read; when the chunk is back, the same call
writes what is missing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
import zarr
from sklearn.datasets import make_swiss_roll

from dask_igtm import IGTM


def main() -> None:
    """Cut and go on, twice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000, help="default: %(default)s")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "roll.zarr")
        X, _ = make_swiss_roll(rows, noise=0.5, random_state=0)
        zarr.create_array(data, data=X, chunks=(-(-rows // 20), 3))
        igtm = resume_a_fit(data, Path(folder, "checkpoint.npz"))
        resume_a_projection(igtm, data, Path(folder, "map.zarr"))


def fit(data: Path, checkpoint: Path | None) -> IGTM:
    """Fit 60 iterations, and keep the state of the fit after each in the checkpoint."""
    igtm = IGTM(k=10, scale="standard", niter=60, tol=0, verbose=checkpoint is not None)
    return igtm.fit(data, checkpoint=checkpoint)


def resume_a_fit(data: Path, checkpoint: Path) -> IGTM:
    """Kill a process that fits once its checkpoint is there, and make the same call again."""
    print("A process starts to fit:", flush=True)
    process = multiprocessing.get_context("spawn").Process(target=fit, args=(data, checkpoint))
    process.start()
    while process.is_alive() and not checkpoint.exists():
        time.sleep(0.01)
    process.kill()
    process.join()
    print(f"It was killed. Its checkpoint has {checkpoint.stat().st_size:,} bytes; the same call goes on:")
    igtm = fit(data, checkpoint)
    same = np.array_equal(igtm.centers_, fit(data, None).centers_)
    print(f"The same bits as a fit that was never cut: {same}\n")
    return igtm


def resume_a_projection(igtm: IGTM, data: Path, target: Path) -> None:
    """Take a chunk away, see the projection fail with the rows to blame, and put it back."""
    chunk = data / "c" / "15" / "0"
    away = chunk.rename(data.parent / "away")
    try:
        igtm.project_to_zarr(data, target)
    except Exception as error:  # noqa: BLE001 - shown
        print(f"The projection failed: {error} {' '.join(getattr(error, '__notes__', []))}")
    written = np.isfinite(zarr.open_array(target / "log_likelihood", mode="r")[:])
    print(
        f"It had written {written.mean():.0%} of the rows. The chunk comes back, and the same call goes on."
    )
    away.rename(chunk)
    group = igtm.project_to_zarr(data, target)
    written = np.isfinite(group["log_likelihood"][:])
    print(f"Written: {written.mean():.0%} of the rows, complete: {group.attrs['dask_igtm']['complete']}")


if __name__ == "__main__":
    main()
