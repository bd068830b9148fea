"""What tells whether something was computed or read, and how often."""

import dask.array as da
import numpy as np
import zarr
from dask.callbacks import Callback


def computing(*_args, **_kwargs):
    raise AssertionError("something was computed")


def counting(X):
    """Return a dask array of three blocks, and the list to which each block adds its number when computed."""
    computed = []

    def note(block, block_id):
        computed.append(block_id[0])
        return block

    lazy = da.from_array(X, chunks=(100, -1))
    return lazy.map_blocks(note, dtype=float, meta=np.empty((0, 0))), computed


class Computes(Callback):
    """Count the graphs that Dask's local schedulers compute."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def _start(self, dsk):
        self.count += 1


class CountingStore(zarr.storage.MemoryStore):
    """A store in memory that notes which chunks are read."""

    read: list[str] = []  # noqa: RUF012

    async def get(self, key, prototype, byte_range=None):
        if "c/" in key:
            self.read.append(key)
        return await super().get(key, prototype, byte_range)
