import dask
import dask.array as da
import dask.dataframe as dd
import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import zarr
from helpers.lazy import computing

from dask_igtm.data.row_names import named_rows

X = np.arange(24.0).reshape(12, 2)
WORDS = [f"molecule {i}" for i in range(12)]
COLUMNS = ["a", "b"]


def frame(index=None):
    return pd.DataFrame(X, index, columns=COLUMNS)


def told(X, ids=None):
    """Return the names of the rows, computed, as lists."""
    _, names = named_rows(X, ids)
    return {name: np.asarray(array).tolist() for name, array in names.items()}


@pytest.mark.parametrize(
    "bare",
    [
        X,
        X.tolist(),
        sp.csr_array(X),
        frame(),
        pl.DataFrame(X, schema=COLUMNS),
        pa.table(dict(zip(COLUMNS, X.T, strict=True))),
        da.from_array(X, chunks=(5, 2)),
        zarr.array(X, chunks=(5, 2)),
    ],
    ids=lambda bare: type(bare).__name__,
)
def test_what_has_no_names_has_numbers(bare):
    assert told(bare) == {"row": list(range(12))}


def test_a_dataset_of_h5py_has_numbers(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dataset = file.create_dataset("x", data=X)
        file.flush()
        _, names = named_rows(dataset)
    assert isinstance(names["row"], da.Array)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.Index(WORDS, name="smiles"), {"smiles": WORDS}),
        (pd.Index(WORDS), {"index": WORDS}),
        (pd.RangeIndex(5, 17), {"index": list(range(5, 17))}),
        (pd.RangeIndex(12, name="cell"), {"cell": list(range(12))}),
        (
            pd.MultiIndex.from_product([["x", "y", "z"], range(4)], names=["batch", None]),
            {"batch": ["x"] * 4 + ["y"] * 4 + ["z"] * 4, "level_1": [0, 1, 2, 3] * 3},
        ),
        (pd.CategoricalIndex(list("ab") * 6, name="kind"), {"kind": list("ab") * 6}),
    ],
    ids=["named", "unnamed", "from 5", "named numbers", "levels", "categories"],
)
def test_an_index_names_rows(index, expected):
    assert told(frame(index)) == expected


def test_an_index_of_dates_stays_one_of_dates():
    _, names = named_rows(frame(pd.date_range("2026-01-01", periods=12, name="day")))
    assert names["day"].dtype.kind == "M"


@pytest.mark.parametrize(
    "of",
    [
        lambda frame: frame,
        pl.from_pandas,
        lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
        lambda frame: pa.RecordBatch.from_pandas(frame, preserve_index=False),
        lambda frame: dd.from_pandas(frame, npartitions=3, sort=False),
    ],
    ids=["pandas", "polars", "arrow", "batch", "dask"],
)
def test_columns_name_rows_and_are_taken_out(of):
    table = of(frame().assign(smiles=WORDS, batch=[0, 1] * 6))
    rest, names = named_rows(table, ["batch", "smiles"])
    assert {name: np.asarray(array).tolist() for name, array in names.items()} == {
        "batch": [0, 1] * 6,
        "smiles": WORDS,
    }
    assert list(getattr(rest, "column_names", getattr(rest, "columns", None))) == COLUMNS
    assert told(table, "smiles") == {"smiles": WORDS}


def test_a_level_of_the_index_is_asked_for_by_name():
    index = pd.MultiIndex.from_arrays([WORDS, range(12)], names=["smiles", "row"])
    assert told(frame(index), "smiles") == {"smiles": WORDS}


@pytest.mark.parametrize(
    "ids", [WORDS, tuple(WORDS), np.array(WORDS), pl.Series(WORDS), pa.array(WORDS), da.from_array(WORDS)]
)
def test_ids_come_beside_the_rows(ids):
    _, names = named_rows(X, ids)
    assert names["id"].dtype == object
    assert names["id"].tolist() == WORDS
    assert told(da.from_array(X, chunks=(5, 2)), ids) == {"id": WORDS}


