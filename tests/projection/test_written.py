"""Tables of rows written by the ending of the path: ids first, whole or not there, gone on with where cut."""

import os

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, convert, open_table
from dask_igtm.data.parquet_parts import LABEL, ParquetParts

duckdb = pytest.importorskip("duckdb")
pl = pytest.importorskip("polars")

X = correlated(2000, 4)
NAMES = np.array([f"m{i:04}é" for i in range(2000)], dtype=object)
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(id=NAMES, code=np.arange(2000) * 7)
COLUMNS = ["x1", "x2", "node", "log_likelihood"]
OUTPUTS = ("means", "node", "log_likelihood")


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=5, m=2, niter=3, scale="center", solver="em").fit(FRAME[list("abcd")])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def given(kind):
    """The same rows in several containers, and the ids to ask for."""
    if kind == "zarr":
        FRAME.drop(columns="code").to_parquet("x.parquet", row_group_size=300)
        convert("x.parquet", "x.zarr", index="id")
        return "x.zarr", None
    if kind == "pandas":
        return FRAME.drop(columns="code").set_index("id"), None
    if kind == "csv":
        FRAME.to_csv("x.csv", index=False)
        return "x.csv", "id"
    FRAME.to_parquet("x.parquet", row_group_size=300)
    return "x.parquet", "id"


def duck(path):
    return duckdb.sql(f"select * from '{path}/*.parquet' order by id").to_df()


READERS = {"duckdb": duck, "polars": lambda path: pl.read_parquet(path).sort("id").to_pandas()}


@pytest.mark.parametrize("kind", ["zarr", "pandas", "csv", "parquet"])
def test_parquet_is_read_by_others(igtm, kind):
    rows, ids = given(kind)
    igtm.write_table(rows, "map.parquet", OUTPUTS, ids=ids)
    expected = igtm.describe(FRAME[list("abcd")], OUTPUTS)
    for read in READERS.values():
        found = read("map.parquet")
        assert list(found.columns) == ["id", *COLUMNS]
        assert_array_equal(found["id"], NAMES)
        assert_allclose(found[["x1", "x2"]], expected["means"], rtol=1e-9, atol=1e-12)
        assert_array_equal(found["node"], expected["node"])
    assert open_table("map.parquet", index="id").shape == (2000, 4)


@pytest.mark.parametrize("kind", ["zarr", "pandas", "csv", "parquet"])
def test_csv_is_one_file_written_anew(igtm, kind):
    rows, ids = given(kind)
    igtm.write_table(rows, "map.csv", OUTPUTS, ids=ids)
    found = pd.read_csv("map.csv")
    assert list(found.columns) == ["id", *COLUMNS]
    assert_array_equal(found["id"], NAMES)
    assert_allclose(found["log_likelihood"], igtm.score_samples(FRAME[list("abcd")]), rtol=1e-9)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        igtm.write_table(rows, "map.csv", OUTPUTS, ids=ids)
    igtm.write_table(rows, "map.csv", ("node",), ids=ids, overwrite=True)
    assert list(pd.read_csv("map.csv").columns) == ["id", "node"]
    assert not [name for name in os.listdir() if name.endswith(".part")]


@pytest.mark.parametrize("kind", ["zarr", "pandas", "csv", "parquet"])
def test_zarr_has_the_ids_beside_the_outputs(igtm, kind):
    rows, ids = given(kind)
    igtm.write_table(rows, "map.zarr", OUTPUTS, ids=ids)
    group = zarr.open_group("map.zarr", mode="r")
    assert_array_equal(group["id"][:].astype(object), NAMES)
    assert_allclose(group["means"][:], igtm.transform(FRAME[list("abcd")]), rtol=1e-9, atol=1e-12)
    assert group.attrs["dask_igtm"]["complete"] is True


def test_rows_without_ids_are_numbered():
    igtm = unnamed()
    igtm.write_table(da.from_array(X, chunks=((300, 1200, 500), 4)), "map.parquet", ("node",))
    assert_array_equal(pl.read_parquet("map.parquet")["row"].to_numpy(), np.arange(2000))
    igtm.write_table(X, "map.zarr", ("node",))
    assert list(zarr.open_group("map.zarr").array_keys()) == ["node"]


def test_several_ids_keep_their_types(igtm):
    rows, _ = given("parquet")
    igtm.write_table(rows, "map.parquet", ("node",), ids=["code", "id"])
    found = pl.read_parquet("map.parquet")
    assert found.schema == {"code": pl.Int64, "id": pl.String, "node": pl.Int32}
    igtm.write_table(rows, "map.zarr", ("node",), ids=["code", "id"])
    assert zarr.open_array("map.zarr/code").dtype == np.int64


