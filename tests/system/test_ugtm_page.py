"""The examples of ugtm's page on eIGTM, on fewer rows, with their import line changed and nothing else."""

import altair as alt
import numpy as np
import pandas as pd
import pytest

from dask_igtm import eIGTM, runIGTM
from dask_igtm.data.row_blocks import row_blocks


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(1000, 50)), rng.normal(size=(100, 50)), rng.normal(size=(10000, 50))


def test_fit_transform(rows):
    X_train, X_test, _ = rows
    model = eIGTM().fit(X_train)
    transformed = model.transform(X_test)
    assert transformed.shape == (100, 2)
    transformed_train = eIGTM().fit_transform(X_train)
    assert (transformed_train == model.transform(X_train)).all()


def test_run_igtm(rows):
    data = rows[0]
    model = runIGTM(data, n_blocks=5)
    coordinates = model.matMeans
    modes = model.matModes
    assert coordinates.shape == modes.shape == (1000, 2)


def test_block_wise_projection(rows):
    X_train, _, X_test = rows
    model = eIGTM(niter=5).fit(X_train)
    sizes = [len(block_coords) for block_coords in model.transform_blocks(X_test, block_size=1000)]
    assert sizes == [1000] * 10
    coords = np.vstack(list(model.transform_blocks(X_test, block_size=1000)))
    assert (coords == model.transform(X_test)).all()

    model = eIGTM(niter=5, model="responsibilities").fit(X_train)
    for resp_block in model.transform_blocks(X_test, block_size=1000):
        assert resp_block.shape == (1000, 256)
        assert np.allclose(resp_block.sum(axis=1), 1)


@pytest.mark.parametrize(("n_rows", "n_blocks"), [(1, 1), (5000, 1), (10000, 2), (50000, 10), (1000000, 200)])
def test_automatic_blocks(n_rows, n_blocks):
    assert row_blocks(np.zeros((n_rows, 1))).X.numblocks[0] == n_blocks


def test_altair_chart():
    np.random.seed(0)  # noqa: NPY002 - the page's own
    X_train = np.random.randn(100, 10)  # noqa: NPY002
    X_test = np.random.randn(50, 10)  # noqa: NPY002
    labels = np.random.choice(["A", "B", "C"], size=50)  # noqa: NPY002

    transformed = eIGTM(n_blocks=2).fit(X_train).transform(X_test)

    df = pd.DataFrame(transformed, columns=["x1", "x2"])
    df["label"] = labels

    chart = (
        alt.Chart(df)
        .mark_point(size=60)
        .encode(
            x="x1",
            y="x2",
            color=alt.Color("label:N", scale=alt.Scale(scheme="set1")),
            tooltip=["x1", "x2", "label"],
        )
        .properties(title="iGTM projection of X_test", width=300, height=300)
        .interactive()
    )
    assert len(chart.to_dict()["datasets"]) == 1
