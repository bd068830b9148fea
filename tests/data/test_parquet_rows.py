"""Rows of Parquet, by row groups: the numbers of the files, from the columns that are asked for alone."""

import pickle

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers.data import correlated
from helpers.lazy import computing
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dask_igtm import IGTM, convert, open_table
from dask_igtm.data.parquet_rows import ParquetRows
from dask_igtm.data.row_blocks import divided, row_blocks
from dask_igtm.data.row_names import named_rows

X = correlated(1000, 4)
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(id=[f"m{i}" for i in range(1000)])
ALL = (slice(None), slice(None))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts(folder, sizes, frame=FRAME):
    """Write a folder of files of these many rows, as Spark and Dask do."""
    (folder / "x").mkdir()
    start = 0
    for number, size in enumerate(sizes):
        frame[start : start + size].to_parquet(f"x/part.{number}.snappy.parquet", row_group_size=70)
        start += size
    (folder / "x" / "_SUCCESS").write_text("")
    (folder / "x" / ".part.0.snappy.parquet.crc").write_text("")


def small(**kwargs):
    return IGTM(k=4, m=2, niter=4, scale="center", solver="em", **kwargs)


def test_a_fit_is_that_of_zarr_to_the_bit():
    FRAME.to_parquet("x.parquet", row_group_size=130)
    convert("x.parquet", "x.zarr", index="id")
    fits = [small(n_blocks=7).fit(source) for source in (open_table("x.parquet", index="id"), "x.zarr")]
    assert fits[0].centers_.tobytes() == fits[1].centers_.tobytes()
    assert list(fits[0].feature_names_in_) == list("abcd")
    chosen = [fit.transform(source).compute().tobytes() for fit in fits for source in ("x.parquet", "x.zarr")]
    assert len(set(chosen)) == 1


@pytest.mark.parametrize("source", ["x", "x/", "x/*.parquet"])
def test_folders_and_patterns_are_tables(folder, source):
    parts(folder, [1] * 11 + [989])  # 10 comes after 9
    rows = open_table(source, index="id")
    assert_array_equal(rows[ALL], X)
    assert named_rows(rows)[1]["id"].compute().tolist() == FRAME["id"].tolist()
    assert small().fit(rows).n_samples_seen_ == 1000


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=9), st.integers(1, 400))
def test_any_rows_can_be_walked(cuts, size):
    edges = sorted(set(cuts))
    FRAME.to_parquet("y.parquet", row_group_size=size)
    rows = open_table("y.parquet", drop=["id"])
    for start, found in zip(edges, rows.walk(edges), strict=False):
        assert_array_equal(found, X[start : start + len(found)])
    assert sum(map(len, rows.walk(edges))) == edges[-1] - edges[0]


@given(st.lists(st.integers(1, 50), min_size=1), st.integers(1, 60), st.integers(1, 60))
def test_blocks_are_row_groups_together_or_divided(sizes, least, most):
    found = list(divided(sizes, least, most))
    assert sum(found) == sum(sizes)
    assert min(found) > 0
    assert max(found) <= least + most


def test_opening_reads_footers_and_passes_their_columns_alone(monkeypatch):
    FRAME.to_parquet("x.parquet", row_group_size=100)
    read = []
    batches = pq.ParquetFile.iter_batches

    def noting(self, *args, **kwargs):
        read.append(kwargs["columns"])
        return batches(self, *args, **kwargs)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", noting)
    igtm = small().fit(FRAME[["b", "c"]])
    with dask.config.set(scheduler=computing):
        rows = open_table("x.parquet", columns=["b", "c"])
        assert rows.shape == (1000, 2)
        lazy = igtm.score_samples(rows)
    assert read == []
    assert len(lazy.compute()) == 1000
    assert set(map(tuple, read)) == {("b", "c")}


def test_the_columns_of_a_fit_are_taken_by_name():
    FRAME[["d", "id", "b", "a", "c"]].assign(more=1.0).to_parquet("x.parquet")
    igtm = small().fit(FRAME[list("abcd")])
    assert_array_equal(igtm.transform("x.parquet").compute(), igtm.transform(FRAME[list("abcd")]))
    with pytest.warns(UserWarning, match="no numbers: id; they are left out"):
        open_table("x.parquet")
    FRAME[["a", "b"]].to_parquet("few.parquet")
    with pytest.raises(ValueError, match=r"now missing:\n- c\n- d"):
        igtm.transform("few.parquet")


@pytest.mark.parametrize(
    ("index", "names"), [("id", ["id"]), (None, ["index"]), (["id", "more"], ["id", "more"])]
)
def test_the_index_of_pandas_is_the_ids(index, names):
    frame = FRAME.assign(more=np.arange(1000)).set_index(index or FRAME["id"].rename(None).to_numpy())
    frame[list("abcd")].to_parquet("x.parquet")
    rows, found = named_rows("x.parquet")
    assert list(found) == names
    assert found[names[0]].compute().tolist() == FRAME["id"].tolist()
    assert rows.columns == tuple("abcd")