def cut_after(monkeypatch, n_parts):
    write, left = ParquetParts.write, [n_parts]

    def failing(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        write(self, *args, **kwargs)

    monkeypatch.setattr(ParquetParts, "write", failing)


def half_done():
    """Return a map, rows and their ids, of which 15 of 40 parts are written."""
    igtm, rows = unnamed(), da.from_array(X, chunks=(50, 4))
    with pytest.MonkeyPatch.context() as patch:
        cut_after(patch, 15)
        with dask.config.set(scheduler="synchronous"), pytest.raises(KeyboardInterrupt):
            igtm.write_table(rows, "map.parquet", ids=NAMES)
    return igtm, rows


def unnamed():
    return IGTM(k=4, m=2, niter=1, scale="center", solver="em").fit(X)


def test_what_was_cut_passes_for_nothing_whole_and_goes_on(folder, caplog):
    igtm, rows = half_done()
    assert len([name for name in os.listdir("map.parquet") if name.startswith("part-")]) == 15
    for read in READERS.values():
        with pytest.raises(Exception, match=r"[Pp]arquet|magic"):
            read("map.parquet")
    with caplog.at_level("INFO", "dask_igtm"):
        igtm.write_table(rows, "map.parquet", ids=NAMES)
    assert "25 of 40 parts" in caplog.text
    igtm.write_table(rows, "other.parquet", ids=NAMES)
    for name in os.listdir("map.parquet"):
        if name != LABEL:
            assert (folder / "map.parquet" / name).read_bytes() == (
                folder / "other.parquet" / name
            ).read_bytes()
    assert_array_equal(duck("map.parquet")["id"], NAMES)


def test_another_table_is_refused():
    igtm, rows = unnamed(), da.from_array(X, chunks=(50, 4))
    igtm.write_table(rows, "map.parquet", ids=NAMES)
    with pytest.raises(ValueError, match="another one: ids was"):
        igtm.write_table(rows, "map.parquet")
    with pytest.raises(ValueError, match="projection of other data"):
        igtm.write_table(rows, "map.parquet", ids=NAMES[::-1].copy())
    with pytest.raises(FileExistsError, match="resume=True"):
        igtm.write_table(rows, "map.parquet", ids=NAMES, resume=False)
    igtm.write_table(rows, "map.parquet", ("node",), ids=NAMES[::-1].copy(), overwrite=True)
    assert pl.read_parquet("map.parquet")["id"][0] == NAMES[-1]


def test_a_run_that_is_overtaken_stops():
    igtm, seen = unnamed(), []

    def act(block):
        seen.append(1)
        if len(seen) == 30:
            igtm.write_table(da.from_array(X, chunks=(50, 4)), "map.parquet")
        return block

    slow = da.from_array(X, chunks=(50, 4)).map_blocks(act, dtype=float, meta=np.empty((0, 0)))
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(FileExistsError, match="Another run has begun"),
    ):
        igtm.write_table(slow, "map.parquet")
    assert len(seen) == 30  # and does not read on
    assert len(pl.read_parquet("map.parquet")) == 2000


def test_something_else_is_never_overwritten(igtm, folder):
    (folder / "map.parquet").write_text("precious")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="no projection by dask_igtm"):
            igtm.write_table(FRAME[list("abcd")], "map.parquet", overwrite=overwrite)
    assert (folder / "map.parquet").read_text() == "precious"


def test_an_unknown_ending_is_refused(igtm):
    with pytest.raises(ValueError, match=r"give one of .parquet, .pq, .csv, .zarr"):
        igtm.write_table(X, "map.feather")


def test_an_id_is_not_called_as_an_output(igtm):
    frame = FRAME.drop(columns=["code", "id"]).rename_axis("node")
    frame.index = pd.Index(NAMES, name="node")
    with pytest.raises(ValueError, match="An id is called 'node'"):
        igtm.write_table(frame, "map.parquet", ("node",))


def test_objects_in_a_store_are_written_too(igtm):
    rows, ids = given("parquet")
    for ending in ("parquet", "csv"):
        igtm.write_table(rows, f"memory://written/map.{ending}", ("node",), ids=ids)
    assert open_table("memory://written/map.parquet", index="id").shape == (2000, 1)
    assert list(open_table("memory://written/map.csv", index="id").columns) == ["node"]


