"""A group belongs to the run whose id is in its label; of several that make it at once, one does."""

import threading

import fsspec
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem

from dask_igtm.data.zarr_labels import check_run, claim, label_of, set_label


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    """Where nothing is."""
    yield f"{tmp_path}/new.zarr" if request.param == "local" else "memory://labels/new.zarr"
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_first_run_makes_the_group_and_the_second_does_not(place, zarr_format):
    assert label_of(place) is None
    with zarr.config.set({"default_zarr_format": zarr_format}):
        assert claim(place, {"run": "a", "of": [1, None]})
        assert not claim(place, {"run": "b"})
    assert label_of(place) == {"run": "a", "of": [1, None]}
    group = zarr.open_group(place, mode="r")
    assert group.metadata.zarr_format == zarr_format
    assert list(group) == []


def test_of_many_at_once_one_succeeds(place):
    won, barrier = [], threading.Barrier(8)

    def run(number):
        barrier.wait()
        if claim(place, {"run": number}):
            won.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [label_of(place)["run"]] == won


def test_what_another_run_has_only_begun_is_nothing_yet(place):
    files, name = fsspec.core.url_to_fs(place)
    files.makedirs(name)
    files.pipe_file(f"{name}/zarr.json.0.part", b"{")
    files.pipe_file(f"{name}/.zgroup", b'{"zarr_format": 2}')
    assert label_of(place) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}"])
def test_a_damaged_label_is_no_label(place, content):
    claim(place, {"run": "a"})
    files, name = fsspec.core.url_to_fs(place)
    files.pipe_file(f"{name}/zarr.json", content)
    with pytest.raises(FileExistsError, match=r"no projection by dask_igtm; give another path, or remove it"):
        label_of(place)


def test_a_run_keeps_the_group_until_another_sets_its_label(place):
    claim(place, {"run": "a"})
    check_run(zarr.open_group(place), place, "a")
    set_label(place, {"run": "b"})
    with pytest.raises(FileExistsError, match=r"Another run has begun to write to .*another path"):
        check_run(zarr.open_group(place), place, "a")
    check_run(zarr.open_group(place), place, "b")


def test_a_group_that_lost_its_label_belongs_to_nobody(place):
    zarr.create_group(place)
    with pytest.raises(FileExistsError, match="Another run"):
        check_run(zarr.open_group(place), place, "a")


def test_a_folder_that_cannot_be_made_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        claim(str(tmp_path / "file" / "new.zarr"), {"run": "a"})


def test_a_store_that_cannot_be_asked_is_read_again(monkeypatch):
    """Another run writes its label just after it was seen that there is none."""

    def pipe_file(self, path, value, mode="overwrite"):
        if mode == "create":
            raise NotImplementedError
        pipe(self, path, value)
        pipe(self, path, value.replace(b'"mine"', b'"other"'))

    pipe = MemoryFileSystem.pipe_file
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", pipe_file)
    assert not claim("memory://asked/new.zarr", {"run": "mine"})
    assert label_of("memory://asked/new.zarr")["run"] == "other"
