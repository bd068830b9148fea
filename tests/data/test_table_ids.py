"""Ids that are kept beside the rows: what convert writes is what tables have, in every container of files."""

import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from dask_igtm import IGTM, convert
from dask_igtm.data import convert as converting
from dask_igtm.data.row_names import named_rows
from dask_igtm.data.stored_tables import ids_of

anndata = pytest.importorskip("anndata")

X = correlated(1000, 4)
NAMES = [f"m{i:04}é" for i in range(999)] + ["NA"]
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(id=NAMES, code=[f"{i:05}" for i in range(1000)])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder, and chunks of 100 rows of four float64."""
    monkeypatch.setattr(converting, "CHUNK_BYTES", 100 * 4 * 8)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(ending):
    if ending == "parquet":
        FRAME.to_parquet("x.parquet", row_group_size=130)
    else:
        FRAME.to_csv(f"x.{ending}", index=False)
    return f"x.{ending}"


@pytest.mark.parametrize("ending", ["parquet", "csv", "csv.gz"])
def test_ids_lie_beside_the_rows(ending):
    group = convert(write(ending), "x.zarr", index="id", drop=["code"])
    assert ids_of(group) == ["id"]
    assert_array_equal(group["id"][:].astype(object), NAMES)
    assert group["id"].chunks == (100,)
    assert group["X"].attrs["columns"] == list("abcd")
    igtm = IGTM(k=3, m=2, niter=1, scale="center", solver="em").fit(FRAME[list("abcd")])
    expected = igtm.transform(FRAME[list("abcd")])
    for table in (group, "x.zarr"):
        rows, ids = named_rows(table)
        assert ids["id"].compute().tolist() == NAMES
        assert_allclose(igtm.transform(rows).compute(), expected, rtol=1e-9, atol=1e-12)
        assert_allclose(igtm.transform(table).compute(), expected, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="no id name; its ids are id"):
        named_rows("x.zarr", "name")


def test_text_that_nobody_chose_is_set_aside_with_a_word():
    with pytest.warns(UserWarning, match=r"no numbers: code; they are left out"):
        group = convert(write("parquet"), "x.zarr", index="id")
    assert group["X"].shape == (1000, 4)


def test_ids_of_csv_are_text_as_it_stands():
    group = convert(write("csv"), "x.zarr", index=["code", "id"])
    assert group["code"][:3].tolist() == ["00000", "00001", "00002"]
    assert group["id"][999] == "NA"


def test_numbers_stay_numbers_and_dates_become_text():
    frame = FRAME[["a", "b"]].assign(n=np.arange(1000), day=pd.Timestamp("2020-01-02"))
    frame.to_parquet("x.parquet")
    group = convert("x.parquet", "x.zarr", index=["n", "day"])
    assert group["n"].dtype == np.int64
    assert str(group["day"][0]).startswith("2020-01-02")


@pytest.mark.parametrize("kind", ["dense", "csr", "csc"])
def test_names_of_cells_stay(kind):
    rows = sparse.random_array((1000, 6), density=0.3, random_state=np.random.default_rng(0), format="csr")
    held = {"dense": rows.toarray(), "csr": rows.tocsr(), "csc": rows.tocsc()}[kind]
    anndata.AnnData(held, obs=pd.DataFrame(index=NAMES)).write_h5ad("x.h5ad")
    group = convert("x.h5ad", "x.zarr", index="obs_names")
    assert_array_equal(group["obs_names"][:].astype(object), NAMES)
    igtm = IGTM(k=3, m=2, niter=1, scale="center", solver="em").fit("x.zarr")
    assert igtm.n_samples_seen_ == 1000
    assert named_rows("x.zarr")[1]["obs_names"].compute().tolist() == NAMES
    with pytest.raises(ValueError, match="give 'obs_names'"):
        convert("x.h5ad", "y.zarr", index="cell")


@pytest.mark.parametrize("ending", ["npy", "npz", "mtx"])
def test_what_has_no_names_has_no_ids(ending):
    with pytest.raises(
        ValueError, match="has no names of columns; convert it without --columns, --drop, --index"
    ):
        convert(f"x.{ending}", "x.zarr", index="id")


@pytest.mark.parametrize("name", ["X", "a/b", "__id", ".id"])
def test_names_that_no_array_can_have_are_refused(name, folder):
    FRAME.rename(columns={"id": name}).to_parquet("x.parquet")
    with pytest.raises(ValueError, match="An id is called"):
        convert("x.parquet", "x.zarr", index=name, drop=["code"])
    assert not (folder / "x.zarr").exists()


def test_a_table_is_replaced_whole(folder):
    source = write("parquet")
    for index in ("id", "code"):
        kept = {"index": index, "columns": ["a", "b"], "overwrite": True}
        assert ids_of(convert(source, "x.zarr", **kept)) == [index]
    assert sorted(path.name for path in folder.iterdir()) == ["x.parquet", "x.zarr"]


def test_a_later_format_is_refused():
    group = zarr.create_group(
        "x.zarr", attributes={"dask_igtm": {"format": "dask_igtm table", "format_version": 9}}
    )
    with pytest.raises(ValueError, match="format 9, and this release reads format 1"):
        named_rows(group)