def test_all_that_have_a_map_write(igtm):
    labels = np.where(X[:, 0] > 0, "a", "b")
    rows, settings = FRAME[list("abcd")], {"k": 4, "m": 2, "niter": 2, "scale": "center", "solver": "em"}
    fitted = (
        IGTMClassifier(**settings).fit(rows, labels),
        IGTMRegressor(**settings).fit(rows, X[:, 0]),
        IGTMSearch(IGTM(**settings), {"k": [4]}, cv=2).fit(rows),
    )
    for i, one in enumerate(fitted):
        one.write_table(FRAME.drop(columns="code"), f"{i}.parquet", ["node"], ids="id")
        written = duck(f"{i}.parquet")
        table = one.table(FRAME.drop(columns="code"), ["node"], ids="id").sort_index()
        assert_array_equal(written["node"], table["node"])


@pytest.mark.parametrize("lazy", [False, True])
def test_points_of_a_cube_are_written_with_their_coordinates(lazy):
    values = X.reshape(40, 50, 4).copy()
    values[3, 7:] = np.nan
    axes = {"lat": np.arange(40.0), "lon": np.arange(50.0)}
    cube = xr.Dataset({name: (("lat", "lon"), values[..., i]) for i, name in enumerate("abcd")}, axes)
    settings = {"k": 4, "m": 2, "niter": 2, "scale": "center", "solver": "em"}
    igtm = IGTM(**settings, keep_empty_rows=True).fit(cube)
    given = cube.chunk(lat=15, lon=20) if lazy else cube
    igtm.write_table(given, "cube.parquet", ["means", "node"])
    igtm.write_table(given, "cube.csv", ["means", "node"])
    expected = igtm.table(cube, ["means", "node"])
    for written in (pd.read_parquet("cube.parquet"), pd.read_csv("cube.csv")):
        found = written.set_index(["lat", "lon"]).to_xarray()
        xr.testing.assert_allclose(found, expected)
    assert (found["node"].values[3, 7:] == -1).all()


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.zarr"])
def test_ids_are_text_of_utf8_or_refused(tmp_path, name):
    igtm, ids = IGTM(k=4, m=2, niter=2).fit(X), pd.Series([f"{i}\x1b\u2028\0" for i in range(len(X))])
    igtm.write_table(X, tmp_path / name, ["means"], ids=ids.rename("id"))
    if not name.endswith("csv"):  # whose parsers differ over NUL
        path = tmp_path / name
        stored = zarr.open(path)["id"][:] if name.endswith("zarr") else pd.read_parquet(path).id
        assert list(stored) == ids.tolist()
    for lost in (ids + "\ud800", ids.map(lambda text: text.encode() + b"\xff")):
        with pytest.raises(ValueError, match="which UTF-8 cannot hold; give ids that it can"):
            igtm.write_table(X, tmp_path / f"lost-{name}", ["means"], ids=lost.rename("id"), overwrite=True)
    for wrong in ("i\0", "\ud800"):
        with pytest.raises(ValueError, match="give one of UTF-8 without slashes and NUL"):
            igtm.write_table(X, tmp_path / f"wrong-{name}", ["means"], ids=ids.rename(wrong))


@pytest.mark.parametrize("ending", ["parquet", "csv", "zarr"])
def test_links_are_followed(igtm, folder, ending):
    (folder / "far").mkdir()
    os.symlink(f"far/real.{ending}", f"map.{ending}")
    rows = FRAME[list("abcd")]
    for _ in range(2):  # made, and then replaced
        igtm.write_table(rows, f"map.{ending}", ("node",), overwrite=True)
        assert os.readlink(f"map.{ending}") == f"far/real.{ending}"
        assert os.listdir("far") == [f"real.{ending}"]
    assert sorted(os.listdir()) == ["far", f"map.{ending}"]


@pytest.mark.parametrize("ending", ["parquet", "csv", "zarr"])
def test_what_is_no_file_and_no_folder_is_never_replaced(igtm, folder, ending):
    os.mkfifo(f"map.{ending}")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="There is a named pipe at"):
            igtm.write_table(FRAME[list("abcd")], f"map.{ending}", ("node",), overwrite=overwrite)
    with pytest.raises(FileExistsError, match="There is a named pipe at"):
        igtm.project_to_zarr(FRAME[list("abcd")], f"map.{ending}")
    assert os.listdir() == [f"map.{ending}"]


@pytest.mark.parametrize("ending", ["parquet", "zarr"])
def test_what_is_replaced_goes_away_at_once(igtm, folder, monkeypatch, ending):
    """Where removing it is cut short, no half of it is left under its name."""
    igtm.write_table(FRAME[list("abcd")], f"map.{ending}", ("node",))
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    igtm.write_table(FRAME[list("abcd")], f"map.{ending}", ("means",), overwrite=True)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert len([name for name in os.listdir() if name.endswith(".part")]) == 1
    igtm.write_table(FRAME[list("abcd")], f"map.{ending}", ("node",), overwrite=True)
    assert os.listdir() == [f"map.{ending}"]
