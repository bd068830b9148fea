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
    moses.checkpoint.npz   the state of the fit after its last iteration, and one of a fit to a sample
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
import platform
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import altair as alt
import dask.array as da
import numpy as np
import pandas as pd
import zarr
from rdkit import Chem
from rdkit.Chem.Descriptors import MolWt
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.Chem.rdMolDescriptors import CalcFractionCSP3, CalcNumAromaticRings, CalcTPSA

from dask_igtm import IGTM, landscape

SPLITS = ["train", "test", "test_scaffolds"]
FINGERPRINTS = GetMorganGenerator(radius=2, fpSize=512)
PROPERTIES = {
    "molecular weight": MolWt,
    "polar surface area": CalcTPSA,
    "aromatic rings": CalcNumAromaticRings,
    "sp3 carbons": CalcFractionCSP3,
}
UNITS = dict(zip(PROPERTIES, ["g/mol", "Å²", "number", "share of carbons"], strict=True))
ROWS_PER_CHUNK = 16_384  # 32 MB
SIDE = 192  # of a panel, in pixels


def main() -> None:
    """Run the steps one after the other and say what came out."""
    arguments = parse_arguments()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    name = "moses" if arguments.rows is None else f"moses-{arguments.rows}"
    molecules, png = output / f"{name}.zarr", output / f"{name}.png"
    print_versions()

    with step("Write fingerprints and properties to Zarr"):
        molecules_to_zarr(molecules, arguments.rows, arguments.processes)
    with step("Fit the map"):
        igtm = fit_map(molecules / "fingerprints", output / name, arguments.niter)
    with step("Project every molecule"):
        igtm.project_to_zarr(molecules / "fingerprints", output / f"{name}_map.zarr")
    with step("Lay the three sets and the properties over the map"):
        nodes = lay_out(igtm, molecules)
    with step("Draw the map"):
        draw(nodes, png)

    print_result(igtm)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Map the 1,936,962 molecules of MOSES.")
    parser.add_argument("--rows", type=int, metavar="N", help="take N molecules, evenly spaced over all")
    parser.add_argument("--niter", type=int, default=100, help="most iterations; default: %(default)s")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="default: %(default)s")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    arguments = parser.parse_args()
    if arguments.rows is not None and arguments.rows < 100:
        parser.error("--rows must be at least 100")
    return arguments


def molecules_to_zarr(path: Path, n_rows: int | None, processes: int) -> None:
    """Write what RDKit says of each molecule, a chunk at a time; the group gets its name when it is whole."""
    if path.exists():
        print(f"  {path} is there already")
        return
    smiles = read_smiles(n_rows)
    print(f"  {len(smiles):,} molecules")
    partial = partial_group(path.with_suffix(".partial"), smiles)
    starts = range(0, len(smiles), ROWS_PER_CHUNK)
    jobs = ((partial.store.root, start, list(smiles[start : start + ROWS_PER_CHUNK])) for start in starts)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for done, _ in enumerate(pool.imap_unordered(write_chunk, jobs), 1):
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
    group = zarr.open_group(path, mode="r+")
    if not np.isnan(group["properties"][start, 0]):
        return
    molecules = [Chem.MolFromSmiles(one) for one in smiles]
    rows = slice(start, start + len(smiles))
    group["fingerprints"][rows] = np.array(
        [FINGERPRINTS.GetCountFingerprintAsNumPy(one) for one in molecules]
    )
    group["properties"][rows] = np.array([[f(one) for f in PROPERTIES.values()] for one in molecules])


