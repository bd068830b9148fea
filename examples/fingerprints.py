"""Map 200,000 molecules of MOSES by 2,048-bit fingerprints that are sparse from SMILES to map.

Run it from the root of the repository with `make fingerprints`, or, where dask_igtm is installed with its
extras `examples` and `moses`, with

    pip install --no-deps molsets
    python examples/fingerprints.py [--rows N] [--output DIR]

RDKit turns each molecule into Morgan bits of radius 2, of which about 43 in 2,048 are set. They are written
as the three arrays of a CSR matrix, one lot of molecules after the other, in the layout of AnnData. A fit
takes the path of that group as it takes one of an array, and no row is ever made dense. `examples/moses.py`
maps all molecules of MOSES by counts instead, folded to 512 columns.

It writes into examples/output, or into DIR:

    fingerprints-N.zarr        `X`, the CSR group, and `properties` of each molecule
    fingerprints-N.npz         the fitted model; `dask_igtm.load` reads it
    fingerprints-N_map.zarr    position and log-likelihood of each molecule
    fingerprints-N.png         where on the map molecules and their properties lie

N is the number of molecules, 200,000 unless `--rows` says otherwise, evenly spaced over all 1,936,962.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import zarr
from rdkit import Chem
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.rdMolDescriptors import (
    CalcFractionCSP3,
    CalcNumAromaticRings,
    CalcNumRotatableBonds,
    CalcTPSA,
)

from dask_igtm import IGTM, landscape, plot

SPLITS = ["train", "test", "test_scaffolds"]
N_BITS = 2048
FINGERPRINTS = GetMorganGenerator(radius=2, fpSize=N_BITS)
PROPERTIES = {
    "molecular weight": (MolWt, "g/mol"),
    "polar surface area": (CalcTPSA, "Å²"),
    "aromatic rings": (CalcNumAromaticRings, "number"),
    "rotatable bonds": (CalcNumRotatableBonds, "number"),
    "sp3 carbons": (CalcFractionCSP3, "share of carbons"),
}
ROWS_PER_TASK = 4096
ENTRIES_PER_CHUNK = 2**20  # about 23,000 molecules
CODEC = zarr.codecs.BloscCodec(cname="lz4", shuffle="shuffle")


def main() -> None:
    """Run the steps one after the other and say what came out."""
    arguments = parse_arguments()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    run = f"{output}/fingerprints-{arguments.rows}"
    molecules = Path(f"{run}.zarr")

    with step("Write fingerprints and properties to Zarr"):
        molecules_to_zarr(molecules, arguments.rows, arguments.processes)
    with step("Fit the map"):
        settings = {"k": 24, "m": 6, "scale": "center", "solver": "accelerated", "tol": 0.01}
        igtm = IGTM(**settings, niter=arguments.niter, verbose=True)
        igtm.fit(molecules / "X").save(f"{run}.npz")
    with step("Project every molecule"):
        igtm.project_to_zarr(molecules / "X", f"{run}_map.zarr")
    with step("Lay the properties over the map, and draw it"):
        draw(igtm, molecules, f"{run}.png")

    ending = "converged" if igtm.converged_ else f"ran out of its niter={igtm.niter}"
    print(f"Log-likelihood: {igtm.log_likelihood_:.3f} (mean of ln p(x) per molecule)")
    print(f"Iterations: {igtm.n_iter_} ({ending}), {igtm.n_passes_:.1f} passes over all molecules")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Map molecules of MOSES by sparse fingerprints.")
    parser.add_argument("--rows", type=int, metavar="N", default=200_000, help="default: %(default)s")
    parser.add_argument("--niter", type=int, default=100, help="most iterations; default: %(default)s")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="default: %(default)s")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    arguments = parser.parse_args()
    if arguments.rows < 100:
        parser.error("--rows must be at least 100")
    return arguments


def molecules_to_zarr(path: Path, n_rows: int, processes: int) -> None:
    """Write what RDKit says of each molecule; the group gets its name when it is whole."""
    if path.exists():
        print(f"  {path} is there already")
        return
    smiles = read_smiles(n_rows)
    tasks = [smiles[start : start + ROWS_PER_TASK] for start in range(0, n_rows, ROWS_PER_TASK)]
    partial = path.with_suffix(".partial")
    group = zarr.create_group(partial, overwrite=True)
    columns = group.create_array(
        "properties", shape=(n_rows, len(PROPERTIES)), chunks=(65_536, len(PROPERTIES)), dtype="f4"
    )
    columns.attrs["columns"] = list(PROPERTIES)  # their names, for whatever reads the array
    X = group.create_group("X", attributes={"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    X.attrs["shape"] = [n_rows, N_BITS]
    settings = {"shape": (0,), "chunks": (ENTRIES_PER_CHUNK,), "compressors": CODEC}
    data = X.create_array("data", dtype="u1", **settings)
    indices = X.create_array("indices", dtype="i4", **settings)
    starts, row = [0], 0
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for bits, properties in pool.imap(fingerprints_of, tasks):
            indices.append(np.concatenate(bits))
            data.append(np.ones(sum(map(len, bits)), np.uint8))
            starts += (starts[-1] + np.cumsum([len(some) for some in bits])).tolist()
            columns[row : row + len(bits)] = properties
            row += len(bits)
    X.create_array("indptr", data=np.array(starts, np.int64), chunks=(ENTRIES_PER_CHUNK,))
    print(f"  {n_rows:,} molecules of {starts[-1] / n_rows:.1f} bits")
    shutil.move(partial, path)


def read_smiles(n_rows: int) -> list[str]:
    """Read SMILES of MOSES out of its package, which is not imported, evenly spaced over its three sets."""
    try:
        package = importlib.metadata.distribution("molsets")
    except importlib.metadata.PackageNotFoundError:
        raise SystemExit(
            "The molecules are missing; install them with: pip install --no-deps molsets"
        ) from None
    files = [package.locate_file(f"moses/dataset/data/{split}.csv.gz") for split in SPLITS]
    smiles = pd.concat([pd.read_csv(file)["SMILES"] for file in files])
    return smiles.iloc[np.linspace(0, len(smiles) - 1, n_rows).astype(int)].tolist()


def fingerprints_of(smiles: list[str]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the bits that are set of each molecule, ascending, and its properties."""
    molecules = [Chem.MolFromSmiles(one) for one in smiles]
    bits = [np.array(FINGERPRINTS.GetFingerprint(one).GetOnBits(), np.int32) for one in molecules]
    return bits, np.array([[value(one) for value, _ in PROPERTIES.values()] for one in molecules])


def draw(igtm: IGTM, molecules: Path, png: str) -> None:
    """Draw how many molecules lie at each node, and the mean of each property there."""
    density = landscape.density(igtm, molecules / "X")
    means = landscape.property(igtm, molecules / "X", molecules / "properties")
    panels = [plot.landscape(density, title="Molecules")]
    panels += [
        plot.landscape(means, columns=[f"{name}_mean"], title=f"Mean {name}, {unit}")
        for name, (_, unit) in PROPERTIES.items()
    ]
    alt.concat(*panels, columns=3).resolve_scale(color="independent").save(png)


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and tell how long it took."""
    print(name, flush=True)
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
