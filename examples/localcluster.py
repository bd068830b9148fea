"""Map a Zarr array by processes of this machine, from the first row to the last without holding it here.

    python examples/localcluster.py [--rows N] [--workers N] [--output DIR]

The rows lie on a rolled-up sheet in three dimensions. Workers make them, write them, read them in each
pass of the fit, and write their positions; what passes through this process are sums and a map of kilobytes.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import dask.array as da
import zarr
from distributed import Client

from dask_igtm import IGTM, landscape

ROWS_PER_CHUNK = 50_000


def main() -> None:
    """Make rows, fit, project, and count the rows at each node."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=2, help="processes; default: %(default)s")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    arguments = parser.parse_args()
    rows, positions = arguments.output / "roll.zarr", arguments.output / "roll_map.zarr"
    for old in (rows, positions):
        shutil.rmtree(old, ignore_errors=True)

    # A Client is all it takes: what follows runs on its workers. With one thread each they suit few cores.
    with Client(n_workers=arguments.workers, threads_per_worker=1, dashboard_address=None):
        # Zarr wants chunks of one size; those of 4 to 64 MB read best (these rows are narrow).
        da.to_zarr(rolled_sheet(arguments.rows), str(rows))

        # A path, rather than an array: workers open it themselves.
        igtm = IGTM(k=16, m=6, s=0.5, scale="standard", solver="accelerated").fit(rows)
        print(f"{igtm.n_iter_} iterations, mean of ln p(x) per row: {igtm.log_likelihood_:.3f}")

        group = igtm.project_to_zarr(rows, positions)
        print(f"written: {positions}, complete: {group.attrs['dask_igtm']['complete']}")
        print(landscape.density(igtm, rows))

    # The positions are an array like any other.
    print(
        f"mean position: {da.from_zarr(zarr.open_array(positions / 'means')).mean(axis=0).compute().round(3)}"
    )


def rolled_sheet(n_rows: int) -> da.Array:
    """Return lazy rows (n, 3) on a rolled-up sheet, with noise."""
    rng = da.random.default_rng(0)
    angle = rng.uniform(4, 12, size=n_rows, chunks=ROWS_PER_CHUNK)
    height = rng.uniform(0, 20, size=n_rows, chunks=ROWS_PER_CHUNK)
    X = da.stack([angle * da.cos(angle), height, angle * da.sin(angle)], axis=1).rechunk({1: 3})
    return X + rng.normal(scale=0.2, size=X.shape, chunks=X.chunks)


if __name__ == "__main__":
    main()