def fit_map(fingerprints: Path, run: Path, niter: int) -> IGTM:
    """Fit about 100,000 molecules, evenly spaced, and go on from there with all of them.

    The sample takes a twentieth of the time of all molecules, and leaves them few iterations to do.
    """
    settings = {"k": 24, "m": 8, "n_components": 50, "scale": "center", "solver": "accelerated", "tol": 5e-4}
    X = da.from_zarr(zarr.open_array(fingerprints, mode="r"))
    sample = X[:: max(1, len(X) // 100_000)]
    print(f"  {len(sample):,} molecules first", flush=True)
    start = IGTM(**settings, niter=niter, verbose=True).fit(sample, checkpoint=f"{run}_sample.checkpoint.npz")
    print(f"  all {len(X):,} molecules", flush=True)
    igtm = IGTM(**settings, niter=niter, verbose=True)
    igtm.fit(fingerprints, init=start, checkpoint=f"{run}.checkpoint.npz").save(f"{run}.npz")
    return igtm


def lay_out(igtm: IGTM, path: Path) -> pd.DataFrame:
    """Return the share of each set and the mean of each property at every node, from two passes."""
    group = zarr.open_group(path, mode="r")
    X = da.from_zarr(group["fingerprints"])
    train, test, _ = group.attrs["splits"].values()
    queries = {"test": X[train : train + test], "scaffold test": X[train + test :]}
    coverage = landscape.coverage(igtm, X[:train], queries)
    nodes = coverage.to_frame()
    for name in queries:
        overlap = np.minimum(nodes[name], nodes["reference"]).sum()
        print(f"  {name} set: {coverage.summary[name]:.2%} on nodes with training molecules; ", end="")
        print(f"its density and theirs have {overlap:.2%} in common")
    means = landscape.property(igtm, X, group["properties"]).values[:, ::3]  # between them std and support
    return nodes.assign(**dict(zip(PROPERTIES, means.T, strict=True)))


def draw(nodes: pd.DataFrame, png: Path) -> None:
    """Draw one square a node, four times for the three sets and four times for the properties."""
    nodes["ratio"] = (nodes["scaffold test"] / nodes["reference"]).clip(0.25, 4)
    titles = {"reference": "Training set", "test": "Test set", "scaffold test": "Scaffold test set"}
    nodes[list(titles)] = nodes[list(titles)].clip(lower=1e-5)  # of a logarithm
    domain = [nodes[list(titles)].min(axis=None), nodes[list(titles)].max(axis=None)]
    panels = [
        panel(
            nodes, name, title, "share of set", {"format": ".3~%", "tickCount": 4}, type="log", domain=domain
        )
        for name, title in titles.items()
    ]
    ticks = {"values": [0.25, 0.5, 1, 2, 4]}
    panels.append(
        panel(nodes, "ratio", "Scaffold test over training", "ratio", ticks, type="log", domain=[0.25, 4])
    )
    panels += [panel(nodes, name, f"Mean {name}", unit, {"tickCount": 4}) for name, unit in UNITS.items()]
    title = alt.TitleParams(
        "The molecules of MOSES on a map of their Morgan counts",
        subtitle="Each square is a node; a molecule counts at each by its responsibility.",
        offset=12,
    )
    chart = alt.concat(*panels, columns=4, title=title).resolve_scale(color="independent")
    chart.save(png, scale_factor=2)


def panel(
    nodes: pd.DataFrame, column: str, title: str, unit: str, legend: dict[str, Any], **scale: Any
) -> alt.Chart:
    """Draw one column of the nodes, its numbers made colours by `scale` and explained by `legend`."""
    half = (nodes["x2"].iloc[1] - nodes["x2"].iloc[0]) / 2
    squares = nodes[["x1", "x2"]].assign(
        value=nodes[column],
        left=nodes["x1"] - half,
        right=nodes["x1"] + half,
        bottom=nodes["x2"] - half,
        top=nodes["x2"] + half,
    )
    whole_map = {
        "scale": alt.Scale(domain=[-1 - half, 1 + half], nice=False),
        "axis": alt.Axis(grid=False, values=[-1, 0, 1]),
    }
    key = alt.Legend(gradientLength=SIDE, **legend)
    return (
        alt.Chart(squares, title=title, width=SIDE, height=SIDE)
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("left:Q", title="x1", **whole_map),
            x2="right:Q",
            y=alt.Y("bottom:Q", title="x2", **whole_map),
            y2="top:Q",
            color=alt.Color("value:Q", title=unit, scale=alt.Scale(scheme="viridis", **scale), legend=key),
        )
    )


def print_result(igtm: IGTM) -> None:
    """Say how good the map is, why the fit stopped, and what it took."""
    ending = "converged" if igtm.converged_ else f"ran out of its niter={igtm.niter}, not converged"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"Log-likelihood: {igtm.log_likelihood_:.4f} (mean of ln p(x) per molecule, over 50 principal axes)"
    )
    print(f"Iterations: {igtm.n_iter_} ({ending}), {igtm.n_passes_} passes over all molecules")
    print(f"Peak memory: {peak:.2f} GiB")


def print_versions() -> None:
    """Say on what this runs."""
    names = ("dask_igtm", "dask", "zarr", "numpy", "rdkit", "molsets")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in names))
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    print(f"Python {platform.python_version()}, {machine}, load {os.getloadavg()[0]:.1f}")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and tell how long it took."""
    print(name, flush=True)
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
