"""Map 700 blood cells, scanpy's way: an AnnData goes in, and sc.pl.embedding draws what is written into it.

Run it from the root of the repository with `make cells`, or, where dask_igtm is installed with its extra
`cells`, with

    pip install scanpy
    python examples/cells.py [--output DIR]

The cells are those that come with scanpy, 700 of the 68,579 of Zheng et al. 2017 (Nature Communications 8,
14049), each with the log counts of 765 genes. A map is fitted to six of every seven, and the seventh is found
on it: their genes come in another order and go by name. The types that the map expects at their nodes are
compared with those that they have.

It writes into examples/output, or into DIR:

    cells.h5ad    all that is known of the cells, the map too; `dask_igtm.tl.load` reads it
    cells.png     the cells on the map, those found on it later, and the types that the nodes stand for
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # pictures go to files

import anndata as ad
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scanpy as sc

from dask_igtm import landscape, tl

LABELS = "bulk_labels"


def main() -> None:
    """Fit, project, compare, draw."""
    parser = argparse.ArgumentParser(description="Map 700 blood cells, scanpy's way.")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    cells = sc.datasets.pbmc68k_reduced().raw.to_adata()  # log counts, sparse, instead of scaled ones
    later = np.arange(cells.n_obs) % 7 == 6
    known, new = cells[~later].copy(), cells[later, cells.var_names[::-1]].copy()

    tl.gtm(known, k=20, m=4, scale="center", regul="auto", solver="accelerated")
    tl.project(new, known)
    print(known)

    igtm = tl.load(known)
    print(f"{igtm.n_iter_} iterations, converged: {igtm.converged_}")
    for name, some in (("the map's own", known), ("new", new)):
        print(f"mean of ln p(x) of {name} cells: {some.obs['gtm_log_likelihood'].mean():.1f}")

    # P(type | node), by the responsibilities of the cells of each type; uniform where no cell comes near.
    types = landscape.classes(igtm, known.to_df(), known.obs[LABELS]).to_frame().drop(columns=["x1", "x2"])
    expected = types.idxmax(axis=1)
    right = expected[new.obs["gtm_node"]].to_numpy() == new.obs[LABELS]
    print(f"{right.mean():.0%} of {new.n_obs} new cells lie where their type is the most probable")

    both = ad.concat({"known": known, "new": new}, label="of", uns_merge="first")
    both.write_h5ad(output / "cells.h5ad")
    draw(both, igtm.nodes_, types, output / "cells.png")
    print(f"drawn: {output / 'cells.png'}")


def draw(cells: ad.AnnData, nodes: np.ndarray, types: pd.DataFrame, png: Path) -> None:
    """Draw old and new cells by their types, and the most probable type of each node, pale where in doubt."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.8), sharex=True, sharey=True)
    for axes, which, title in ((left, "known", "Cells of the fit"), (middle, "new", "New cells")):
        some = cells[cells.obs["of"] == which]
        sc.pl.embedding(some, "gtm", color=LABELS, ax=axes, title=title, legend_loc=None, size=60, show=False)
    colours = dict(zip(cells.obs[LABELS].cat.categories, cells.uns[f"{LABELS}_colors"], strict=True))
    colour, sure = types.idxmax(axis=1).map(colours), types.max(axis=1)
    right.scatter(*nodes.T, marker="s", s=90, c=colour, alpha=sure)
    right.set(title="Most probable type of each node", xlabel="gtm1", ylabel="gtm2")
    for axes in (left, middle, right):
        axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
    keys = [plt.Line2D([], [], marker="o", linestyle="", color=colour) for colour in colours.values()]
    figure.legend(keys, colours, ncols=5, loc="lower center", frameon=False)
    figure.subplots_adjust(left=0.04, right=0.98, bottom=0.2, wspace=0.08)
    figure.savefig(png, dpi=100)


if __name__ == "__main__":
    main()
