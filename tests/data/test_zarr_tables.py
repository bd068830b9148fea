"""Tables of a group: which chunks are missing is told by what the store holds."""

import fsspec
import numpy as np
import pytest
import zarr

from dask_igtm.data.zarr_labels import claim
from dask_igtm.data.zarr_tables import Table, create, missing_chunks, write_rows

TABLES = {
    "wide": Table((95, 3), "float64", np.nan, 10),
    "number": Table((95,), "int32", -1, 10),
}


@pytest.fixture(params=[(kind, zarr_format) for kind in ("local", "memory") for zarr_format in (2, 3)])
def place(request, tmp_path):
    """A group that belongs to the run "a", with both tables."""
    kind, zarr_format = request.param
    path = f"{tmp_path}/new.zarr" if kind == "local" else "memory://tables/new.zarr"
    with zarr.config.set({"default_zarr_format": zarr_format}):
        claim(path, {"run": "a"})
    create(path, TABLES)
    yield path
    fsspec.filesystem("memory").store.clear()


def columns(chunk, fill=False):
    n_rows = min(95 - 10 * chunk, 10)
    wide, number = np.full((n_rows, 3), np.nan), np.full(n_rows, -1, np.int32)
    return (wide, number) if fill else (np.nan_to_num(wide, nan=chunk), number + 1 + chunk)


@pytest.mark.parametrize("fill", [False, True])
def test_chunks_are_missing_until_they_are_written_to_all(place, fill):
    assert missing_chunks(place, TABLES) == set(range(10))
    for chunk in (9, 0, 4):
        write_rows(10 * chunk, columns(chunk, fill), place, tuple(TABLES), "a")
    write_rows(20, columns(2, fill)[:1], place, ("wide",), "a")
    assert missing_chunks(place, TABLES) == {1, 2, 3, 5, 6, 7, 8}
    group = zarr.open_group(place, mode="r")
    np.testing.assert_array_equal(group["wide"][40:50], columns(4, fill)[0])
    np.testing.assert_array_equal(group["number"][90:], columns(9, fill)[1])


def test_another_run_writes_nothing(place):
    with pytest.raises(FileExistsError, match="Another run"):
        write_rows(0, columns(0), place, tuple(TABLES), "b")
    assert missing_chunks(place, TABLES) == set(range(10))


def test_tables_that_are_there_are_kept(place):
    write_rows(0, columns(0), place, tuple(TABLES), "a")
    create(place, TABLES)
    assert missing_chunks(place, TABLES) == set(range(1, 10))


def test_two_runs_may_make_the_tables_at_once(place, monkeypatch):
    monkeypatch.setattr(zarr.Group, "__contains__", lambda *_: False)  # as each of them sees it
    create(place, TABLES)
    assert missing_chunks(place, TABLES) == set(range(10))


@pytest.mark.parametrize(
    "other",
    [
        Table((94, 3), "float64", np.nan, 10),
        Table((95, 3), "float32", np.nan, 10),
        Table((95, 3), "float64", 0.0, 10),
        Table((95, 3), "float64", np.nan, 20),
    ],
)
def test_what_is_no_such_table_is_refused(place, other):
    with pytest.raises(ValueError, match=r"wide is no array of shape .* remove it, and call again"):
        missing_chunks(place, {"wide": other})


def test_neither_a_group_nor_damage_is_a_table(place):
    zarr.open_group(place, mode="r+").create_group("deviance")
    with pytest.raises(ValueError, match="deviance is no array"):
        missing_chunks(place, {"deviance": TABLES["number"]})
    files, root = fsspec.core.url_to_fs(place)
    for name in ("zarr.json", ".zarray"):
        if files.exists(f"{root}/wide/{name}"):
            files.pipe_file(f"{root}/wide/{name}", b"{")
    with pytest.raises(ValueError, match="wide is no array"):
        missing_chunks(place, TABLES)


def test_a_path_that_a_worker_does_not_see(tmp_path):
    with pytest.raises(FileNotFoundError, match="that every worker sees"):
        write_rows(0, columns(0), str(tmp_path / "elsewhere.zarr"), tuple(TABLES), "a")
