"""NPY, CSV and Parquet become Zarr: the same numbers, in good chunks, whole or not at all."""

import os

import fsspec
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM
from dask_igtm.data import convert as converting
from dask_igtm.data.codecs import CODEC, CODECS, compressors
from dask_igtm.data.convert import convert

X = correlated(1000, 4)
FRAME = pd.DataFrame(X, columns=["a", "b", "c", "d"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, and chunks of 100 rows of four float64."""
    monkeypatch.setattr(converting, "CHUNK_BYTES", 100 * 4 * 8)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("dtype", "height"), [("f8", 100), ("f4", 200), ("f2", 400), ("i8", 100), ("u1", 800), ("?", 800)]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_keeps_values_and_dtype(folder, dtype, height, order):
    rows = np.asarray(X * 20, dtype=dtype, order=order)
    np.save("x.npy", rows)
    array = convert("x.npy", "x.zarr")
    assert_array_equal(array[:], rows)
    assert (array.dtype, array.chunks) == (rows.dtype, (height, 4))
    assert dict(array.attrs) == {}
    assert names(folder) == ["x.npy", "x.zarr"]


@pytest.mark.parametrize("codec", CODECS)
def test_a_codec_is_chosen(folder, codec):
    np.save("x.npy", X)
    array = convert("x.npy", "x.zarr", codec=codec)
    assert_array_equal(array[:], X)
    assert array.compressors == written_by(codec)


def written_by(codec):
    """What Zarr makes of a codec for float64."""
    store = zarr.storage.MemoryStore()
    return zarr.create_array(store, shape=(1,), dtype="f8", compressors=compressors(codec, 8)).compressors


def test_the_codec_is_decoded_fast_by_default(folder):
    np.save("x.npy", X)
    assert convert("x.npy", "x.zarr").compressors == written_by(CODEC) == written_by("blosc-lz4")


def test_another_codec_is_refused_before_anything_is_read(folder):
    with pytest.raises(ValueError, match="codec='gzip'; give one of blosc-lz4, blosc-zstd, zstd, none"):
        convert("no.npy", "x.zarr", codec="gzip")


def test_npy_is_not_pulled_into_memory(folder, monkeypatch):
    np.save("x.npy", X)
    read = []
    write = zarr.Array.append

    def append(self, rows, *arguments):
        read.append(len(rows))
        return write(self, rows, *arguments)

    monkeypatch.setattr(zarr.Array, "append", append)
    monkeypatch.setattr(np, "load", None)
    convert("x.npy", "x.zarr")
    assert read == [100] * 10


@pytest.mark.parametrize("n_rows", [1, 99, 100, 101])
def test_the_last_chunk_is_what_is_left(folder, n_rows):
    np.save("x.npy", X[:n_rows])
    array = convert("x.npy", "x.zarr")
    assert_array_equal(array[:], X[:n_rows])
    assert array.chunks == (min(n_rows, 100), 4)


def test_chunks_of_zeros_are_stored(folder):
    rows = X.copy()
    rows[200:400] = 0
    np.save("x.npy", rows)
    convert("x.npy", "x.zarr")
    igtm = IGTM(k=3, m=2, niter=1).fit("x.zarr")  # which takes chunks that are not there for lost
    assert igtm.n_samples_seen_ == 1000


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_tables_keep_their_names(folder, ending):
    write(FRAME, f"x.{ending}")
    array = convert(f"x.{ending}", "x.zarr")
    assert_allclose(array[:], X, rtol=1e-12)
    assert array.attrs["columns"] == ["a", "b", "c", "d"]
    assert array.chunks == (100, 4)


def write(frame, path):
    if path.endswith("parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_are_chosen_in_the_order_given(folder, ending):
    write(FRAME.assign(name="word"), f"x.{ending}")
    with pytest.raises(ValueError, match=r"no numbers: name; choose others, with --columns a,b,c,d"):
        convert(f"x.{ending}", "x.zarr", columns=["a", "name"])
    with pytest.raises(ValueError, match=r"no column e, f; it has a, b, c, d, name"):
        convert(f"x.{ending}", "x.zarr", columns=["e", "a", "f"])
    array = convert(f"x.{ending}", "x.zarr", columns=["d", "a"])
    assert_allclose(array[:], X[:, [3, 0]], rtol=1e-12)
    assert array.attrs["columns"] == ["d", "a"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_gaps_and_mixed_kinds_become_float64(folder, ending):
    frame = pd.DataFrame({"whole": np.arange(1000), "gaps": X[:, 0], "yes": X[:, 1] > 1})
    frame.loc[990, "gaps"] = np.nan
    if ending == "parquet":
        frame["whole"] = frame["whole"].astype("Int64")
        frame.loc[991, "whole"] = pd.NA
    write(frame, f"x.{ending}")
    array = convert(f"x.{ending}", "x.zarr")
    assert_allclose(array[:], frame.to_numpy(dtype=float, na_value=np.nan), rtol=1e-12)
    assert array.dtype == np.float64


def test_gaps_that_come_late_in_a_csv(folder, monkeypatch):
    whole = pd.DataFrame({"a": range(40_000), "b": range(40_000)})
    whole.iloc[:-1].to_csv("x.csv", index=False)
    with open("x.csv", "a") as file:
        file.write("0.5,\n")
    array = convert("x.csv", "x.zarr")
    assert_array_equal(array[-2:], [[39_998, 39_998], [0.5, np.nan]])


def test_float32_stays(folder):
    FRAME.astype(np.float32).to_parquet("x.parquet")
    assert convert("x.parquet", "x.zarr").dtype == np.float32


def test_several_files(folder):
    for number in range(3):
        FRAME.iloc[number * 300 : (number + 1) * 300].to_csv(f"part-{number}.csv", index=False)
    assert_allclose(convert("part-*.csv", "x.zarr")[:], X[:900], rtol=1e-12)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("chosen", [(), ("d", "b")])
def test_files_in_another_order_are_put_together_by_name(folder, ending, chosen):
    write(FRAME[:300], f"part-1.{ending}")
    write(FRAME[300:][list("badc")], f"part-2.{ending}")
    array = convert(f"part-*.{ending}", "x.zarr", columns=chosen)
    assert array.attrs["columns"] == list(chosen or "abcd")
    assert_allclose(array[:], FRAME[list(chosen or "abcd")], rtol=1e-12)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda frame: frame[list("abc")], "lacks d;"),
        (lambda frame: frame.assign(e=1.0), "has e besides"),
        (lambda frame: frame.rename(columns={"b": "z"}), "lacks b and has z besides"),
    ],
)
def test_files_with_other_columns_are_refused(folder, ending, change, says):
    write(FRAME[:300], f"part-1.{ending}")
    write(change(FRAME[300:]), f"part-2.{ending}")
    with pytest.raises(
        ValueError, match=rf"part-2.{ending}' has other columns than the first file: it {says}"
    ):
        convert(f"part-*.{ending}", "x.zarr")
    assert not (folder / "x.zarr").exists()
    assert convert(f"part-*.{ending}", "x.zarr", columns=["a", "c"]).shape == (1000, 2)


def test_files_are_taken_in_the_order_of_their_numbers(folder):
    for number in (2, 10):
        FRAME[:number].assign(a=float(number)).to_csv(f"part-{number}.csv", index=False)
    assert convert("part-*.csv", "x.zarr")[:, 0].tolist() == [2.0] * 2 + [10.0] * 10


def test_a_first_line_of_numbers_may_be_a_row(folder):
    FRAME.to_csv("x.csv", index=False, header=False)
    with pytest.raises(ValueError, match=r"numbers alone: .* --no-header .* --header "):
        convert("x.csv", "x.zarr")
    array = convert("x.csv", "x.zarr", header=False)
    assert_allclose(array[:], X, rtol=1e-12)
    assert "columns" not in array.attrs
    FRAME.set_axis(["400", "410", "420", "430"], axis=1).to_csv("x.csv", index=False)
    array = convert("x.csv", "x.zarr", header=True, overwrite=True)
    assert_allclose(array[:], X, rtol=1e-12)
    assert array.attrs["columns"] == ["400", "410", "420", "430"]
    with pytest.raises(ValueError, match="no names to choose columns by"):
        convert("x.csv", "x.zarr", header=False, columns=["400"])


@pytest.mark.parametrize("first", ["1.5,NA,3", "true,1,3", "null,2,-4e5", "1, nan ,", "None,N/A,FALSE"])
def test_a_first_line_of_gaps_and_bools_may_be_a_row_too(folder, first):
    (folder / "x.csv").write_text(f"{first}\n4,5,6\n")
    with pytest.raises(ValueError, match="numbers alone"):
        convert("x.csv", "x.zarr")
    (folder / "x.csv").write_text("1.5,NA,3\n4,5,6\n")
    assert_array_equal(convert("x.csv", "x.zarr", header=False)[:], [[1.5, np.nan, 3], [4, 5, 6]])


def test_a_part_may_have_no_rows(folder):
    write(FRAME[:300], "part-1.csv")
    write(FRAME[:0], "part-2.csv")
    write(FRAME[300:], "part-3.csv")
    assert_allclose(convert("part-*.csv", "x.zarr")[:], X, rtol=1e-12)
    with pytest.raises(ValueError, match="no rows"):
        convert("part-2.csv", "y.zarr")


@pytest.mark.parametrize("columns", [(), ("a", "b")])
def test_a_field_more_than_there_are_names_is_no_index(folder, columns):
    (folder / "x.csv").write_text("a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(
        ValueError, match=r"second line of .* has more fields than the first; name each column"
    ):
        convert("x.csv", "x.zarr", columns=columns)


def test_columns_are_chosen_once_each(folder):
    write(FRAME, "x.csv")
    with pytest.raises(ValueError, match="several columns a"):
        convert("x.csv", "x.zarr", columns=["a", "b", "a"])


def test_columns_without_a_name_of_their_own_are_refused(folder):
    FRAME.to_csv("x.csv")
    with pytest.raises(ValueError, match=r"Column 0 of .* has no name, as the index"):
        convert("x.csv", "x.zarr")
    assert convert("x.csv", "x.zarr", columns=list("abcd")).shape == (1000, 4)
    FRAME.to_csv("y.csv", index=False, header=list("abca"))
    with pytest.raises(ValueError, match="has several columns a; give each another name"):
        convert("y.csv", "y.zarr")


@pytest.mark.parametrize(
    "bad", [np.array(["a"] * 4), np.ones((2, 2, 2)), np.ones((2, 2)) * 1j, np.ones((0, 3))]
)
def test_what_is_no_table_of_numbers_is_refused(folder, bad):
    np.save("x.npy", bad)
    with pytest.raises(ValueError, match=r"2D|not numeric|Complex|0 sample"):
        convert("x.npy", "x.zarr")
    assert names(folder) == ["x.npy"]


def test_other_kinds_of_files_are_refused(folder):
    with pytest.raises(ValueError, match=r"known by its ending; give one of .npy, .csv"):
        convert("x.xlsx", "x.zarr")
    with pytest.raises(ValueError, match="copy the file there first"):
        convert("memory://x.npy", "x.zarr")
    with pytest.raises(ValueError, match="no names of columns"):
        convert("x.npy", "x.zarr", columns=["a"])
    with pytest.raises(FileNotFoundError, match=r"x\.npy"):
        convert("x.npy", "x.zarr")
    FRAME.iloc[:0].to_csv("x.csv", index=False)
    with pytest.raises(ValueError, match=r"no rows|no numbers"):
        convert("x.csv", "x.zarr")
    (folder / "x.csv").write_text("")
    with pytest.raises(ValueError, match="is empty"):
        convert("x.csv", "x.zarr")
    with pytest.raises(FileNotFoundError, match="no file"):
        convert("none-*.csv", "x.zarr")
    assert names(folder) == ["x.csv"]


def test_without_pandas_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dask.dataframe", None)
    with pytest.raises(ImportError, match=r"pip install 'dask_igtm\[tables\]'"):
        convert("x.csv", "x.zarr")


def test_nothing_is_overwritten_unless_asked(folder):
    np.save("x.npy", X)
    convert("x.npy", "x.zarr")
    np.save("x.npy", X[:300] + 1)
    with pytest.raises(FileExistsError, match="another path, or --overwrite"):
        convert("x.npy", "x.zarr")
    assert_array_equal(zarr.open_array("x.zarr")[:], X)
    convert("x.npy", "x.zarr", overwrite=True)
    assert_array_equal(zarr.open_array("x.zarr")[:], X[:300] + 1)
    assert names(folder) == ["x.npy", "x.zarr"]


def test_what_is_no_array_is_never_overwritten(folder):
    np.save("x.npy", X)
    (folder / "work").mkdir()
    (folder / "work" / "thesis.tex").write_text("years")
    with pytest.raises(FileExistsError, match="no table in Zarr"):
        convert("x.npy", "work", overwrite=True)
    np.save("other.npy", X)
    with pytest.raises(FileExistsError, match="no table in Zarr"):
        convert("x.npy", "other.npy", overwrite=True)
    with pytest.raises(ValueError, match="give another path"):
        convert("x.npy", "x.npy", overwrite=True)
    assert names(folder / "work") == ["thesis.tex"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("target", ["x.zarr", "memory://convert/cut.zarr"])
def test_what_is_cut_short_is_not_there(folder, monkeypatch, error, target):
    np.save("x.npy", X)
    write, left = zarr.Array.append, [5]

    def append(self, *arguments):
        left[0] -= 1
        if left[0] == 0:
            raise error
        return write(self, *arguments)

    monkeypatch.setattr(zarr.Array, "append", append)
    with pytest.raises(type(error)):
        convert("x.npy", target)
    assert names(folder) == ["x.npy"]
    assert not fsspec.filesystem("memory").find("/convert")


def test_a_failed_replacement_leaves_what_was_there(folder, monkeypatch):
    np.save("x.npy", X)
    convert("x.npy", "x.zarr")
    monkeypatch.setattr(zarr.Array, "append", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert("x.npy", "x.zarr", overwrite=True)
    assert_array_equal(zarr.open_array("x.zarr")[:], X)
    assert names(folder) == ["x.npy", "x.zarr"]


def test_a_replacement_that_cannot_be_moved_leaves_what_was_there(folder, monkeypatch):
    np.save("x.npy", X)
    convert("x.npy", "x.zarr")
    rename = os.rename

    def refuse(source, target):
        if source.endswith("/new"):
            raise OSError("stale handle")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(OSError, match="stale"):
        convert("x.npy", "x.zarr", overwrite=True)
    assert_array_equal(zarr.open_array("x.zarr")[:], X)
    assert names(folder) == ["x.npy", "x.zarr"]


def test_object_stores(folder):
    np.save("x.npy", X)
    convert("x.npy", "memory://convert/x.zarr")
    with pytest.raises(FileExistsError):
        convert("x.npy", "memory://convert/x.zarr")
    np.save("x.npy", X[:150])
    array = convert("x.npy", "memory://convert/x.zarr", overwrite=True)
    assert_array_equal(array[:], X[:150])
    files = fsspec.filesystem("memory")
    assert not [name for name in files.find("/convert") if "part" in name]
    files.rm("/convert", recursive=True)
