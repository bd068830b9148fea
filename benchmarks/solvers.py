"""Compare solvers on several draws of several data sets: passes until they stop, and how good the map is.

    python benchmarks/solvers.py [--tiny] [--references] [--rows N] [--draws N] [--picture FILE]

The reference is plain EM after 2,000 passes, which takes minutes a draw. Those in `solvers_reference.json`
are taken from there; with `--references` others are computed and added, and without it these draws are left
out. A difference within 0.005 nats a row is a tie.
"""

from __future__ import annotations

import argparse
import json
import statistics
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from solver_data import DATA, DataSet

from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.fit import fit
from dask_igtm.fitting.result import Fit
from dask_igtm.fitting.settings import Settings
from dask_igtm.model.model import Model
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.statistics.likelihood import likelihood_of

REFERENCES = Path(__file__).with_name("solvers_reference.json")
ROWS, HELD_OUT, DRAWS = 100_000, 20_000, 5
PASSES, MOST = 2000, 400  # of the reference, and of those that are compared
TIE = 0.005
NEW = ("accelerated", "sampled")


def settings(data: DataSet, solver: str, niter: int, tol: float, seed: int = 0) -> Settings:
    """Return those of a fit; all but these are IGTM's defaults."""
    return Settings(16, 4, 0.3, 0.1, niter, tol, data.scale, solver, missing=data.missing, seed=seed)


def objectives(found: Fit) -> list[float]:
    """Return the penalised mean log-likelihood of each model that all rows evaluated."""
    return [iteration.penalised for iteration in found.history if iteration.share == 1]


def held_out(model: Model, X: np.ndarray) -> float:
    """Return the mean of ln p(x)."""
    return likelihood_of(X, None, model, best_kernel()).mean


def reference(data: DataSet, X: np.ndarray, rest: np.ndarray, passes: int) -> dict[str, Any]:
    """Run EM as it stops by itself and then on, and note where it was."""
    rows = row_blocks(X)
    stopped = fit(rows, settings(data, "em", passes, 1e-4))
    n_stopped = len(stopped.history)
    ended = fit(rows, settings(data, "em", passes - n_stopped, 0.0), init=stopped.model)
    values = [*objectives(stopped), *objectives(ended)]
    shown = sorted({int(i) for i in np.geomspace(1, len(values), 60)})
    return {
        "passes": n_stopped,
        "objective": values[n_stopped - 1],
        "held_out": held_out(stopped.model, rest),
        "best": max(values),
        "best_held_out": held_out(ended.model, rest),
        "path": [[i, values[i - 1]] for i in shown],
    }


def run(data: DataSet, X: np.ndarray, rest: np.ndarray, solver: str, draw: int, niter: int) -> dict[str, Any]:
    """Fit until the solver stops."""
    found = fit(row_blocks(X), settings(data, solver, niter, 1e-4, seed=draw))
    costs = np.cumsum([iteration.cost for iteration in found.history])
    path = [
        [float(cost), iteration.penalised]
        for cost, iteration in zip(costs, found.history, strict=True)
        if iteration.share == 1
    ]
    return {
        "passes": found.n_passes - 1,
        "full": found.n_iter,
        "objective": max(objectives(found)),
        "held_out": held_out(found.model, rest),
        "stopped_by": found.stopped_by,
        "path": path,
    }


