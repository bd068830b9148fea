"""Tables of rows: the names of the rows and the numbers of `describe`, in the kind of frame that came."""

import os
import subprocess
import sys
from datetime import date

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import zarr
from helpers.csr_groups import zarr_csr
from helpers.data import correlated
from helpers.lazy import computing
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal, assert_index_equal

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, eIGTM

X = correlated(600, 4)
WORDS = np.array([f"molecule {i}" for i in range(len(X))], object)
NAMES = ["a", "b", "c", "d"]
PLAIN = ["x1", "x2", "node", "entropy", "log_likelihood"]
SETTINGS = {"k": 6, "m": 3, "niter": 3, "scale": None, "solver": "em"}


@pytest.fixture(scope="module")
def igtm():
    return IGTM(**SETTINGS).fit(X)


@pytest.fixture(scope="module")
def named():
    return IGTM(**SETTINGS).fit(frame())


@pytest.fixture(scope="module")
def expected(igtm):
    described = igtm.describe(X)
    columns = dict(zip(("x1", "x2"), described.pop("means").T, strict=True))
    return pd.DataFrame(columns | described)


def frame(index=None):
    return pd.DataFrame(X, index, columns=NAMES)


def with_words():
    return frame().assign(smiles=WORDS)[["a", "smiles", "b", "c", "d"]]


