"""Measure what numbers in Zarr cost by codec and by size of chunks, for several kinds of data.

    python benchmarks/storing.py [--tiny]

Chunks lie in the disk cache and are read whole, best of three rounds. Cells have nanoseconds a byte of the
numbers, read by one thread / by two / written, and the size that is stored.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import zarr
from sklearn.datasets import load_sample_images
from sklearn.feature_extraction.image import extract_patches_2d
from zarr.codecs import BloscCodec, Crc32cCodec

from dask_igtm import IGTM
from dask_igtm.data.codecs import CODEC, CODECS
from dask_igtm.data.convert import CHUNK_BYTES

COLUMNS = 50
COMPARED = CODECS | {"blosc-lz4, bitshuffle": [BloscCodec(cname="lz4", shuffle="bitshuffle"), Crc32cCodec()]}


def kinds(n_rows: int) -> dict[str, np.ndarray]:
    """Return correlated Gaussians, grey values of patches of pictures, fingerprints, and a map's answers."""
    rng = np.random.default_rng(0)
    gaussian = rng.normal(size=(n_rows, 8)) @ rng.normal(size=(8, COLUMNS))
    gaussian += 0.3 * rng.normal(size=gaussian.shape)
    pictures = [picture.mean(axis=2).round() for picture in load_sample_images().images]
    patches = [extract_patches_2d(p, (10, 5), max_patches=n_rows // 4, random_state=0) for p in pictures]
    patches = np.concatenate(patches).reshape(-1, COLUMNS)
    grey = np.concatenate([patches, patches[::-1]])[:n_rows]
    bits = rng.random((n_rows, COLUMNS)) < rng.beta(0.3, 4, COLUMNS)
    igtm = IGTM(scale="standard", niter=20).fit(grey[: n_rows // 10])
    answers = igtm.set_params(model="responsibilities").transform(grey[: n_rows // 5])
    return {
        "Gaussian, float32": gaussian.astype("f4"),
        "Gaussian, float64": gaussian,
        "grey values, float32": grey.astype("f4"),
        "grey values, float64": grey,
        "grey values, uint8": grey.astype("u1"),
        "bits, float32": bits.astype("f4"),
        "bits, float64": bits.astype("f8"),
        "bits, uint8": bits.astype("u1"),
        "positions, float64": igtm.set_params(model="means").transform(grey),
        "responsibilities, float64": answers,
    }


def stored(X: np.ndarray, folder: str, name: str, chunk_bytes: int = CHUNK_BYTES) -> zarr.Array:
    """Store rows in Zarr by a codec."""
    chunks = (min(len(X), chunk_bytes // (X.itemsize * X.shape[1])), X.shape[1])
    path = Path(folder, f"{name} {chunk_bytes}")
    array = zarr.create_array(path, shape=X.shape, chunks=chunks, dtype=X.dtype, compressors=COMPARED[name])
    array[...] = X
    return array


def read_time(array: zarr.Array, n_threads: int) -> float:
    """Return the seconds to read all chunks, one at a time in each thread, as a pass does."""
    starts = range(0, array.shape[0], array.chunks[0])

    def read(start: int) -> None:
        array[start : start + array.chunks[0]]

    with ThreadPoolExecutor(n_threads) as pool:
        list(pool.map(read, [0] * n_threads))  # threads and buffers are there
        begun = time.perf_counter()
        list(pool.map(read, starts))
        return time.perf_counter() - begun


def read_times(arrays: dict[str, zarr.Array]) -> dict[str, str]:
    """Return the nanoseconds a byte for each array, by one thread and by two, as text."""
    rounds = [{(n, t): read_time(arrays[n], t) for n in arrays for t in (1, 2)} for _ in range(3)]
    return {
        name: " / ".join(
            f"{min(times[name, t] for times in rounds) / array.nbytes * 1e9:.2f}" for t in (1, 2)
        )
        for name, array in arrays.items()
    }


def codecs(kind: str, X: np.ndarray) -> None:
    """Print what each codec makes of some rows."""
    written, arrays, cells = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name in COMPARED:
            begun = time.perf_counter()
            arrays[name] = stored(X, folder, name)
            written[name] = (time.perf_counter() - begun) / X.nbytes * 1e9
        times = read_times(arrays)
        for name, array in arrays.items():
            size = array.nbytes_stored() / X.nbytes
            cells.append(f"{times[name]} / {written[name]:.1f}, {size:.0%}")
    print(f"| {kind} | {' | '.join(cells)} |", flush=True)


def chunk_sizes(X: np.ndarray) -> None:
    """Print how fast chunks of several sizes are read."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = {f"{mb} MB": stored(X, folder, CODEC, mb * 2**20) for mb in (1, 4, 16, 32, 64)}
        for size, times in read_times(arrays).items():
            print(f"| {size} | {times} |")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="few rows")
    n_rows = 10_000 if parser.parse_args().tiny else 1_000_000
    print(f"{os.cpu_count()} cores, {n_rows:,} rows, zarr {zarr.__version__}\n")
    print(f"| rows | {' | '.join(COMPARED)} |\n| --- |{' --- |' * len(COMPARED)}")
    data = kinds(n_rows)
    for kind, X in data.items():
        codecs(kind, X)
    print(f"\n| chunks of {CODEC} | one thread / two threads |\n| --- | --- |")
    chunk_sizes(data["Gaussian, float32"])


if __name__ == "__main__":
    main()
