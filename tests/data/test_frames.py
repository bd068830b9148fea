"""Columns of every type that pandas, Dask and Arrow have: their numbers, and which of them hold none."""

import datetime
from decimal import Decimal

import dask
import dask.array as da
import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask import dataframe as dd
from helpers.data import correlated
from helpers.lazy import computing
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from dask_igtm import IGTM, IGTMSearch
from dask_igtm.data.frames import in_pandas, numbers_in, target_in, with_numbers, word_columns

N = 24
X = correlated(N, 4)
WHOLE = np.round(3 * X).astype(int)
FRAME = pd.DataFrame(X, columns=list("abcd"))
SMALL = {"k": 4, "m": 2, "niter": 3, "tol": 0, "scale": "center", "missing": "mean"}


def arrow(kind):
    return pd.ArrowDtype(kind)


def parts(frame, n=3):
    with dask.config.set({"dataframe.convert-string": False}):  # which would make strings of objects
        return dd.from_pandas(frame, npartitions=n)


DECIMAL = arrow(pa.decimal128(24, 1))

# What columns of numbers become

NUMERIC = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "int64": np.int64,
    "uint8": np.uint8,
    "bool": bool,
    "Int64": np.float64,
    "Int32": np.float64,
    "UInt8": np.float32,
    "Float64": np.float64,
    "Float32": np.float32,
    "boolean": np.float32,
    "object": np.float64,
    "int64[pyarrow]": np.float64,
    "int16[pyarrow]": np.float32,
    "double[pyarrow]": np.float64,
    "float[pyarrow]": np.float32,
    "halffloat[pyarrow]": np.float32,
    "bool[pyarrow]": np.float32,
    DECIMAL: np.float64,
    pd.SparseDtype(float, 0.0): np.float64,
    pd.SparseDtype(int, 0): np.int64,
}
GAPPY = [kind for kind in NUMERIC if str(kind)[0] in "IUF" or kind in ("boolean", "object", "float64")]
GAPPY += [kind for kind in NUMERIC if "pyarrow" in str(kind)]


def column(values, kind):
    return pd.Series(pd.Series(values, dtype=object).array, dtype=object).astype(kind)


def plain(frame):
    """Convert entry by entry."""
    objects = frame.astype(object).to_numpy()
    rows = [[np.nan if pd.isna(value) else float(value) for value in row] for row in objects]
    return np.array(rows).reshape(frame.shape)


@pytest.mark.parametrize("kind", NUMERIC, ids=str)
def test_numbers_of_each_type(kind):
    values = np.arange(8) % 2
    frame = pd.DataFrame({"a": values, "b": 1 - values}).astype(kind)
    found, lazy = numbers_in(frame, "X"), numbers_in(parts(frame), "X")
    assert found.dtype == lazy.dtype == lazy.compute().dtype == NUMERIC[kind]
    assert_array_equal(found, plain(frame))
    assert_array_equal(lazy.compute(), found)
    assert lazy.shape[1] == 2
    series = numbers_in(parts(frame["a"]), "y")
    if kind != "object":
        assert series.dtype == found.dtype
        assert_array_equal(series.compute(), found[:, 0])


@hypothesis.settings(max_examples=40, deadline=None)
@hypothesis.given(st.data())
def test_mixed_frames_with_gaps_are_the_same_in_memory_and_lazily(data):
    kinds = data.draw(st.lists(st.sampled_from([*NUMERIC]), min_size=1, max_size=4))
    columns = []
    for kind in kinds:
        whole = st.integers(0, 1)
        entries = whole | st.none() if kind in GAPPY else whole
        columns.append(column(data.draw(st.lists(entries, min_size=6, max_size=6)), kind))
    frame = pd.concat(columns, axis=1, keys=[f"c{i}" for i in range(len(kinds))])
    expected, lazy = plain(frame), numbers_in(parts(frame, 2), "X")
    assert_array_equal(numbers_in(frame, "X"), expected)
    assert_array_equal(lazy.compute(), expected)
    assert lazy.dtype == lazy.compute().dtype == numbers_in(frame, "X").dtype
    assert lazy.dtype.kind == "f" or not np.isnan(expected).any()
    assert_array_equal(np.asarray(with_numbers(frame)), expected)


@pytest.mark.parametrize("kind", ["Int64", "Float32", "boolean", "double[pyarrow]", "bool[pyarrow]", object])
def test_maps_of_frames_with_gaps(kind):
    frame = FRAME.assign(e=column([None, *(WHOLE[1:, 0] > 0)], kind))
    lazy = parts(frame)
    with dask.config.set(scheduler=computing):
        assert isinstance(IGTM(**SMALL).fit(frame).transform(lazy), da.Array)
    one, other = IGTM(**SMALL, n_blocks=3).fit(frame), IGTM(**SMALL).fit(lazy)
    assert_allclose(other.centers_, one.centers_, rtol=1e-9, atol=1e-12)
    assert_allclose(other.transform(lazy).compute(), one.transform(frame), atol=1e-9)
    assert other.feature_names_in_.tolist() == one.feature_names_in_.tolist() == [*"abcde"]