def same(one, other):
    """Hold that two tables have the same columns, types and index, and numbers but for how they round."""
    assert_frame_equal(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("of", [np.asarray, np.ndarray.tolist, sp.csr_array, sp.coo_array])
def test_bare_rows_in_memory_are_numbered(igtm, expected, of):
    table = igtm.table(of(X))
    assert_index_equal(table.index, pd.RangeIndex(len(X)), exact=True)
    same(table, expected)


def test_every_output_has_its_columns(igtm):
    table = igtm.table(X, ("modes", "top_nodes", "responsibilities"), top=2)
    assert list(table.columns) == [
        *("mode_x1", "mode_x2", "top_node_1", "top_node_2"),
        *(f"responsibility_{i}" for i in range(36)),
    ]
    assert table["top_node_1"].dtype == np.int32
    assert_array_equal(table[["mode_x1", "mode_x2"]], igtm.nodes_[table["top_node_1"]])


@pytest.mark.parametrize(
    "index",
    [
        pd.Index(WORDS, name="smiles"),
        pd.Index(WORDS),
        pd.RangeIndex(7, 607),
        pd.date_range("2026-01-01", periods=600, tz="UTC", name="day"),
        pd.MultiIndex.from_product([range(6), pd.Categorical(list(map(str, range(100))))]),
    ],
)
def test_a_frame_of_pandas_keeps_its_index(named, expected, index):
    table = named.table(frame(index))
    assert_index_equal(table.index, index, exact=True)
    same(table, expected.set_index(index))


def test_columns_that_are_ids_become_the_index(named, expected):
    same(named.table(with_words(), ids="smiles"), expected.set_index(pd.Index(WORDS, name="smiles")))
    two = named.table(with_words().assign(batch=1), ids=["batch", "smiles"])
    assert two.index.names == ["batch", "smiles"]
    assert two.index[3] == (1, "molecule 3")


def test_ids_beside_the_rows_become_the_index(igtm, expected):
    same(igtm.table(X, ids=WORDS), expected.set_index(pd.Index(WORDS, name="id")))


@pytest.mark.parametrize("kind", [pl.DataFrame, pa.Table], ids=["polars", "arrow"])
def test_a_frame_of_another_kind_comes_back_as_one(named, expected, kind):
    def of(held):
        return pl.from_pandas(held) if kind is pl.DataFrame else pa.Table.from_pandas(held)

    def back(table):
        assert type(table) is kind
        return table.to_pandas()

    numbered = back(named.table(of(frame())))
    assert list(numbered.columns) == ["row", *PLAIN]
    same(numbered.drop(columns="row"), expected)
    assert_array_equal(numbered["row"], range(600))
    worded = back(named.table(of(with_words()), ids="smiles"))
    assert list(worded.columns) == ["smiles", *PLAIN]
    assert worded["smiles"].tolist() == WORDS.tolist()
    given = back(named.table(of(frame()), ["node"], ids=pl.Series("smiles", WORDS)))
    assert list(given.columns) == ["smiles", "node"]


def test_columns_of_ids_keep_their_types(named):
    days = pl.Series("day", [date(2026, 1, 1), None] * 300)
    table = named.table(pl.from_pandas(frame()).with_columns(days), ["node"], ids=["day"])
    assert table["day"].equals(days)
    assert table.dtypes == [pl.Date, pl.Int32]


def test_what_speaks_arrow_comes_back_as_arrow(named):
    batch = pa.RecordBatch.from_pandas(with_words(), preserve_index=False)
    table = named.table(batch, ["node"], ids="smiles")
    assert isinstance(table, pa.Table)
    assert table.column_names == ["smiles", "node"]


@pytest.mark.parametrize("index", [None, pd.Index(np.arange(600) * 2, name="cell")], ids=["numbers", "named"])
def test_a_frame_of_dask_keeps_its_index_and_divisions(named, expected, index):
    lazy = dd.from_pandas(frame(index), npartitions=3)
    with dask.config.set(scheduler=computing):
        table = named.table(lazy)
    assert isinstance(table, dd.DataFrame)
    assert table.divisions == lazy.divisions
    assert table._meta.dtypes.equals(expected.dtypes)
    same(table.compute(), expected if index is None else expected.set_index(index))


def test_a_frame_of_dask_with_columns_that_are_ids(named, expected):
    lazy = dd.from_pandas(with_words().assign(batch=1), npartitions=3)
    with dask.config.set(scheduler=computing):
        one = named.table(lazy.drop(columns="batch"), ids="smiles")
        two = named.table(lazy, ids=["batch", "smiles"])
    assert one.index.name == "smiles"
    assert one.divisions == (None,) * 4
    same(one.compute().set_index(pd.RangeIndex(600)), expected)
    assert one.compute().index.tolist() == WORDS.tolist()
    assert two.divisions == lazy.divisions
    assert list(two.compute().columns) == ["batch", "smiles", *PLAIN]


def test_a_frame_of_dask_is_read_once(named):
    read = []

    def part(number):
        read.append(number)
        return with_words().iloc[number * 200 : number * 200 + 200]

    lazy = dd.from_map(part, range(3), meta=with_words().iloc[:0])
    table = named.table(lazy, ids="smiles")
    del read[:]
    with dask.config.set(scheduler="synchronous"):
        assert len(table.compute()) == 600
    assert sorted(read) == [0, 1, 2]


def test_a_frame_of_dask_of_which_nothing_is_known(named, expected):
    lazy = dd.from_pandas(frame(), npartitions=3).clear_divisions()
    lazy = lazy[lazy["a"] > lazy["a"].mean()]
    chosen = X[:, 0] > X[:, 0].mean()
    same(named.table(lazy).compute(), expected[chosen])


def lazy_arrays(tmp_path):
    zarr.save(tmp_path / "x.zarr", X)
    return {
        "dask": da.from_array(X, chunks=((100, 300, 200), (4,))),
        "zarr": zarr.array(X, chunks=(100, 4)),
        "path": tmp_path / "x.zarr",
        "sparse": da.from_array(X, chunks=(200, 4)).map_blocks(sp.csr_array),
    }


@pytest.mark.parametrize("kind", ["dask", "zarr", "path", "sparse"])
def test_lazy_arrays_become_frames_of_dask(igtm, expected, kind, tmp_path):
    lazy = lazy_arrays(tmp_path)[kind]
    with dask.config.set(scheduler=computing):
        table = igtm.table(lazy)
        given = igtm.table(lazy, ids=WORDS)
    assert isinstance(table, dd.DataFrame)
    assert table.divisions[0] == 0
    assert table.divisions[-1] == 599
    assert table._meta.dtypes.equals(expected.dtypes)
    same(table.compute(), expected)
    same(table.loc[250:260, ["x1", "node"]].compute(), expected.loc[250:260, ["x1", "node"]])
    same(given.compute(), expected.set_index(pd.Index(WORDS, name="id")))
    assert not given.known_divisions


def test_sparse_rows_on_disk_become_a_frame_of_dask(igtm, expected, tmp_path):
    zarr_csr(tmp_path / "x.zarr", sp.csr_array(X))
    same(igtm.table(tmp_path / "x.zarr", ids=WORDS).compute(), expected.set_index(pd.Index(WORDS, name="id")))


def test_an_index_may_have_the_name_of_a_column(named, expected):
    lazy = dd.from_pandas(frame(pd.Index(range(600), name="a")), npartitions=2)
    same(named.table(lazy).compute(), expected.set_index(pd.Index(range(600), name="a")))


def test_lazy_ids_stay_lazy_where_sizes_are_unknown(igtm, expected):
    lazy, words = da.from_array(X, chunks=(250, 4)), da.from_array(WORDS, chunks=250)
    chosen = lazy[:, 0] > 1.0
    with dask.config.set(scheduler=computing):
        table = igtm.table(lazy[chosen], ids=words[chosen])
        numbered = igtm.table(lazy[chosen], ["node"])
    kept = np.flatnonzero(X[:, 0] > 1.0)
    same(table.compute(), expected.loc[kept].set_index(pd.Index(WORDS[kept], name="id")))
    assert numbered.divisions == (None,) * 4
    counts = [(kept // 250 == block).sum() for block in range(3)]
    assert_array_equal(numbered.compute().index, np.concatenate([np.arange(n) for n in counts]))


def test_outputs_of_a_lazy_table_share_an_e_step(igtm):
    blocks = []

    def note(block):
        blocks.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(200, 4)).map_blocks(note, meta=np.empty((0, 0)))
    with dask.config.set(scheduler="synchronous"):
        igtm.table(lazy).compute()
    assert blocks == [200, 200, 200]


def test_empty_blocks_leave_divisions_unknown(igtm, expected):
    table = igtm.table(da.from_array(X, chunks=((300, 0, 300), 4)))
    assert table.divisions == (None,) * 4
    same(table.compute(), expected)


def test_estimators_on_a_map_have_tables():
    labels, settings = (X[:, 0] > 1).astype(int), {"k": 5, "m": 3, "niter": 2, "scale": None, "solver": "em"}
    classifier = IGTMClassifier(**settings).fit(X, labels)
    regressor = IGTMRegressor(**settings).fit(X, X[:, 0])
    search = IGTMSearch(IGTM(**settings), {"m": [3]}, cv=2).fit(X)
    of_ugtm = eIGTM(k=5, m=3, niter=2).fit(X)
    for model, on in [
        (classifier, classifier.igtm_),
        (regressor, regressor.igtm_),
        (search, search.best_estimator_),
        (of_ugtm, of_ugtm),
    ]:
        table = model.table(X, ("node",), ids=WORDS)
        assert_array_equal(table["node"], on.describe(X, ("node",))["node"])
        assert table.index[0] == "molecule 0"


@pytest.mark.parametrize(
    ("table", "ids", "error", "said"),
    [
        (with_words(), None, ValueError, "Feature names unseen at fit time:\n- smiles"),
        (with_words(), "smile", ValueError, "no column 'smile'"),
        (frame(), pd.Series(WORDS, name="x1"), ValueError, "The table has several columns x1"),
        (frame(), "a", ValueError, "yet now missing"),
        (pl.from_pandas(frame()).lazy(), None, TypeError, r"give X.collect\(\)"),
    ],
)
def test_what_makes_no_table_is_refused(named, table, ids, error, said):
    with pytest.raises(error, match=said):
        named.table(table, ids=ids)


@pytest.mark.slow
def test_array_query_planning(tmp_path):
    code = """
import dask.array as da, numpy as np, pandas as pd
from dask_igtm import IGTM
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 4))
words = np.array([f"m{i}" for i in range(600)], object)
igtm = IGTM(k=5, m=3, niter=2, scale=None, solver="em").fit(X)
expected = igtm.table(X)
lazy = da.from_array(X, chunks=(200, 4))
assert hasattr(lazy, "expr")
pd.testing.assert_frame_equal(igtm.table(lazy).compute(), expected)
pd.testing.assert_frame_equal(igtm.table(lazy, ids=da.from_array(words, chunks=200)).compute(),
    expected.set_index(pd.Index(words, name="id")))
"""
    planned = os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True"}
    subprocess.run([sys.executable, "-c", code], env=planned, check=True)