def test_a_series_brings_its_name_and_is_compared_by_its_index():
    index = pd.Index(range(12), name="n")
    assert told(frame(index), pd.Series(WORDS, index, name="smiles")) == {"smiles": WORDS}
    with pytest.raises(ValueError, match="the rows of X in another order"):
        named_rows(frame(index), pd.Series(WORDS, index[::-1]))


def test_nothing_lazy_is_read():
    words = da.from_array(np.array(WORDS, object), chunks=4)
    lazy = [
        (da.from_array(X, chunks=(5, 2)), None),
        (da.from_array(X, chunks=(5, 2)), words),
        (dd.from_pandas(frame(WORDS), npartitions=3), None),
        (dd.from_pandas(frame().assign(smiles=WORDS), npartitions=3), "smiles"),
    ]
    with dask.config.set(scheduler=computing):
        for table, ids in lazy:
            rest, names = named_rows(table, ids)
            (values,) = names.values()
            assert isinstance(values, da.Array)
            assert values.numblocks[0] == getattr(rest, "npartitions", 3)


def test_unknown_sizes_go_with_names_of_their_own_and_not_with_numbers(tmp_path):
    frame().to_parquet(tmp_path / "x.parquet", index=False)
    bare = dd.read_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="A number for each row needs to know how many rows X has"):
        named_rows(bare)
    with pytest.raises(ValueError, match="ids in memory needs to know how many rows"):
        named_rows(bare, WORDS)
    masked = da.from_array(X, chunks=(5, 2))
    masked = masked[masked[:, 0] > 3]
    chosen = da.from_array(np.array(WORDS, object), chunks=5)[da.from_array(X, chunks=(5, 2))[:, 0] > 3]
    assert told(masked, chosen) == {"id": WORDS[2:]}


@pytest.mark.parametrize(
    ("table", "ids", "said"),
    [
        (X, WORDS[:3], r"X has 12 rows, but ids has shape \(3,\)"),
        (X, X, r"ids has shape \(12, 2\); give one id a row"),
        (X, "smiles", "no column 'smiles', of ids, and its columns are unnamed"),
        (frame(), "smiles", "columns are 'a', 'b'"),
        (frame(), ["a", "smiles"], "no column 'smiles'"),
        (frame(), ["a", "a"], "several columns a"),
        (frame(pd.MultiIndex.from_arrays([WORDS, WORDS], names=["n", "n"])), None, "index of X has several"),
        (da.from_array(X, chunks=(5, 2)), WORDS[:3], r"X has 12 rows, but ids has shape \(3,\)"),
    ],
)
def test_what_names_no_rows_is_refused(table, ids, said):
    with pytest.raises(ValueError, match=said):
        named_rows(table, ids)


def test_what_is_no_table_is_refused():
    with pytest.raises(TypeError, match=r"give X.collect\(\)"):
        named_rows(pl.LazyFrame({"a": [1.0]}))


BIG = [2**60 + i for i in range(len(X))]  # which floats do not tell apart


def with_whole(ids):
    frame = pd.DataFrame(X).rename(columns=str).assign(i=pd.array(ids, dtype="Int64"))
    return {
        "pandas": (frame, "i"),
        "index": (frame.set_index("i"), None),
        "series": (frame.drop(columns="i"), frame["i"]),
        "polars": (pl.from_pandas(frame), "i"),
        "dask": (dd.from_pandas(frame, npartitions=2), "i"),
        "dask index": (dd.from_pandas(frame.set_index("i"), npartitions=2, sort=False), None),
    }


@pytest.mark.parametrize("kind", with_whole(BIG))
def test_whole_numbers_that_may_have_gaps_stay_what_they_are_or_are_refused(kind):
    table, ids = with_whole(BIG)[kind]
    (found,) = named_rows(table, ids)[1].values()
    assert found.dtype == np.int64
    assert np.asarray(found).tolist() == BIG
    table, ids = with_whole([None, *BIG[1:]])[kind]
    with pytest.raises(ValueError, match="Some rows have no id"):
        dask.compute(*named_rows(table, ids)[1].values())
