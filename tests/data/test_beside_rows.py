"""Labels and values by name, as the files have them, in whatever holds the rows."""

import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.data import correlated

from dask_igtm import IGTM, convert, landscape
from dask_igtm.data.beside_rows import labels_and_values

N = 300
X = correlated(N, 3)
OF_FIT = ("a", "b", "c")
KIND = np.where(np.arange(N) % 7 == 0, None, np.where(X[:, 0] > 1, "Wörd", "0"))
MONTH = np.where(np.arange(N) % 5 == 0, np.nan, np.arange(N) % 12)
FRAME = pd.DataFrame(X, columns=OF_FIT).assign(
    kind=KIND, month=MONTH, n=np.arange(N), even=np.arange(N) % 2 == 0, id=[f"{i:03}" for i in range(N)]
)
SOURCES = ("x.parquet", "x*.parquet", "x.csv", "x.zarr")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(source):
    """Write the table as the source has it; return its path."""
    if source == "x.csv":
        FRAME.to_csv(source, index=False)
    elif source == "x*.parquet":
        FRAME[:100].to_parquet("x0.parquet")
        FRAME[100:].to_parquet("x1.parquet", row_group_size=70)
    else:
        FRAME.to_parquet("x.parquet", row_group_size=70)
    if source == "x.zarr":
        convert("x.parquet", "x.zarr", columns=OF_FIT, index=["kind", "month", "n", "id"])
    return source


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=3, m=2, niter=2, scale="center", solver="em").fit(FRAME[list(OF_FIT)])


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["kind", "n", "month"])
def test_labels_are_as_in_the_file(source, name):
    labels, values = labels_and_values(written(source), name, of_fit=OF_FIT)
    assert values is None
    assert labels.columns == (name,)
    found = labels.array.compute().tolist()
    expected = FRAME[name].astype(object).where(FRAME[name].notna(), None).tolist()
    assert found == expected
    assert {type(value) for value in found} <= {str, int, type(None)}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("names", [["month"], ["n", "month"], ["a", "n"]])
def test_values_are_numbers(source, names):
    if source == "x.zarr":  # where columns of X do not lie by themselves
        names = [name for name in names if name not in OF_FIT]
    labels, values = labels_and_values(written(source), None, names, OF_FIT)
    assert labels is None
    assert values.columns == tuple(names)
    expected = FRAME[names[0]] if len(names) == 1 else FRAME[names]
    np.testing.assert_allclose(values.array.compute(), expected.to_numpy(float), rtol=1e-12)


@pytest.mark.parametrize("source", SOURCES)
def test_they_go_with_the_rows(igtm, source):
    path = written(source)
    labels, values = labels_and_values(path, "kind", ["n", "a"] if source != "x.zarr" else ["n"], OF_FIT)
    classes = landscape.classes(igtm, path, labels)
    expected = landscape.classes(igtm, FRAME[list(OF_FIT)], FRAME["kind"])
    assert classes.columns == expected.columns == ("0", "Wörd") or source == "x.csv"
    np.testing.assert_allclose(classes.values, expected.values, rtol=1e-9)
    means = landscape.property(igtm, path, values)
    assert means.columns[0] == ("mean" if source == "x.zarr" else "n_mean")
    of_numbers = landscape.property(igtm, FRAME[list(OF_FIT)], FRAME["n"])
    np.testing.assert_allclose(means.values[:, 0], of_numbers.values[:, 0], rtol=1e-9)


def test_bools_of_parquet_may_have_gaps():
    FRAME.assign(flag=pd.array([None, *[True, False] * 200][: len(FRAME)], "boolean")).to_parquet("x.parquet")
    labels, values = labels_and_values("x.parquet", "flag", ["flag"], OF_FIT)
    assert labels.array.compute()[:3].tolist() == [None, True, False]
    np.testing.assert_array_equal(values.array.compute()[:3], [np.nan, 1, 0])


def test_whole_numbers_of_parquet_may_have_gaps():
    FRAME.assign(n=FRAME["n"].astype("Int64").where(FRAME["n"] > 9)).to_parquet("x.parquet")
    labels, values = labels_and_values("x.parquet", "n", ["n"], OF_FIT)
    assert labels.array.compute()[8:12].tolist() == [None, None, 10, 11]
    np.testing.assert_array_equal(values.array.compute()[8:12], [np.nan, np.nan, 10.0, 11.0])