def runs(n_rows: int, draws: int, references: bool, tiny: bool) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield what each solver comes to on each draw, beside its reference."""
    passes, most = (15, 15) if tiny else (PASSES, MOST)
    known = {} if tiny or not REFERENCES.exists() else json.loads(REFERENCES.read_text())
    for draw in range(draws):
        for name, data in DATA.items():
            key = f"{name}, {n_rows} rows, draw {draw}"
            if key not in known and not (references or tiny):
                continue
            X, rest = data.rows(n_rows, n_rows // 5 if tiny else HELD_OUT, draw)
            if key not in known:
                known[key] = reference(data, X, rest, passes)
                if not tiny:
                    REFERENCES.write_text(json.dumps(known, indent=1))
            yield name, draw, {"em": known[key]} | {s: run(data, X, rest, s, draw, most) for s in NEW}


def row(name: str, draw: int, found: dict[str, Any]) -> str:
    """Write what one draw came to."""
    em = found["em"]
    cells = [name, str(draw), str(em["passes"]), f"{em['objective'] - em['best']:+.4f}"]
    for solver in NEW:
        new = found[solver]
        cells += [
            f"{new['passes']:.0f} ({new['full']})",
            f"{new['objective'] - em['best']:+.4f}",
            f"{new['held_out'] - em['held_out']:+.4f}",
        ]
    return f"| {' | '.join(cells)} |"


def summary(found: list[tuple[str, int, dict[str, Any]]]) -> Iterator[str]:
    """Yield what all draws come to, solver by solver."""
    yield "\n| solver | passes, median | over all rows | at or above | quartiles of the difference | worst |"
    yield "| --- |" + " ---: |" * 5
    for solver in NEW:
        results = [(each[solver], each["em"]) for _, _, each in found]
        gains = [new["objective"] - em["best"] for new, em in results]
        quartiles = ", ".join(f"{q:+.3f}" for q in np.quantile(gains, [0.25, 0.5, 0.75]))
        yield (
            f"| {solver} | {statistics.median(new['passes'] for new, _ in results):.1f} "
            f"| {statistics.median(new['full'] for new, _ in results):.1f} "
            f"| {np.mean([gain >= -TIE for gain in gains]):.0%} | {quartiles} | {min(gains):+.3f} |"
        )
    yield "\n| held out, against EM as it stops | " + " | ".join(NEW) + " |\n| --- |" + " ---: |" * len(NEW)
    for name in DATA:
        cells = []
        for solver in NEW:
            gains = [e[solver]["held_out"] - e["em"]["held_out"] for which, _, e in found if which == name]
            error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
            cells.append(f"{np.mean(gains):+.3f} +- {error:.3f}" if gains else "-")
        yield f"| {name} | {' | '.join(cells)} |"


def picture(found: list[tuple[str, int, dict[str, Any]]], path: str) -> None:
    """Draw how far each solver is from the best map of a first draw, after so many passes."""
    import altair as alt

    table = []
    for name, draw, each in found:
        best = max(value for solver in each.values() for _, value in solver["path"]) if draw == 0 else 0.0
        for solver, run in each.items():
            points = run["path"] if draw == 0 else []
            table += [
                {"rows": name, "solver": solver, "passes": passes, "loss": max(best - value, 1e-4)}
                for passes, value in points
            ]
    log, axis = alt.Scale(type="log", domain=[1e-4, 100]), alt.Axis(grid=False)
    lines = alt.Chart(alt.Data(values=table), width=250, height=180).mark_line(
        point=alt.OverlayMarkDef(size=8), clip=True
    )
    chart = lines.encode(
        x=alt.X(
            "passes:Q", title="passes over the data", axis=axis, scale=alt.Scale(type="log", domain=[1, 2000])
        ),
        y=alt.Y("loss:Q", title="nats a row below the best", axis=axis, scale=log),
        color=alt.Color("solver:N", sort=["em", *NEW]),
    ).facet(facet=alt.Facet("rows:N", title=None), columns=3)
    chart.save(path)


def main() -> None:
    """Print a line a draw, then what they come to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="1,000 rows, one draw, 15 passes")
    parser.add_argument("--references", action="store_true", help="compute those that are missing")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument(
        "--picture", metavar="FILE", help="draw objectives against passes, as SVG, PNG or HTML"
    )
    arguments = parser.parse_args()
    if arguments.tiny:
        arguments.rows, arguments.draws = 1000, 1
    warnings.simplefilter("ignore")  # of runs that were cut
    heads = [f"{s}: passes (over all rows) | difference | held out" for s in NEW]
    print(f"| rows | draw | EM stops after | difference | {' | '.join(heads)} |")
    print("| --- |" + " ---: |" * (3 + 3 * len(NEW)))
    found = []
    for name, draw, each in runs(arguments.rows, arguments.draws, arguments.references, arguments.tiny):
        found.append((name, draw, each))
        print(row(name, draw, each), flush=True)
    print("\n".join(summary(found)))
    if arguments.picture:
        picture(found, arguments.picture)


if __name__ == "__main__":
    main()