def test_tables_of_arrow_are_frames():
    table = pa.table({"a": X[:, 0], "b": pa.array([None, *WHOLE[1:, 1].tolist()]), "c": X[:, 2]})
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    one, other = IGTM(**SMALL).fit(frame), IGTM(**SMALL).fit(table)
    assert_allclose(other.centers_, one.centers_, rtol=1e-9, atol=1e-12)
    assert other.feature_names_in_.tolist() == ["a", "b", "c"]
    assert_array_equal(other.transform(table), one.transform(frame))
    assert_array_equal(other.transform(table.to_batches()[0]), one.transform(frame))
    search = IGTMSearch(IGTM(**SMALL), {"regul": [0.1]}, cv=2, scoring=lambda igtm, rows: igtm.score(rows))
    assert search.fit(table).best_score_ == search.fit(frame).best_score_


def test_tables_of_polars_are_frames():
    pl = pytest.importorskip("polars")
    table = pl.DataFrame({"a": X[:, 0], "b": [None, *WHOLE[1:, 1].tolist()], "c": X[:, 2] > 0})
    frame = pd.DataFrame({"a": X[:, 0], "b": [None, *WHOLE[1:, 1]], "c": X[:, 2] > 0}).astype({"b": "Int64"})
    assert_array_equal(IGTM(**SMALL).fit(table).centers_, IGTM(**SMALL).fit(frame).centers_)
    with pytest.raises(ValueError, match="not numeric: 'w', 'd'; drop them"):
        IGTM().fit(table.with_columns(w=pl.lit("word"), d=pl.lit(datetime.date(2020, 1, 1))))


def test_what_is_in_memory_is_not_copied_without_need():
    frame = pd.DataFrame(X)
    assert np.shares_memory(np.asarray(with_numbers(frame)), frame.to_numpy())


def test_sparse_frames_of_pandas_stay_sparse_where_zeros_are_left_out():
    left_out = pd.DataFrame(WHOLE).astype(pd.SparseDtype(float, 0.0))
    assert with_numbers(left_out) is left_out
    filled = with_numbers(pd.DataFrame(X).astype(pd.SparseDtype(float, np.nan)))
    assert filled.dtypes.eq(np.float64).all()
    assert_array_equal(filled, X)


def test_others_are_left_alone():
    for given in (X, X.tolist(), sparse.csr_array(X), da.from_array(X), None):
        assert with_numbers(given) is given
        assert in_pandas(given) is given
        assert word_columns(given) == []


# Columns that hold no numbers