def test_the_index_of_pandas_goes_by_its_name():
    FRAME.set_index("kind").to_parquet("x.parquet")
    assert labels_and_values("x.parquet", "kind", of_fit=OF_FIT)[0].array.compute().tolist() == KIND.tolist()


@pytest.mark.parametrize("source", ["x.parquet", "x.zarr"])
@pytest.mark.parametrize("place", ["kinds.npy", "kinds.zarr", "column.zarr", "group.zarr/kinds"])
def test_arrays_of_their_own(igtm, source, place):
    number = np.arange(N) % 3
    if place.endswith(".npy"):
        np.save(place, number)
    else:
        zarr.create_array(place, data=number[:, None] if place == "column.zarr" else number, chunks="auto")
    labels, values = labels_and_values(written(source), place, [place], OF_FIT)
    assert labels.columns == values.columns == ("column" if place == "column.zarr" else "kinds",)
    assert labels.array.compute().tolist() == number.tolist()
    assert landscape.classes(igtm, source, labels).columns == (0, 1, 2)
    assert landscape.property(igtm, source, values).summary["n_rows"] == pytest.approx(N)


@pytest.mark.parametrize(
    ("source", "known"),
    [("x.parquet", "kind, month, n, even, id, a, b, c"), ("x.csv", "kind, month, n, even, id, a, b, c")],
)
def test_what_is_not_there_is_told_with_what_is(source, known):
    absent = f"'{source}' has no column nothing, and there is no array at such a path"
    for asked in ({"labels": "nothing"}, {"y": ["month", "nothing"]}):
        with pytest.raises(ValueError) as refused:  # noqa: PT011 - all of it is compared
            labels_and_values(written(source), **asked, of_fit=OF_FIT)
        assert str(refused.value) == f"{absent}; its columns are {known}."
    with pytest.raises(ValueError, match=r"no column no\\x1b\[31m.npy"):
        labels_and_values(source, "no\x1b[31m.npy", of_fit=OF_FIT)


def test_of_zarr_ids_are_known_alone():
    with pytest.raises(ValueError, match="its columns are kind, month, n, id"):
        labels_and_values(written("x.zarr"), "a")
    zarr.create_array("plain.zarr", data=X)
    with pytest.raises(ValueError, match="it has no columns to choose from"):
        labels_and_values("plain.zarr", "kind")


def test_what_is_no_value_a_row_is_refused():
    written("x.parquet")
    np.save("table.npy", X)
    with pytest.raises(ValueError, match=r"'table.npy' has shape \(300, 3\); give an array of one"):
        labels_and_values("x.parquet", None, ["table.npy"], OF_FIT)
    zarr.create_group("group.zarr")
    with pytest.raises(TypeError, match="group"):
        labels_and_values("x.parquet", "group.zarr", of_fit=OF_FIT)


def test_text_is_no_value_and_the_column_is_named(igtm):
    _, values = labels_and_values(written("x.parquet"), None, ["n", "kind"], OF_FIT)
    with pytest.raises(ValueError, match="not a real number") as refused:
        landscape.property(igtm, "x.parquet", values)
    assert "This is about column kind." in refused.value.__notes__


def test_a_column_that_some_files_lack_is_refused():
    FRAME.to_csv("y0.csv", index=False)
    FRAME.drop(columns="kind").to_csv("y1.csv", index=False)
    with pytest.raises(ValueError, match="Some of the files have no column kind"):
        labels_and_values("y*.csv", "kind", of_fit=OF_FIT)


def test_nothing_is_read_before_it_is_asked_for(monkeypatch):
    written("x.parquet")

    def fail(*_):
        raise AssertionError("something was read")

    monkeypatch.setattr("dask_igtm.data.parquet_rows.RowGroups.batches", fail)
    labels, values = labels_and_values("x.parquet", "kind", ["n", "a"], OF_FIT)
    assert labels.array.shape == (N,)
    assert values.array.shape == (N, 2)
    with pytest.raises(AssertionError, match="something was read"):
        labels.array.compute()
