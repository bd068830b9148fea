"""What a map says of single rows: outputs from one pass, against a dense posterior."""

from types import SimpleNamespace

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from helpers.lazy import computing
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_posterior import dense_outputs
from scipy.stats import entropy

from dask_igtm import IGTM, runIGTM
from dask_igtm.posterior import row_outputs
from dask_igtm.posterior.row_outputs import Answers

X = correlated(2000, 5)
ALL = (
    *("means", "modes", "node", "top_nodes", "top_responsibilities", "responsibilities", "relative"),
    *("entropy", "log_likelihood", "deviance"),
)
INTEGER = {"node", "top_nodes"}


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 5, "scale": "standard", **parameters})


@pytest.fixture(scope="module")
def fitted():
    return igtm().fit(X)


@pytest.mark.parametrize("top", [1, 5, 36])
def test_outputs_are_those_of_a_dense_posterior(fitted, top):
    described = fitted.describe(X, ALL, top=top)
    expected = dense_outputs(fitted, X, top)
    assert tuple(described) == ALL
    for name, values in described.items():
        assert isinstance(values, np.ndarray)
        assert values.dtype == (np.int32 if name in INTEGER else np.float64)
        assert values.shape == expected[name].shape
        if name != "top_nodes":  # which rounding may order otherwise where responsibilities vanish
            assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12, err_msg=name)
    R, nodes = described["responsibilities"], described["top_nodes"]
    assert_array_equal(np.take_along_axis(R, nodes, axis=1), described["top_responsibilities"])
    assert all(len(set(row)) == top for row in nodes.tolist())


FEW_VALUES = st.integers(1, 12).flatmap(
    lambda k: arrays(float, (4, k), elements=st.integers(0, 3).map(float))
)


@settings(deadline=None, max_examples=60)
@given(FEW_VALUES, st.integers(1, 12))
def test_ties_go_to_the_node_with_the_lower_index(responsibilities, top):
    top = min(top, responsibilities.shape[1])
    before = responsibilities.copy()
    tile = SimpleNamespace(responsibilities=responsibilities, log_likelihood=0, deviance=0, entropy=0)
    answers = Answers(tile, np.zeros((responsibilities.shape[1], 2)), top)
    order = np.argsort(-responsibilities, axis=1, kind="stable")[:, :top]
    assert_array_equal(answers.top_nodes, order)
    assert_array_equal(answers.top_responsibilities, np.take_along_axis(before, order, axis=1))
    assert_array_equal(responsibilities, before)


def test_lazy_outputs_are_lazy_and_share_one_pass(fitted):
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = da.from_array(X, chunks=(250, 5)).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    with dask.config.set(scheduler=computing):
        described = fitted.describe(watched, ALL)
        inside = fitted.applicability(watched)
    expected = fitted.describe(X, ALL)
    for name, values in described.items():
        assert isinstance(values, da.Array)
        assert (values.shape, values.dtype) == (expected[name].shape, expected[name].dtype)
    (computed,) = dask.compute(described)
    assert reads == [250] * 8
    for name, values in computed.items():
        assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12)
        assert values.dtype == described[name].dtype
    assert inside.dtype == bool
    assert_array_equal(inside.compute(), fitted.applicability(X))


def test_an_e_step_a_block_whatever_is_asked(fitted, monkeypatch):
    calls, posteriors = [], row_outputs.posteriors

    def counted(rows, *args):
        calls.append(len(rows))
        return posteriors(rows, *args)

    monkeypatch.setattr(row_outputs, "posteriors", counted)
    lazy = da.from_array(X, chunks=(500, 5))
    dask.compute(fitted.describe(lazy, ALL), scheduler="synchronous")
    dask.compute(fitted.set_params(model="complete").transform(lazy), scheduler="synchronous")
    fitted.set_params(model="means")
    fitted.describe(X, ALL)
    assert calls == [500] * 8 + [2000]


