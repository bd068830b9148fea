"""Which rows lie where, held against all responsibilities in memory."""

import os
import subprocess
import sys

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import zarr
from distributed import Client
from helpers.data import correlated, holed
from helpers.lazy import Computes, CountingStore, counting
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracles.dense_posterior import dense_outputs
from pandas.testing import assert_frame_equal

from dask_igtm import IGTM, IGTMAtlas, IGTMClassifier, landscape

X = correlated(300, 4)
WORDS = np.array([f"molecule {i}" for i in range(len(X))], object)
SETTINGS = {"k": 6, "m": 3, "niter": 5, "scale": None, "solver": "em"}


@pytest.fixture(scope="module")
def igtm():
    return IGTM(**SETTINGS).fit(X)


def dense(igtm, X, top, mask=None):
    """Return node, rank, row and probability from all responsibilities, sorted as a whole."""
    R = dense_outputs(igtm, np.asarray(X), 1)["responsibilities"]
    if mask is not None:
        R = R[:, mask].sum(axis=1, keepdims=True)
    R = R.astype(np.float32)
    rows = []
    for node, column in enumerate(R.T):
        order = sorted(np.flatnonzero(column > 0), key=lambda row: (-column[row], row))[:top]
        rows += [(node, rank, row, column[row]) for rank, row in enumerate(order, 1)]
    table = pd.DataFrame(rows, columns=["node", "rank", "row", "probability"])
    return table if mask is None else table.drop(columns="node")


def same(found, expected):
    assert list(found.columns) == list(expected.columns)
    names = [name for name in found.columns if name != "probability"]
    assert_frame_equal(found[names], expected[names], check_dtype=False)
    assert found["probability"].dtype == np.float32
    assert_allclose(found["probability"], expected["probability"], rtol=1e-5)


@pytest.mark.parametrize("top", [1, 5, 40])
def test_the_likeliest_rows_of_each_node(igtm, top):
    same(landscape.members(igtm, X, top=top), dense(igtm, X, top))


def test_no_more_rows_than_have_a_probability(igtm):
    found = landscape.members(igtm, X, top=1000)
    assert len(found) == (igtm.describe(X, ("responsibilities",))["responsibilities"] > 1e-46).sum()


@pytest.mark.parametrize(
    "region", [[3, 4, 9], (-0.5, 1.0, 0.0, 1.0), [(-1, -1), (1, -1), (1, 1)], np.arange(36) % 3 == 0]
)
def test_the_likeliest_rows_of_a_region(igtm, region):
    mask = landscape.regions.node_mask(igtm.nodes_, region)
    same(landscape.members(igtm, X, region=region, top=20), dense(igtm, X, 20, mask))


def test_a_region_of_all_nodes_has_every_row_for_certain(igtm):
    found = landscape.members(igtm, X, region=np.ones(36, bool), top=1000)
    assert found["row"].tolist() == list(range(300))
    assert (found["probability"] == 1).all()


