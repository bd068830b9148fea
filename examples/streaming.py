"""Keep a map up to date with rows that arrive a block at a time, over a save and a change of the rows.

python examples/streaming.py
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.datasets import make_swiss_roll

from dask_igtm import IGTM, load

BLOCK = 2000


def main() -> None:
    """Follow a stream whose rows are stretched halfway, and tell how well each block was foreseen."""
    blocks = arriving(n_blocks=20)
    stream = IGTM(k=10, scale="standard")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "stream.npz")
        for block in range(10):
            stream.partial_fit(next(blocks))
            tell(block, stream)
        stream.save(path)
        stream = load(path)  # as another process would, tomorrow: its averages come along
        print("saved and loaded; from here on the rows are stretched")
        for block in range(10, 20):
            stream.partial_fit(next(blocks))
            tell(block, stream)
    print(f"{stream.n_samples_seen_:,.0f} rows seen")


def arriving(n_blocks: int) -> Iterator[np.ndarray]:
    """Yield blocks of a rolled-up sheet, stretched along one axis in the second half."""
    for block in range(n_blocks):
        X, _ = make_swiss_roll(BLOCK, noise=0.5, random_state=block)
        yield X * [1.0, 1.0, 1.3] if block >= n_blocks / 2 else X


def tell(block: int, stream: IGTM) -> None:
    """Print the mean of ln p(x) of a block under the map before it, which is a held-out one."""
    if block in (0, 1, 4, 9, 10, 11, 14, 19):
        print(f"block {block:2d}: {stream.log_likelihood_:8.4f}")


if __name__ == "__main__":
    main()
