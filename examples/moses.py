"""Map the 1,936,962 molecules of MOSES: from SMILES, through Zarr, to a map of chemical space.

Run it from the root of the repository with `make moses`, or, where dask_igtm is installed with its extras
`examples` and `moses`, with

    pip install --no-deps molsets
    python examples/moses.py [--rows N] [--output DIR]

MOSES (Polykovskiy et al. 2020, Frontiers in Pharmacology 11, 565644) divides its molecules into a training
set, a test set drawn at random, and a scaffold test set, whose Murcko scaffolds occur in neither. RDKit turns
each into Morgan counts: how often each circular environment of radius 2 occurs, folded to 512 columns. The
map then tells how far the training set covers the two others, and where on it which properties lie.

It writes into examples/output, or into DIR; what was cut short goes on where it was:

    moses.zarr             `fingerprints` and `properties` of each molecule, chunked by rows
    moses.checkpoint.npz   the state of the fit after its last iteration
    moses.npz              the fitted model; `dask_igtm.load` reads it
    moses_map.zarr         position, nearest node and log-likelihood of each molecule
    moses.png              the map as a picture

`--rows N` takes a slice of N molecules, evenly spaced over all of them, under names of its own.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import math
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import zarr
from rdkit import Chem
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.rdMolDescriptors import CalcFractionCSP3, CalcNumAromaticRings, CalcTPSA

SPLITS = ["train", "test", "test_scaffolds"]
FINGERPRINTS = GetMorganGenerator(radius=2, fpSize=512)
PROPERTIES = {
    "molecular weight": MolWt,
    "polar surface area": CalcTPSA,
    "aromatic rings": CalcNumAromaticRings,
    "sp3 carbons": CalcFractionCSP3,
}
ROWS_PER_CHUNK = 16_384  # 32 MB
PROCESSES = 2


def main() -> None:
    """Run the steps one after the other and say what came out."""
    arguments = parse_arguments()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    name = "moses" if arguments.rows is None else f"moses-{arguments.rows}"
    molecules = output / f"{name}.zarr"

    with step("Write fingerprints and properties to Zarr"):
        molecules_to_zarr(molecules, arguments.rows)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Map the 1,936,962 molecules of MOSES.")
    parser.add_argument("--rows", type=int, metavar="N", help="take N molecules, evenly spaced over all")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    arguments = parser.parse_args()
    if arguments.rows is not None and arguments.rows < 100:
        parser.error("--rows must be at least 100")
    return arguments


def molecules_to_zarr(path: Path, n_rows: int | None) -> None:
    """Write what RDKit says of each molecule, a chunk at a time; the group gets its name when it is whole."""
    if path.exists():
        print(f"  {path} is there already")
        return
    smiles = read_smiles(n_rows)
    print(f"  {len(smiles):,} molecules")
    partial = partial_group(path.with_suffix(".partial"), smiles)
    starts = range(0, len(smiles), ROWS_PER_CHUNK)
    missing = [start for start in starts if np.isnan(partial["properties"][start, 0])]
    jobs = [(partial.store.root, start, list(smiles[start : start + ROWS_PER_CHUNK])) for start in missing]
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for done, _ in enumerate(pool.imap_unordered(write_chunk, jobs), len(starts) - len(jobs) + 1):
            if done % 10 == 0 or done == len(starts):
                print(f"  chunk {done} of {len(starts)}", flush=True)
    partial.store.root.rename(path)


def read_smiles(n_rows: int | None) -> pd.Series:
    """Read the SMILES of MOSES out of its package, which is not imported; the index is the split of each."""
    try:
        package = importlib.metadata.distribution("molsets")
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(
            "The molecules are missing; install them with: pip install --no-deps molsets"
        ) from None
    files = [package.locate_file(f"moses/dataset/data/{split}.csv.gz") for split in SPLITS]
    smiles = pd.concat([pd.read_csv(file)["SMILES"] for file in files], keys=SPLITS).droplevel(1)
    return smiles if n_rows is None else smiles.iloc[np.linspace(0, len(smiles) - 1, n_rows).astype(int)]


def partial_group(path: Path, smiles: pd.Series) -> zarr.Group:
    """Open the group of an earlier run that was cut short, or make one, in which properties are NaN."""
    counts = smiles.index.value_counts()
    label = {"splits": {split: int(counts[split]) for split in SPLITS}, "properties": list(PROPERTIES)}
    if path.exists():
        group = zarr.open_group(path, mode="a")
        if dict(group.attrs) == label:
            return group
    group = zarr.create_group(path, overwrite=True)
    for name, width in (("fingerprints", FINGERPRINTS.GetOptions().fpSize), ("properties", len(PROPERTIES))):
        shape, chunks = (len(smiles), width), (ROWS_PER_CHUNK, width)
        group.create_array(name, shape=shape, chunks=chunks, dtype="f4", fill_value=math.nan)
    group.attrs.update(label)
    return group


def write_chunk(job: tuple[Path, int, list[str]]) -> None:
    """Compute and write one chunk of each array, the properties last: they say that the chunk is there."""
    path, start, smiles = job
    molecules = [Chem.MolFromSmiles(one) for one in smiles]
    group = zarr.open_group(path, mode="r+")
    rows = slice(start, start + len(smiles))
    group["fingerprints"][rows] = np.array([FINGERPRINTS.GetCountFingerprintAsNumPy(one) for one in molecules])
    group["properties"][rows] = np.array([[f(one) for f in PROPERTIES.values()] for one in molecules])


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and tell how long it took."""
    print(name, flush=True)
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
