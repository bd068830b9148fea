"""Markers of nodes and regions against dense means of the centres, in memory, lazily, wide and by axes."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from helpers.lazy import counting
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from dask_igtm import IGTM, IGTMClassifier, landscape

X = correlated(300, 6)
NAMES = [f"gene {letter}" for letter in "abcdef"]
FRAME = pd.DataFrame(X, columns=NAMES)
CORNER = (-1.0, 0.0, -1.0, 0.0)


def igtm(**parameters):
    return IGTM(**{"k": 5, "m": 3, "niter": 8, "solver": "em", "scale": "standard", **parameters})


@pytest.fixture(scope="module")
def fitted():
    return igtm().fit(FRAME)


def dense_markers(fitted, mask, weight, n):
    """Markers as their definition says, from all centres at once."""
    inside = np.average(fitted.centers_[mask], axis=0, weights=weight[mask])
    rest = np.average(fitted.centers_[~mask], axis=0, weights=weight[~mask])
    difference = (inside - rest) / (np.sqrt(fitted.beta_inv_) * fitted.scale_)
    best = np.argsort(-np.abs(difference), kind="stable")[:n]
    return best, inside[best], rest[best], difference[best]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [1, 3, 6, 9])
def test_each_node_has_its_columns(fitted, n, weighted):
    found = landscape.markers(fitted, X=FRAME if weighted else None, n=n)
    weight = landscape.density(fitted, FRAME).support if weighted else np.ones(25)
    size = min(n, 6)
    assert found.columns.tolist() == ["node", "rank", "column", "value", "rest", "difference"]
    assert_array_equal(found["node"], np.arange(25).repeat(size))
    assert_array_equal(found["rank"], np.tile(np.arange(1, size + 1), 25))
    for node, table in found.groupby("node"):
        best, *figures = dense_markers(fitted, np.arange(25) == node, weight, n)
        assert table["column"].tolist() == [NAMES[column] for column in best]
        assert_allclose(table[["value", "rest", "difference"]], np.transpose(figures), rtol=1e-8)


@pytest.mark.parametrize("rows", [None, "frame", "lazy", "sparse"])
def test_a_region_is_set_apart_as_one(fitted, rows):
    bare = igtm().fit(X)
    given = {"frame": FRAME, "lazy": da.from_array(X, chunks=(70, 6)), "sparse": sparse.csr_array(X)}
    model = fitted if rows in (None, "frame") else bare
    weight = np.ones(25) if rows is None else landscape.density(bare, X).support
    mask = (fitted.nodes_ <= 0).all(axis=1)
    best, *figures = dense_markers(fitted, mask, weight, 4)
    for region in (CORNER, mask, np.flatnonzero(mask), [(-1, -1), (-1, 0), (0, 0), (0, -1)]):
        found = landscape.markers(model, given.get(rows), n=4, region=region)
        assert found.columns.tolist() == ["rank", "column", "value", "rest", "difference"]
        names = [NAMES[column] for column in best] if model is fitted else best.tolist()
        assert found["column"].tolist() == names
        assert_allclose(found[["value", "rest", "difference"]], np.transpose(figures), rtol=1e-6)


def test_weights_are_frequencies(fitted):
    weight = np.arange(300) % 3
    one = landscape.markers(fitted, FRAME, region=CORNER, sample_weight=weight)
    other = landscape.markers(fitted, FRAME.loc[np.repeat(np.arange(300), weight)], region=CORNER)
    pd.testing.assert_frame_equal(one, other)
    assert not one["rest"].equals(landscape.markers(fitted, FRAME, region=CORNER)["rest"])


def test_nodes_where_no_row_lies_weigh_alike():
    fitted = igtm(k=12, niter=30).fit(X * 1e3)
    support = landscape.density(fitted, X[:2] * 1e3).support
    empty = support == 0
    assert 2 < empty.sum() < 144
    best, *figures = dense_markers(fitted, empty, np.where(empty, 1.0, support), 3)
    found = landscape.markers(fitted, X[:2] * 1e3, n=3, region=empty)
    assert found["column"].tolist() == best.tolist()
    assert_allclose(found[["value", "rest", "difference"]], np.transpose(figures), rtol=1e-8)


def test_lazy_rows_are_read_once(fitted):
    lazy, computed = counting(X)
    landscape.markers(igtm().fit(X), lazy)
    assert sorted(computed) == [0, 1, 2]


def test_an_offset_rounds_no_difference():
    near, far = igtm().fit(X), igtm().fit(X + 1e7)
    one, other = (landscape.markers(model, region=CORNER) for model in (near, far))
    assert_array_equal(one["column"], other["column"])
    assert_allclose(one["difference"], other["difference"], rtol=1e-5)


@pytest.mark.parametrize("scale", ["center", "standard"])
def test_a_column_that_the_axes_leave_out_is_no_marker(scale):
    noise = np.random.default_rng(1).normal(size=(300, 1)) * (0.01 if scale == "center" else 1.0)
    Z = np.hstack([X[:, :2] @ [[1, 0.9], [0.1, 1]], X[:, :1] + X[:, 1:2], noise])
    fitted = igtm(n_components=1, scale=scale).fit(Z)
    found = landscape.markers(fitted, n=4, region=CORNER)
    assert found["column"].tolist()[-1] == 3
    assert abs(found["difference"].iloc[-1]) < 0.3 * abs(found["difference"].iloc[0])
    mask = (fitted.nodes_ <= 0).all(axis=1)
    best, *figures = dense_markers(fitted, mask, np.ones(25), 4)
    assert found["column"].tolist() == best.tolist()
    assert_allclose(found[["value", "rest", "difference"]], np.transpose(figures), rtol=1e-8)


def test_ties_go_to_the_first_column():
    constant = np.hstack([np.zeros((300, 3)), X[:, :2], np.zeros((300, 3))])
    found = landscape.markers(igtm().fit(constant), n=5)
    ranked = found["column"].to_numpy().reshape(25, 5)
    assert_array_equal(np.sort(ranked[:, :2]), np.tile([3, 4], (25, 1)))
    assert_array_equal(ranked[:, 2:], np.tile([0, 1, 2], (25, 1)))


def test_a_predictor_has_the_markers_of_its_map(fitted):
    settings = {"k": 5, "m": 3, "niter": 8, "solver": "em", "scale": "standard"}
    classifier = IGTMClassifier(**settings).fit(FRAME, X[:, 0] > 1)
    pd.testing.assert_frame_equal(landscape.markers(classifier), landscape.markers(fitted))


def test_what_has_no_rest_is_refused(fitted):
    with pytest.raises(ValueError, match="the whole map of 25 nodes"):
        landscape.markers(fitted, region=(-1.0, 1.0, -1.0, 1.0))
    with pytest.raises(ValueError, match="the whole map of 1 nodes"):
        landscape.markers(igtm(k=1, m=1).fit(X))
    with pytest.raises(ValueError, match="sample_weight is given without X"):
        landscape.markers(fitted, sample_weight=np.ones(300))
    with pytest.raises(ValueError, match="n=0"):
        landscape.markers(fitted, n=0)
    with pytest.raises(ValueError, match="none of the 25 nodes"):
        landscape.markers(fitted, region=(0.1, 0.2, 0.1, 0.2))