WORDS = {
    "text": ["word"] * N,
    "digits": ["3"] * N,
    "bytes": [b"3"] * N,
    "string": pd.array(["3"] * N, dtype="string"),
    "Arrow string": pd.array(["3"] * N, dtype=arrow(pa.string())),
    "date": [datetime.date(2020, 1, 1)] * N,
    "datetime": pd.Timestamp("2020-01-01"),
    "datetime, zone": pd.Timestamp("2020-01-01", tz="UTC"),
    "Arrow date": pd.array([datetime.date(2020, 1, 1)] * N, dtype=arrow(pa.date32())),
    "duration": pd.Timedelta(1, "D"),
    "Arrow duration": pd.array([pd.Timedelta(1, "D")] * N, dtype=arrow(pa.duration("ns"))),
    "period": pd.period_range("2020", periods=N),
    "interval": pd.interval_range(0, N),
    "category": pd.Categorical(["a", "b"] * (N // 2)),
    "category of numbers": pd.Categorical([1, 2] * (N // 2)),
    "category of bools": pd.Categorical([True, False] * (N // 2)),
    "complex": X[:, 0] + 1j,
    "lists": [[1.0]] * N,
    "timedelta objects": pd.Series([np.timedelta64(1, "D")] * N, dtype=object),
}


@pytest.mark.parametrize("kind", WORDS)
def test_columns_without_numbers_are_named(kind):
    frame = FRAME.assign(w=WORDS[kind], **{"another word": "a"})
    match = "^X has columns that are not numeric: 'w', 'another word'; drop them"
    tables = [frame]
    if kind not in ("period", "interval", "complex", "timedelta objects", "category of bools"):
        tables.append(pa.Table.from_pandas(frame))
    for table in tables:
        with pytest.raises(ValueError, match=match):
            IGTM().fit(table)
    lazy, objects = dd.from_pandas(frame, npartitions=2), frame.dtypes["w"] == np.dtype(object)
    fitted = IGTM(**SMALL).fit(FRAME)
    with dask.config.set(scheduler=computing):
        for call in (IGTM().fit, fitted.transform):
            with pytest.raises(ValueError, match="'another word'" if objects else match):
                call(lazy)


def test_objects_of_dask_are_looked_into_where_they_are_read():
    lazy = parts(FRAME.assign(c=FRAME["c"].astype(object), d=["word", *X[1:, 3]]))
    with pytest.raises(ValueError, match=r"not numeric: 'd'; drop them") as error:
        IGTM(**SMALL).fit(lazy)
    assert "block 0" in error.value.__notes__[0]


@pytest.mark.parametrize("kind", ["string_view", "binary_view"])
def test_views_of_arrow_are_words(kind):
    table = pa.table({"a": X[:, 0], "w": pa.array(["word"] * N, type=getattr(pa, kind)())})
    with pytest.raises(ValueError, match="not numeric: 'w'"):
        IGTM().fit(table)


def test_frames_of_arrow_need_their_packages(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"A Table is read by pandas and pyarrow; pip install"):
        in_pandas(pa.table({"a": [1]}))


# Weights, values, labels

TARGETS = {
    "int8": (pd.Series([0, 1], dtype="int8"), np.dtype("int8"), [0, 1]),
    "Float64": (pd.Series([0.5, None], dtype="Float64"), np.dtype(float), [0.5, np.nan]),
    "Int8": (pd.Series([1, None], dtype="Int8"), np.dtype(object), [1, pd.NA]),
    "boolean": (pd.Series([True, None], dtype="boolean"), np.dtype(object), [True, pd.NA]),
    "bool[pyarrow]": (pd.Series([True, None], dtype="bool[pyarrow]"), np.dtype(object), [True, pd.NA]),
    "decimal": (
        pd.Series([Decimal(1), None], dtype=DECIMAL),
        np.dtype(float),
        [1, np.nan],
    ),
    "string": (pd.Series(["a", None], dtype="string"), np.dtype(object), ["a", pd.NA]),
    "category": (pd.Series(pd.Categorical(["a", None])), np.dtype(object), ["a", np.nan]),
    "object": (pd.Series(["a", 1], dtype=object), np.dtype(object), ["a", 1]),
}


@pytest.mark.parametrize("kind", TARGETS)
def test_labels_stay_what_they_are(kind):
    series, dtype, expected = TARGETS[kind]
    lazy = target_in(parts(series, 1))
    for found in (target_in(series), lazy.compute(), target_in(series.array)):
        assert found.dtype == lazy.dtype == dtype
        assert [*map(repr, found.tolist())] == [*map(repr, np.array(expected, dtype).tolist())]
    framed = target_in(parts(series.to_frame("y"), 1))
    assert framed.dtype == dtype
    assert framed.compute().shape == target_in(series.to_frame("y")).shape == (2, 1)


def test_arrays_of_arrow_are_series():
    for given in (pa.array([1, None]), pa.chunked_array([[1], [None]])):
        assert target_in(given).tolist() == [1, pd.NA]


def test_frames_of_several_columns_of_values():
    frame = pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [True, False]})
    assert_array_equal(target_in(frame), [[1, 1], [np.nan, 0]])
    assert_array_equal(target_in(parts(frame, 1)).compute(), [[1, 1], [np.nan, 0]])
    assert target_in(frame.assign(c="word")).dtype == object


def test_weights_of_every_numeric_type():
    weights = WHOLE[:, 0] ** 2 + 1
    one = IGTM(**SMALL, n_blocks=2).fit(FRAME, sample_weight=weights)
    for kind in ("Int64", "Float64", "int64[pyarrow]"):
        series = pd.Series(weights).astype(kind)
        for rows, given in ((FRAME, series), (parts(FRAME, 2), parts(series, 2))):
            other = IGTM(**SMALL, n_blocks=2 if rows is FRAME else 0).fit(rows, sample_weight=given)
            assert_allclose(other.centers_, one.centers_, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="non-finite"):
        IGTM(**SMALL).fit(FRAME, sample_weight=pd.Series([None, *weights[1:]], dtype="Int64"))
    with pytest.raises(ValueError, match="dtype object, which is not numeric"):
        IGTM(**SMALL).fit(FRAME, sample_weight=pd.Series(["a"] * N))
    with pytest.raises(TypeError, match=r"give sample_weight.toarray\(\)"):
        IGTM(**SMALL).fit(FRAME, sample_weight=sparse.csr_array(weights[:, None]))