@given(
    cuts=st.lists(st.integers(1, 299), min_size=0, max_size=6, unique=True),
    top=st.integers(1, 8),
    of_region=st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_blocks_change_nothing(igtm, cuts, top, of_region):
    edges = [0, *sorted(cuts), 300]
    lazy = da.from_array(X, chunks=(tuple(np.diff(edges).tolist()), 4))
    region = [0, 1, 6, 7] if of_region else None
    same(
        landscape.members(igtm, lazy, region=region, top=top),
        landscape.members(igtm, X, region=region, top=top),
    )


def test_equal_rows_come_in_their_order(igtm):
    twice = np.repeat(X[:40], 2, axis=0)
    found = landscape.members(igtm, da.from_array(twice, chunks=(7, 4)), top=2)
    best = landscape.members(igtm, X[:40], top=1)
    assert (found.groupby("node")["row"].first().to_numpy() == 2 * best["row"]).all()
    assert (found.groupby("node")["row"].last().to_numpy() == 2 * best["row"] + 1).all()


def test_rows_with_nothing_observed_lie_nowhere():
    gappy = holed(X, 0.2)
    gappy[[0, 50, 299]] = np.nan
    igtm = IGTM(**SETTINGS, missing="marginalize").fit(gappy)
    found = landscape.members(igtm, gappy, top=300)
    assert not set(found["row"]) & {0, 50, 299}
    kept = np.delete(np.arange(300), [0, 50, 299])
    alone = landscape.members(igtm, gappy[kept], top=300)
    assert_allclose(found["probability"], alone["probability"], rtol=1e-5)
    assert (found["row"].to_numpy() == kept[alone["row"]]).all()


def test_sparse_rows(igtm):
    same(landscape.members(igtm, sp.csr_array(X)), dense(igtm, X, 5))


def containers():
    columns = pd.DataFrame(X, columns=list("abcd"))
    named = columns.set_index(pd.Index(WORDS, name="smiles"))
    worded = columns.assign(smiles=WORDS)
    return {
        "index": (named, None),
        "column": (worded, "smiles"),
        "polars": (pl.from_pandas(worded), "smiles"),
        "dask index": (dd.from_pandas(named, npartitions=4, sort=False), None),
        "dask column": (dd.from_pandas(worded, npartitions=4), "smiles"),
    }


@pytest.mark.parametrize("kind", list(containers()))
def test_names_come_with_the_rows(kind):
    table, ids = containers()[kind]
    igtm = IGTM(**SETTINGS).fit(pd.DataFrame(X, columns=list("abcd")))
    found = landscape.members(igtm, table, ids)
    expected = dense(igtm, pd.DataFrame(X, columns=list("abcd")), 5)
    same(found, expected.assign(row=WORDS[expected["row"]]).rename(columns={"row": "smiles"}))


def test_several_names(igtm):
    table = pd.DataFrame(X).set_index(
        pd.MultiIndex.from_arrays([WORDS, np.arange(300) * 2.5], names=["smiles", "activity"])
    )
    lazy = dd.from_pandas(
        pd.DataFrame(X, columns=list("abcd")).assign(n=range(300), smiles=WORDS), npartitions=3
    )
    named = IGTM(**SETTINGS).fit(pd.DataFrame(X, columns=list("abcd")))
    found, carried = landscape.members(igtm, table), landscape.members(named, lazy, ["n", "smiles"])
    row = dense(igtm, X, 5)["row"]
    assert list(found.columns) == ["node", "rank", "smiles", "activity", "probability"]
    assert found["activity"].tolist() == (row * 2.5).tolist()
    assert carried["n"].tolist() == row.tolist()
    assert carried["smiles"].tolist() == found["smiles"].tolist() == WORDS[row].tolist()


def test_lazy_rows_are_read_in_one_pass(igtm):
    lazy, blocks = counting(X)
    with Computes() as computes:
        landscape.members(igtm, lazy, ids=WORDS)
    assert computes.count == 1
    assert sorted(blocks) == [0, 1, 2]
    stored = zarr.create_array(CountingStore(), data=X, chunks=(50, 4))
    del CountingStore.read[:]
    landscape.members(igtm, stored)
    assert len(CountingStore.read) == len(set(CountingStore.read)) == 6


def test_rows_of_unknown_number_are_numbered_and_named(igtm):
    lazy, words = da.from_array(X, chunks=(70, 4)), da.from_array(WORDS, chunks=70)
    chosen = lazy[:, 0] > 1.0
    expected = dense(igtm, X[X[:, 0] > 1.0], 5)
    same(landscape.members(igtm, lazy[chosen]), expected)
    found = landscape.members(igtm, lazy[chosen], words[chosen])
    kept = WORDS[X[:, 0] > 1.0]
    same(found, expected.assign(row=kept[expected["row"]]).rename(columns={"row": "id"}))


def test_parquet_without_an_index_is_numbered_throughout(tmp_path):
    columns = pd.DataFrame(X, columns=list("abcd"))
    dd.from_pandas(columns, npartitions=3).to_parquet(tmp_path / "x", write_index=False)
    igtm = IGTM(**SETTINGS).fit(columns)
    same(landscape.members(igtm, dd.read_parquet(tmp_path / "x")), dense(igtm, columns, 5))


def test_every_scheduler_gives_the_same_bits(igtm):
    lazy, words = da.from_array(X, chunks=(20, 4)), da.from_array(WORDS, chunks=20)
    with dask.config.set(scheduler="synchronous"):
        expected = landscape.members(igtm, lazy, words)
    with dask.config.set(scheduler="threads"):
        assert_frame_equal(landscape.members(igtm, lazy, words), expected, check_exact=True)
    with Client(processes=False, n_workers=2, threads_per_worker=1, dashboard_address=":0"):
        assert_frame_equal(landscape.members(igtm, lazy, words), expected, check_exact=True)


def test_a_classifier_has_the_members_of_its_map():
    classifier = IGTMClassifier(**SETTINGS).fit(X, X[:, 0] > 1)
    assert_frame_equal(landscape.members(classifier, X), landscape.members(classifier.igtm_, X))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"top": 0}, "top"),
        ({"region": [99]}, "from 0 to 35"),
        ({"ids": WORDS[:2]}, "X has 300 rows, but ids has shape"),
        ({"ids": pd.Series(WORDS, name="node")}, "several columns node"),
    ],
)
def test_what_cannot_be_used_is_refused_before_the_pass(igtm, arguments, said):
    lazy, blocks = counting(X)
    with pytest.raises(ValueError, match=said):
        landscape.members(igtm, lazy, **arguments)
    assert not blocks