def test_single_outputs_can_be_computed_alone_and_cut(fitted):
    described = fitted.describe(da.from_array(X, chunks=(300, 5)), ALL)
    expected = fitted.describe(X, ALL)
    for name, values in described.items():
        assert_allclose(values[290:310].compute(), expected[name][290:310], rtol=1e-9, atol=1e-12)


def test_rows_of_unknown_number(fitted):
    lazy = da.from_array(X, chunks=(300, 5))
    described = dask.compute(fitted.describe(lazy[lazy[:, 0] > 1], ALL))[0]
    expected = fitted.describe(X[X[:, 0] > 1], ALL)
    for name, values in described.items():
        assert_allclose(values, expected[name], rtol=1e-9, atol=1e-12)


def test_transform_and_score_samples_are_outputs(fitted):
    described = fitted.describe(X, ("means", "log_likelihood"))
    assert_array_equal(described["means"], fitted.transform(X))
    assert_array_equal(described["log_likelihood"], fitted.score_samples(X))


def test_runigtm_projects_in_one_pass():
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = da.from_array(X, chunks=(500, 5)).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    result = runIGTM(watched, k=4, m=2, niter=2)
    reads.clear()
    means, modes = dask.compute(result.matMeans, result.matModes)
    assert reads == [500] * 4
    assert means.shape == modes.shape == (len(X), 2)


@pytest.mark.parametrize("missing", ["marginalize", "median"])
def test_rows_with_gaps(missing):
    holes = np.where(np.random.default_rng(0).random(X.shape) < 0.3, np.nan, X)
    holes[7] = np.nan
    described = igtm(missing=missing).fit(holes).describe(holes, ALL, top=3)
    R = described["responsibilities"]
    assert_allclose(R.sum(axis=1), 1)
    assert_allclose(described["entropy"], entropy(R, axis=1), atol=1e-9)
    assert (described["deviance"] >= 0).all()
    if missing == "marginalize":
        assert_allclose(described["entropy"][7], np.log(36))
        assert_allclose([described["deviance"][7], described["log_likelihood"][7]], 0, atol=1e-9)


@pytest.mark.parametrize("far", [1e-3, 1.0, 1e3, 1e6])
def test_entropy_lies_between_0_and_that_of_all_nodes(fitted, far):
    for dtype in (np.float32, np.float64):
        values = fitted.describe((far * X).astype(dtype), ("entropy",))["entropy"]
        assert values.min() >= 0
        assert values.max() <= np.log(36) * (1 + 1e-6)


@pytest.mark.parametrize("outputs", [(), ("means", "means"), ("means", "complete"), "means"])
def test_outputs_are_checked(fitted, outputs):
    with pytest.raises(ValueError, match=r"outputs=.*'top_nodes'.*each once"):
        fitted.describe(X, outputs)


def test_top_is_checked(fitted, tmp_path):
    with pytest.raises(ValueError, match="top=37 is more than the 36 nodes"):
        fitted.describe(X, ("top_nodes",), top=37)
    with pytest.raises(ValueError, match="top=0; give a whole number >= 1"):
        fitted.project_to_zarr(X, tmp_path / "map.zarr", ("top_nodes",), top=0)
    assert igtm(k=2).fit(X).describe(X)["node"].max() <= 3  # top=5 was not asked for


def test_columns_of_a_table_are_named_each_by_another_name():
    names = ("means", "modes", "node", "top_nodes", "relative", "entropy")
    columns = [outputs.columns for outputs in row_outputs.outputs_of(names, 3, 2)]
    assert columns == [
        ("x1", "x2"),
        ("mode_x1", "mode_x2"),
        ("node",),
        ("top_node_1", "top_node_2"),
        ("relative_0", "relative_1", "relative_2"),
        ("entropy",),
    ]
    every = [name for output in row_outputs.outputs_of(ALL, 4, 2) for name in output.columns]
    assert len(set(every)) == len(every)
