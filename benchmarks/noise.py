"""Measure what each noise is worth on rows of its kind, against peers, and what its passes cost.

    python benchmarks/noise.py [--tiny] [--only WORD] [--repeats N] [--pictures FOLDER]

Maps are fitted to two thirds of the rows and judged by the others: by their mean of ln p, by the share of
them whose seven neighbours on the map, among the rows of the fit, tell their label, and by trustworthiness.
Figures are medians over three divisions of the rows. Passes are timed in turn with those of isotropic noise
over the same rows.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import noise_data
import numpy as np
from choosing import flights
from noise_data import Rows
from noise_peers import dense, independent_bits, independent_counts, mixture_of_bits, mixture_of_counts
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from timing import Size, in_turn, processor, seconds

from dask_igtm import IGTM, quality
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.statistics.e_step import e_step

RIDGES = (0.01, 0.1, 1.0, 10.0)
FLIGHTS, HELD_OUT = 100_000, 20_000
N_COMPONENTS = 256
JUDGED = "| rows | map or peer | ln p held out | of its own rows | neighbours agree | trustworthiness |"
TIMED = "| what | against | its figure | ours | ratio of times | goal |"


def head(line: str) -> str:
    """Return the first two lines of a table."""
    return f"\n{line}\n|{' --- |' * (line.count('|') - 1)}"


def parts(rows: Rows, draw: int) -> tuple[Any, ...]:
    """Divide rows and labels: fit, rest, labels of fit, labels of rest."""
    return tuple(train_test_split(rows.X, rows.labels, test_size=1 / 3, random_state=draw))


# Maps.


def judged(
    rows: Rows, draw: int, view: Callable[[Any], Any], tiny: bool, asked: dict[str, Any]
) -> list[float]:
    """Fit a map to a view of the rows; its likelihoods are no number where they are those of another view."""
    fit, rest, label, truth = parts(rows._replace(X=view(rows.X)), draw)
    igtm = IGTM(**asked | ({"k": 8, "niter": 5} if tiny else {})).fit(fit)
    known, asked_for = label != "", truth != ""
    neighbours = KNeighborsClassifier(7).fit(igtm.transform(fit)[known], label[known])
    agree = neighbours.score(igtm.transform(rest)[asked_for], truth[asked_for])
    log_p = [igtm.score(rest), igtm.log_likelihood_] if "noise" in asked else [np.nan] * 2
    return [*log_p, agree, quality(igtm, rest).trustworthiness]


def lines(rows: Rows, draws: int, tiny: bool, peers: dict[str, Any], maps: dict[str, Any]) -> None:
    """Print a line for each peer, a function of rows of a fit, others and a draw, and for each map."""
    for name, peer in peers.items():
        line(rows, name, [[peer(*parts(rows, draw)[:2], draw), *[np.nan] * 3] for draw in range(draws)])
    for name, (view, asked) in maps.items():
        line(rows, name, [judged(rows, draw, view, tiny, asked) for draw in range(draws)])


def line(rows: Rows, name: str, figures: list[list[float]]) -> None:
    """Print the medians over draws."""
    medians = np.median(figures, axis=0)
    cells = [f"{value:.2f}" for value in medians[:2]] + [f"{value:.3f}" for value in medians[2:]]
    shape = f"{rows.name}, {rows.X.shape[0]:,} x {rows.X.shape[1]:,}"
    print(f"| {shape} | {name} | {' | '.join(cells).replace('nan', '-')} |", flush=True)


def same(X: Any) -> Any:
    """Return the rows as they are."""
    return X


def log_shares(X: Any) -> Any:
    """Return ln(1 + x) of what rows would count if all had the mean of their sums."""
    X = dense(X)
    total = X.sum(axis=1, keepdims=True)
    return np.log1p(X / total * total.mean())


def bits(size: Size) -> None:
    """Compare maps of bits with independent bits, a mixture, and isotropic maps."""
    niter, ridges = (3, RIDGES[1:2]) if size.tiny else (100, RIDGES)
    peers = {
        "independent columns": lambda X, rest, _: independent_bits(X, rest),
        f"mixture of {N_COMPONENTS} Bernoullis": lambda X, rest, draw: mixture_of_bits(
            X, rest, N_COMPONENTS, niter, draw
        ),
    }
    maps: dict[str, Any] = {
        f"bernoulli, regul={regul:g}": (same, {"noise": "bernoulli", "regul": regul}) for regul in ridges
    }
    bent = 4 if size.tiny else 8
    maps["bernoulli, m=8"] = same, {"noise": "bernoulli", "m": bent}
    maps["isotropic, scale='center', m=8"] = same, {"scale": "center", "m": bent}
    maps |= {
        f"isotropic, scale={scale!r}": (same, {"scale": scale}) for scale in (None, "center", "standard")
    }
    print(head(JUDGED))
    lines(noise_data.digits(tiny=size.tiny), size.repeats, size.tiny, peers, maps)
    if noise_data.installed("rdkit", "molsets"):
        lines(noise_data.molecules(20_000, tiny=size.tiny), 1, size.tiny, peers, maps)
    else:
        print("\nMolecules are left out: they need rdkit and molsets.")


def counts(size: Size) -> None:
    """Compare maps of counts with independent counts, and isotropic maps of logarithms."""
    peers = {
        f"independent columns, exposure={exposure!r}": (
            lambda X, rest, _, exposure=exposure: independent_counts(X, rest, exposure)
        )
        for exposure in (None, "total")
    }
    maps: dict[str, Any] = {
        f"poisson, exposure={exposure!r}, regul={regul:g}": (
            same,
            {"noise": "poisson", "exposure": exposure, "regul": regul},
        )
        for exposure, ridges in ((None, RIDGES[1:2]), ("total", RIDGES[1:2] if size.tiny else RIDGES))
        for regul in ridges
    }
    maps |= {
        f"isotropic of logarithms, scale={scale!r}": (log_shares, {"scale": scale})
        for scale in ("center", "standard")
    }
    sets = [noise_data.docstrings(tiny=size.tiny)]
    if noise_data.installed("scanpy"):
        sets.append(noise_data.cells(tiny=size.tiny))
    else:
        print("\nCells are left out: they need scanpy.")
    print(head(JUDGED))
    for rows in sets:
        lines(rows, size.repeats, size.tiny, peers, maps)


def simulated(size: Size) -> None:
    """Compare maps of counts with the truth: ln p given the sums of the rows, and shares of the columns."""
    n = size.rows(12_000)
    print(head("| 12,000 simulated rows of 60 counts | ln p held out | relative error of the shares |"))
    found: dict[str, list[tuple[float, float]]] = {}
    for draw in range(size.repeats):
        rows = noise_data.simulated_counts(n, 60, draw)
        fit, rest, truth = rows.X[: 2 * n // 3], rows.X[2 * n // 3 :], rows.truth[2 * n // 3 :]
        flat = np.broadcast_to(fit.sum(axis=0) / fit.sum(), truth.shape)
        observed = rest / np.maximum(rest.sum(axis=1, keepdims=True), 1.0)

        def note(name: str, log_p: float, shares: np.ndarray, truth: np.ndarray = truth) -> None:
            found.setdefault(name, []).append((log_p, float(np.median(np.abs(shares / truth - 1.0)))))

        note("the truth, positions unknown", *mixture_of_counts(rest, rows.grid, "total"))
        for name, asked in {
            "poisson, exposure='total'": {},
            "the same, m=8": {"m": 8},
            "the same, k=32, m=8": {"k": 32, "m": 8},
        }.items():
            settings = asked | ({"k": 8, "m": 4, "niter": 5} if size.tiny else {})
            igtm = IGTM(noise="poisson", exposure="total", model="responsibilities", **settings).fit(fit)
            note(name, igtm.score(rest), igtm.transform(rest) @ igtm.centers_)
        note("independent columns, exposure='total'", independent_counts(fit, rest, "total"), flat)
        note("shares as they are counted", np.nan, observed)
    for name, figures in found.items():
        log_p, error = np.median(figures, axis=0)
        print(f"| {name} | {log_p:.2f} | {error:.3f} |".replace("nan", "-"), flush=True)


def columns(size: Size) -> None:
    """Compare a noise a column with one for all, on flights and where the truth is known."""
    X = flights(size.tiny)
    X = np.random.default_rng(0).permutation(X)[: FLIGHTS + HELD_OUT]
    niter = 5 if size.tiny else 400
    cut = len(X) * FLIGHTS // (FLIGHTS + HELD_OUT)
    print(head("| flights, 12 columns | solver | ln p held out | of its own rows | iterations |"))
    shares = {}
    for solver in ("accelerated", "sampled"):
        for noise in ("isotropic", "diagonal"):
            igtm = IGTM(noise=noise, scale="standard", solver=solver, niter=niter).fit(X[:cut])
            shares[noise] = igtm.noise_variance_ / X[:cut].var(axis=0)
            figures = f"{igtm.score(X[cut:]):.2f} | {igtm.log_likelihood_:.2f}"
            print(f"| {noise} | {solver} | {figures} | {igtm.n_iter_}, {igtm.stopped_by_} |", flush=True)
    from flights import COLUMNS  # of the examples, on the path since the flights were read

    print(head(f"| noise, share of the variance | {' | '.join(COLUMNS)} |"))
    for noise, share in shares.items():
        print(f"| {noise} | {' | '.join(f'{each:.2g}' for each in share)} |")

    rows = noise_data.unlike_columns(size.rows(20_000), 12, 0)
    print(head(f"| noise of simulated columns | ln p held out |{' - |' * 12}"))
    print(f"| the truth | - | {' | '.join(f'{each:.3f}' for each in rows.truth)} |")
    for noise in ("isotropic", "diagonal"):
        cut = len(rows.X) * 3 // 4
        igtm = IGTM(noise=noise, scale="standard", m=8, niter=niter).fit(rows.X[:cut])
        found = " | ".join(f"{each:.3f}" for each in igtm.noise_variance_)
        print(f"| {noise} | {igtm.score(rows.X[cut:]):.2f} | {found} |", flush=True)


# Speed.


def iteration(X: np.ndarray, asked: dict[str, Any], niter: int = 8) -> float:
    """Time one iteration of plain EM, pass and M-step: the median of those of a fit but for the first two."""
    ends: list[float] = []
    IGTM(solver="em", niter=niter, tol=0, **asked).fit(
        X, callbacks=[lambda _: ends.append(time.perf_counter())]
    )
    return statistics.median(np.diff(ends)[1:])


def passes(size: Size) -> None:
    """Compare iterations with those of isotropic noise over the same rows."""
    goals = {"diagonal": 1.3, "bernoulli": 1.3, "poisson": 1.5, "poisson, exposure='total'": 1.5}
    print(head(TIMED))
    for noise, goal in goals.items():
        for dtype in (np.float64, np.float32):
            X, asked = noise_data.passes_of(noise, size.rows(1_000_000), dtype)
            theirs = functools.partial(iteration, X, {"scale": "center"})
            figures = in_turn(theirs, functools.partial(iteration, X, asked), size.repeats)
            what = f"iteration, {noise}, {len(X):,} x 100, {np.dtype(dtype).name}"
            cells = f"{figures[0]:.3g} s | {figures[1]:.3g} s | {1 / figures[2]:.2f}"
            print(f"| {what} | isotropic | {cells} | <= {goal} |", flush=True)


def m_steps(size: Size) -> None:
    """Time M-steps alone, as the driver makes them."""
    wide = [size.rows(2048), size.rows(30_000)]
    print(head(f"| M-step, K=256, m=4 | {wide[0]:,} columns | {wide[1]:,} columns |"))
    rng = np.random.default_rng(0)
    for noise in ("isotropic", "diagonal", "bernoulli", "poisson"):
        times = []
        for n_columns in wide:
            X = (rng.random((2000, n_columns)) < 0.02).astype(float)
            model = IGTM(noise=noise, solver="em", niter=2, tol=0).fit(X).model_
            found = e_step(X, None, model, "numpy")
            prior = model.noise.prior_of(found, model.noise.squares(found, model), model, 0.1, "center")
            with single_threaded_blas:
                again = [seconds(lambda: model.noise.m_step(found, model, prior)) for _ in range(5)]  # noqa: B023
            times.append(statistics.median(again))
        print(f"| {noise} | {' | '.join(f'{1000 * each:.3g} ms' for each in times)} |", flush=True)


# Pictures.


def pictures(folder: Path) -> None:
    """Draw digits on a map of bits and on an isotropic one, by class, and what the nodes of the first are."""
    import altair as alt
    import pandas as pd
    from PIL import Image

    rows = noise_data.digits(tiny=False)
    maps = {
        'noise="bernoulli"': IGTM(noise="bernoulli", random_state=0).fit(rows.X),
        'noise="isotropic"': IGTM(scale="center", random_state=0).fit(rows.X),
    }
    axis = alt.Axis(grid=False, values=[-1, 0, 1])
    panels = []
    for title, igtm in maps.items():
        table = pd.DataFrame(igtm.transform(rows.X), columns=["x1", "x2"]).assign(digit=rows.labels)
        chart = alt.Chart(table, title=title, width=330, height=330).mark_circle(size=14, opacity=0.8)
        color = alt.Color("digit:N", scale=alt.Scale(scheme="category10"))
        panels.append(chart.encode(alt.X("x1:Q", axis=axis), alt.Y("x2:Q", axis=axis), color))
    alt.hconcat(*panels).save(folder / "noise_digits.png", scale_factor=1.5)

    igtm = maps['noise="bernoulli"']
    # x1 is slowest, and goes right; x2 goes up.
    tiles = igtm.centers_.reshape(igtm.k, igtm.k, 8, 8)[:, ::-1].transpose(1, 2, 0, 3)
    grey = np.full((igtm.k, 9, igtm.k, 9), 1.0)
    grey[:, :8, :, :8] = 1.0 - tiles
    image = Image.fromarray(np.uint8(255 * grey.reshape(9 * igtm.k, -1)[:-1, :-1]))
    image.resize((image.width * 4, image.height * 4), Image.Resampling.NEAREST).save(
        folder / "noise_nodes.png"
    )


SUITES = (bits, counts, simulated, columns, passes, m_steps)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="few rows and iterations, one division")
    parser.add_argument("--only", metavar="WORD", default="", help="suites with WORD in their name")
    parser.add_argument("--repeats", type=int, default=3, help="divisions of rows, and timings; default: 3")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="draw maps of digits there, and no more"
    )
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # of fits that were cut, and of labels that one row has
    if arguments.pictures:
        pictures(arguments.pictures)
        return
    print(processor())
    size = Size(1 if arguments.tiny else arguments.repeats, arguments.tiny)
    for suite in SUITES:
        if arguments.only in suite.__name__:
            suite(size)


if __name__ == "__main__":
    main()