@pytest.fixture(scope="module")
def atlas():
    rows = X[:, :3] + 6.0 * (np.arange(len(X)) % 2)[:, None]
    found = IGTMAtlas(IGTM(**SETTINGS), n_regions=2, min_samples=30, validation_fraction=0.3).fit(rows)
    assert len(found.maps_) > 2
    return found, rows


@pytest.mark.parametrize("region", [None, (-1.0, 0.0, -1.0, 1.0)])
@pytest.mark.parametrize("lazy", [True, False])
def test_members_of_a_map_of_an_atlas_are_those_of_its_path(atlas, region, lazy):
    atlas, rows = atlas
    given = da.from_array(rows, chunks=(70, -1)) if lazy else rows
    paths = atlas.decision_path(rows).toarray()
    for number, igtm in enumerate(atlas.maps_):
        R = igtm.describe(rows, ("responsibilities",))["responsibilities"] * paths[:, [number]]
        if region is not None:
            R = R[:, landscape.regions.node_mask(igtm.nodes_, region)].sum(axis=1, keepdims=True)
        found = landscape.members(atlas, given, WORDS, top=7, region=region, map=number)
        by_name = landscape.members(atlas, given, WORDS, top=7, region=region, map=atlas.tree_.names[number])
        assert_frame_equal(found, by_name)
        places = [0] * len(found) if region is not None else found["node"].tolist()
        at = [WORDS.tolist().index(word) for word in found["id"]]
        assert_allclose(found["probability"], R[at, places], rtol=1e-5)
        for place in range(R.shape[1]):
            expected = np.sort(R[:, place])[::-1][:7]
            mine = found["probability"].to_numpy()[np.array(places) == place]
            assert_allclose(mine, expected[expected > 1e-44], rtol=1e-5)


def test_without_a_name_members_are_those_of_the_root(atlas):
    atlas, rows = atlas
    same(landscape.members(atlas, rows, top=3), landscape.members(atlas.maps_[0], rows, top=3))


@pytest.mark.parametrize("name", [99, -1, "root/9", "west"])
def test_a_map_that_is_not_there_is_refused(atlas, name):
    atlas, rows = atlas
    with pytest.raises(ValueError, match=rf"map={name!r}; give a number or name of .*root/"):
        landscape.members(atlas, rows, map=name)


def test_one_map_has_no_others(igtm):
    with pytest.raises(ValueError, match="map=0 is for an atlas, and IGTM is one map"):
        landscape.members(igtm, X, map=0)


@pytest.mark.slow
def test_array_query_planning():
    code = """
import dask.array as da, numpy as np, pandas as pd
from dask_igtm import IGTM, landscape
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 4))
words = np.array([f"m{i}" for i in range(600)], object)
igtm = IGTM(k=5, m=3, niter=2, scale=None, solver="em").fit(X)
lazy = da.from_array(X, chunks=(200, 4))
assert hasattr(lazy, "expr")
expected = landscape.members(igtm, X, words)
for ids in (words, da.from_array(words, chunks=200)):
    pd.testing.assert_frame_equal(landscape.members(igtm, lazy, ids), expected)
"""
    planned = os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True"}
    subprocess.run([sys.executable, "-c", code], env=planned, check=True)
