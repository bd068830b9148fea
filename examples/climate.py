"""Map a data cube, and say where on Earth, and when, its kinds of weather are.

    python examples/climate.py --output results

Makes up ten years of months of temperature, rain, wind and humidity on a grid of the Earth, with the sea
left empty, stores them in Zarr, and fits a map to all points over land. Positions come back on the dimensions
of the cube (time, lat, lon). Writes weather.zarr, which is the cube; regimes.zarr, which is where each of its
points lies on the map; and climate.html, a picture of the map by zones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import xarray as xr

from dask_igtm import IGTM, landscape, plot

CHUNKS = {"time": 24, "lat": 15, "lon": 72}


def main() -> None:
    """Make the cube, fit the map, and write what lies where."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("results"))
    folder = parser.parse_args().output
    weather().to_zarr(folder / "weather.zarr", mode="w", consolidated=False)
    cube = xr.open_zarr(folder / "weather.zarr", consolidated=False)

    # Each variable is a column, and each chunk of the cube a block of rows. Cells shrink towards the poles,
    # so that they have less weight; the sea is NaN in all variables, and no row.
    igtm = IGTM(k=12, m=4, scale="standard", solver="em", keep_empty_rows=True)
    igtm.fit(cube, sample_weight=np.cos(np.deg2rad(cube["lat"])))
    n_land, n_points = int(cube["temperature"].count()), cube["temperature"].size
    print(f"{n_land:,} of {n_points:,} points are over land, of weight {igtm.n_samples_seen_:,.0f}")

    # Lazy, on the dimensions of the cube, until it is written: no index of all points is made.
    regimes = xr.Dataset(igtm.describe(cube, ("means", "node", "entropy")))
    regimes.to_zarr(folder / "regimes.zarr", mode="w", consolidated=False)
    regimes = xr.open_zarr(folder / "regimes.zarr", consolidated=False)
    print("Where x1 and x2 are in January and July, at some latitudes:")
    by_month = regimes["means"].groupby("time.month").mean(("time", "lon"))
    for latitude in (58, 30, 2, -30):
        places = by_month.sel(lat=latitude, method="nearest")
        january, july = (places.sel(month=month).values.round(2).tolist() for month in (1, 7))
        print(f"  {latitude:3d} degrees: {january} and {july}")

    # What lies along some of the dimensions is repeated along the others.
    zone = xr.where(abs(cube["lat"]) > 55, "polar", xr.where(abs(cube["lat"]) > 25, "temperate", "tropical"))
    zones = landscape.classes(igtm, cube, zone).to_xarray()
    print(f"Nodes at which each zone is likeliest: {likeliest(zones)}")
    plot.projection(igtm, cube, labels=zone).save(folder / "climate.html")


def weather() -> xr.Dataset:
    """Return ten years of months on 4 degrees of latitude and 5 of longitude, NaN over the sea."""
    random = np.random.default_rng(0)
    lat, lon = np.arange(-58.0, 62.0, 4.0), np.arange(-177.5, 180.0, 5.0)
    time = np.arange("2011-01", "2021-01", dtype="M8[M]").astype("M8[ns]")
    axes = {"time": time, "lat": lat, "lon": lon}
    season = np.cos(2 * np.pi * (np.arange(len(time)) % 12) / 12)[:, None, None]  # 1 in January
    y, x = np.deg2rad(lat)[:, None], np.deg2rad(lon)[None]
    land = np.sin(2 * x + y) + np.cos(3 * y - x) > 0.4
    inland = np.maximum(np.sin(2 * x + y) + np.cos(3 * y - x) - 0.4, 0.0)

    def noise(size: float) -> np.ndarray:
        return size * random.normal(size=(len(time), len(lat), len(lon)))

    temperature = 28 - 40 * np.sin(y) ** 2 - season * np.sin(y) * (14 + 8 * inland) + noise(1.5)
    belt = np.exp(-(((np.rad2deg(y) + 10 * season) / 12) ** 2))  # of rain, which follows the sun
    rain = np.maximum(220 * belt + 60 * np.cos(y) - 50 * inland + noise(15), 0.0)
    wind = 4 + 6 * np.sin(2 * y) ** 2 - inland + season * np.sin(y) + noise(0.5)
    humidity = np.clip(45 + rain / 5 - 8 * inland + noise(4), 5, 100)
    variables = {"temperature": temperature, "rain": rain, "wind": wind, "humidity": humidity}
    cube = xr.Dataset({name: (tuple(axes), values) for name, values in variables.items()}, axes)
    return cube.where(xr.DataArray(land, dims=("lat", "lon"))).chunk(CHUNKS)


def likeliest(zones: xr.Dataset) -> dict[str, int]:
    """Count the nodes at which each class is the likeliest."""
    names = [name for name in zones if name != "support"]
    best = zones[names].to_dataarray("zone").argmax("zone")
    return {str(name): int((best == i).sum()) for i, name in enumerate(names)}


if __name__ == "__main__":
    main()
