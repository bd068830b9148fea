"""Write a small file of every kind, and what the release that writes them answers.

    python tests/oracles/write_files.py FOLDER

Those in `files_of_0_1` were written by 0.1.0 before its modules moved. Sums over these rows are exact, so
that their moments, of which a checkpoint has a digest, have the same bits on every processor.
"""

import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import zarr

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, landscape

SMALL = {"k": 4, "m": 2, "s": 1.0, "regul": 0.001}
SOLVERS = {
    "em": {"solver": "em"},
    "accelerated": {"solver": "accelerated"},
    "evidence": {"solver": "em", "regul": "auto"},
}
OUTPUTS = ("means", "node", "log_likelihood")
PRIOR = {"high": 0.25, "low": 0.75}


def rows():
    """Return rows, and a value and a label of each."""
    u, v = np.random.default_rng(0).integers(-16, 16, size=(2, 64))
    X = np.column_stack([u, v, u * v // 8, u - v // 4]).astype(float)
    y = X[:, 0] + 0.5 * X[:, 1]
    return X, np.column_stack([y, -y]), np.where(u > 0, "high", "low")


def fit_with(solver, niter, X, **run):
    """Return the fit of which there is a checkpoint after 14 iterations."""
    return IGTM(**SMALL | SOLVERS[solver], scale="center", tol=0, niter=niter).fit(X, **run)


def with_gaps(X):
    """Return the rows as a frame with gaps."""
    gaps = X.copy()
    gaps[::7, 1] = np.nan
    return pd.DataFrame(gaps, columns=list("abcd"))


def main(folder):
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    X, y, labels = rows()
    igtm = IGTM(**SMALL, solver="em", scale="center", niter=8, tol=0, random_state=7).fit(X)
    igtm.save(folder / "model.npz")
    expected = {"model_means": igtm.transform(X), "model_scores": igtm.score_samples(X)}

    frame = with_gaps(X)
    named = IGTM(**SMALL, solver="em", scale="standard", niter=5, missing="median", n_components=2).fit(frame)
    named.save(folder / "named.npz")
    expected["named_means"] = named.transform(frame)

    stream = IGTM(**SMALL, scale="center").partial_fit(X[:32]).partial_fit(X[32:])
    stream.save(folder / "stream.npz")
    expected["stream_means"] = stream.partial_fit(X[:32]).transform(X)

    classifier = IGTMClassifier(**SMALL, solver="em", scale="center", niter=5, prior=PRIOR).fit(X, labels)
    classifier.save(folder / "classifier.npz")
    expected["classifier_proba"] = classifier.predict_proba(X)
    regressor = IGTMRegressor(**SMALL, solver="em", scale="center", niter=5).fit(X, y)
    regressor.save(folder / "regressor.npz")
    expected["regressor_values"] = regressor.predict(X)

    for found in (
        landscape.density(igtm, X),
        landscape.property(igtm, X, y),
        landscape.classes(igtm, X, labels),
    ):
        found.save(folder / f"landscape_{found.kind}.npz")
        expected[f"landscape_{found.kind}"] = found.values

    for solver in SOLVERS:
        fit_with(solver, 14, X, checkpoint=folder / f"checkpoint_{solver}.npz")
        expected[f"checkpoint_{solver}_centers"] = fit_with(solver, 20, X).centers_

    # A projection that was cut before the second of its four parts.
    igtm.project_to_zarr(da.from_array(X, chunks=(16, 4)), folder / "projection.zarr", OUTPUTS)
    cut = zarr.open_group(folder / "projection.zarr", mode="r+")
    cut.attrs["dask_igtm"] = dict(cut.attrs["dask_igtm"]) | {"complete": False}
    for name in OUTPUTS:
        part = folder / "projection.zarr" / name / "c" / "1"
        (part / "0" if part.is_dir() else part).unlink()
    np.savez(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
