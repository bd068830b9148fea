"""A table of Parquet becomes a map in Parquet on the command line, and every row keeps its id.

    python examples/tables.py [--rows N] [--output DIR]

A folder of Parquet as a cluster leaves it, with ids and a column of text, is fitted and projected by
`dask-igtm`; nothing is converted. DuckDB and polars, where they are installed, join what comes out to it.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

PER_FILE = 5000


def main() -> None:
    """Make a table, fit, project, and look at the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent / "output"
    parser.add_argument("--rows", type=int, default=20_000, metavar="N", help="rows of the table")
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    arguments = parser.parse_args()
    folder = arguments.output / "tables"
    shutil.rmtree(folder, ignore_errors=True)
    source = folder / "sensors.parquet"
    source.mkdir(parents=True)
    for part, start in enumerate(range(0, arguments.rows, PER_FILE)):
        frame = readings(start, min(start + PER_FILE, arguments.rows))
        frame.to_parquet(source / f"part-{part:05d}.parquet", index=False)

    model, result = folder / "sensors.npz", folder / "map.parquet"
    run("fit", source, "-o", model, "--index", "id", "--drop", "site", "--k", 10, "--scale", "standard")
    run("transform", model, source, "-o", result, "--index", "id", "--outputs", "means,node,log_likelihood")
    look(source, result)


def readings(start: int, stop: int) -> pd.DataFrame:
    """Return readings of sensors of three sites, with an id each."""
    random = np.random.default_rng(start)
    site = random.integers(3, size=stop - start)
    state = random.normal(size=(stop - start, 2))
    values = np.tanh(state @ random.normal(size=(2, 12))) + 2 * np.eye(3, 12)[site]
    values += random.normal(scale=0.1, size=values.shape)
    frame = pd.DataFrame(values, columns=[f"channel {i}" for i in range(12)])
    frame.insert(0, "id", [f"sensor-{i:07d}" for i in range(start, stop)])
    return frame.assign(site=np.array(["north", "east", "south"])[site])


def run(*arguments: object) -> None:
    """Run a command as a shell would."""
    command = [sys.executable, "-m", "dask_igtm", *map(str, arguments), "--quiet"]
    print("dask-igtm", *arguments)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def look(source: Path, result: Path) -> None:
    """Ask DuckDB for the sites at the fullest node, and polars for the least probable rows."""
    if importlib.util.find_spec("duckdb"):
        import duckdb  # noqa: PLC0415 - not of this package

        print(
            duckdb.sql(
                f"select node, site, count(*) as n from '{result}/*.parquet' join '{source}/*.parquet' "
                "using (id) group by node, site order by n desc, node limit 5"
            )
        )
    if importlib.util.find_spec("polars"):
        import polars as pl  # noqa: PLC0415 - not of this package

        print(pl.read_parquet(result).sort("log_likelihood").select("id", "node", "log_likelihood").head(5))


if __name__ == "__main__":
    main()