def test_gaps_and_types():
    frame = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], "Int64"),
            "yes": pd.array([True, None, False], "boolean"),
            "single": np.array([1, np.nan, 3], "f4"),
        }
    )
    frame.to_parquet("x.parquet")
    assert_array_equal(open_table("x.parquet")[ALL], [[1, 1, 1], [np.nan] * 3, [3, 0, 3]])
    frame[["single"]].to_parquet("single.parquet")
    assert open_table("single.parquet").dtype == np.float32
    days = pd.DataFrame({"day": pd.date_range("2020", periods=3), "n": [1, 2, 3], "a": 1.0})
    days.to_parquet("days.parquet")
    ids = named_rows("days.parquet", ["day", "n"])[1]
    assert ids["day"].compute().tolist() == days["day"].to_numpy().tolist()
    assert ids["n"].dtype == np.int64
    frame.assign(a=1.0).to_parquet("gaps.parquet")
    with pytest.raises(ValueError, match="no id in column 'whole'"):
        named_rows("gaps.parquet", "whole")[1]["whole"].compute()


def test_rows_are_pickled_and_read_by_dask():
    FRAME.to_parquet("x.parquet", row_group_size=130)
    rows = pickle.loads(pickle.dumps(open_table("x.parquet", drop=["id"])))
    assert isinstance(rows, ParquetRows)
    assert_array_equal(da.from_array(rows, chunks=(77, 3)).compute(), X)
    assert row_blocks(rows, n_rows=200).X.chunks[0] == (260, 260, 260, 220)


def test_row_groups_of_several_sizes_are_cut_anew_where_they_must_be_of_one(folder):
    parts(folder, [100, 300, 50, 550])
    blocks = row_blocks(open_table("x", drop=["id"]), n_rows=200)
    assert len(set(blocks.X.chunks[0][:-1])) > 1
    again = blocks.regular()
    assert len(set(again.X.chunks[0][:-1])) == 1
    assert again.stored is blocks.stored
    assert_array_equal(again.X.compute(), X)


REFUSED = {
    "nothing.parquet": (FileNotFoundError, "no file"),
    "broken.parquet": (ValueError, "cannot be read as Parquet"),
    "empty.parquet": (ValueError, "no rows"),
    "words.parquet": (ValueError, "no column of numbers; it has id"),
    "hive.parquet": (ValueError, r"folders in it, such as 'year=2020'.*Give a pattern"),
    "nobody.parquet": (FileNotFoundError, "no file"),
    "t*.parquet": (ValueError, "lacks d; choose what all files have, with --columns"),
}


@pytest.mark.parametrize("source", REFUSED)
def test_what_is_no_table_is_refused(folder, source):
    (folder / "broken.parquet").write_text("no parquet at all")
    FRAME[:0].drop(columns="id").to_parquet("empty.parquet")
    FRAME[["id"]].to_parquet("words.parquet")
    (folder / "hive.parquet" / "year=2020").mkdir(parents=True)
    (folder / "nobody.parquet").mkdir()
    FRAME[list("abcd")].to_parquet("ta.parquet")
    FRAME[list("abc")].to_parquet("tb.parquet")
    kind, message = REFUSED[source]
    with pytest.raises(kind, match=message):
        small().fit(source)


def test_a_file_that_has_changed_is_told():
    FRAME.to_parquet("x.parquet", row_group_size=130)
    rows = open_table("x.parquet", drop=["id"])
    FRAME.to_parquet("x.parquet", row_group_size=150)
    with pytest.raises(ValueError, match="has changed since it was opened"):
        small().fit(rows)


def test_choices_are_checked():
    FRAME.to_parquet("x.parquet")
    for asked, message in (
        ({"columns": ["a"], "drop": ["b"]}, "give one of them"),
        ({"columns": ["a", "a"]}, "several columns a"),
        ({"index": "name"}, "no column name; it has a, b, c, d, id"),
        ({"columns": ["a", "id"]}, "no numbers: id"),
    ):
        with pytest.raises(ValueError, match=message):
            open_table("x.parquet", **asked)
    with pytest.raises(ValueError, match="neither Parquet nor CSV"):
        open_table("x.zarr")
    assert open_table("x.parquet", drop=["id", "c"]).columns == ("a", "b", "d")


def test_a_table_in_an_object_store():
    FRAME.to_parquet("memory://tables/x.parquet")
    assert_array_equal(open_table("memory://tables/x.parquet", index="id")[ALL], X)
