"""Projections to Zarr: whole chunks, gone on with where they were cut, never taken for something else."""

import logging
import re
import shutil
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, load
from dask_igtm.passes import graph
from dask_igtm.passes.digests import sampled
from dask_igtm.projection import parts, to_zarr
from dask_igtm.projection.fitted_map import FittedMap

X = correlated(4000, 5)
OUTPUTS = ("means", "modes", "responsibilities", "log_likelihood")


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=6, m=3, niter=5).fit(X)


@pytest.fixture
def path(tmp_path):
    """40 blocks of 100 rows where they come from a dask array."""
    zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(100, 5))
    return str(tmp_path / "x.zarr")


def lazy(path):
    return da.from_zarr(path)


def watching(X, act=lambda number: None):
    """Return a lazy X and the list of the blocks that are read of it; each read may do something more."""
    reads = []

    def seen(block, block_id):
        reads.append(block_id[0])
        act(block_id[0])
        return block

    return X.map_blocks(seen, dtype=float, meta=np.empty((0, 0))), reads


def expected(igtm, output):
    if output == "log_likelihood":
        return igtm.score_samples(X)
    igtm = IGTM(**igtm.get_params()).set_params(model=output).fit(X)
    return igtm.transform(X)


@pytest.mark.parametrize("kind", ["memory", "path", "zarr", "dask", "uneven"])
def test_holds_what_transform_returns(igtm, path, tmp_path, kind):
    data = {
        "memory": X,
        "path": path,
        "zarr": zarr.open_array(path),
        "dask": lazy(path),
        "uneven": lazy(path).rechunk(((7, 1500, 93, 2400), -1)),
    }[kind]
    group = igtm.project_to_zarr(data, tmp_path / "map.zarr", OUTPUTS)
    for output in OUTPUTS:
        np.testing.assert_allclose(group[output][:], expected(igtm, output), atol=1e-12)
        np.testing.assert_array_equal(
            zarr.open_group(tmp_path / "map.zarr", mode="r")[output][:], group[output][:]
        )
    assert group.attrs["dask_igtm"]["complete"] is True


def test_one_pass_over_the_data_writes_whole_chunks(igtm, path, tmp_path):
    watched, reads = watching(lazy(path))
    group = igtm.project_to_zarr(watched, tmp_path / "map.zarr", OUTPUTS)
    assert sorted(reads) == sorted([*range(40), *sampled(40)])  # some are read before, for their digests
    assert {group[output].chunks[0] for output in OUTPUTS} == {100}


def test_blocks_join_in_a_chunk(igtm, tmp_path):
    data = da.from_array(correlated(6400, 5), chunks=(100, 5))
    group = igtm.project_to_zarr(data, tmp_path / "map.zarr")
    assert group["means"].chunks == (200, 2)
    np.testing.assert_array_equal(group["means"][:], igtm.transform(data).compute())


def codecs(array):
    return [codec["name"] for codec in array.metadata.to_dict()["codecs"]]


def test_the_codec_is_that_of_conversions(igtm, tmp_path):
    group = igtm.project_to_zarr(X, tmp_path / "map.zarr", OUTPUTS)
    for output in OUTPUTS:
        assert codecs(group[output]) == ["bytes", "blosc", "crc32c"]


def test_a_group_of_the_older_format_has_its_own_codecs(igtm, tmp_path):
    with zarr.config.set({"default_zarr_format": 2}):
        group = igtm.project_to_zarr(X, tmp_path / "map.zarr")
    assert group.metadata.zarr_format == 2
    assert_array_equal(group["means"][:], igtm.transform(X))


def cut_after(monkeypatch, n_parts, error):
    """Let the writing fail after some parts; one at a time, so that their number is known."""
    write, left = to_zarr.write_rows, [n_parts]

    def failing(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise error
        write(*args, **kwargs)

    monkeypatch.setattr(to_zarr, "write_rows", failing)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("outputs", [("means",), ("log_likelihood", "modes")])
def test_what_was_cut_goes_on(igtm, path, tmp_path, monkeypatch, caplog, error, outputs):
    cut_after(monkeypatch, 15, error)
    with dask.config.set(scheduler="synchronous"), pytest.raises(type(error)):
        igtm.project_to_zarr(lazy(path), tmp_path / "map.zarr", outputs)
    monkeypatch.undo()
    half = zarr.open_group(tmp_path / "map.zarr", mode="r")
    assert half.attrs["dask_igtm"]["complete"] is False
    missing = np.isnan(half[outputs[-1]][:]).reshape(4000, -1).all(axis=1)
    assert missing.sum() == 2500
    with caplog.at_level(logging.INFO, "dask_igtm"):
        whole = igtm.project_to_zarr(lazy(path), tmp_path / "map.zarr", outputs)
    assert "25 of 40 parts" in caplog.text
    undisturbed = igtm.project_to_zarr(lazy(path), tmp_path / "other.zarr", outputs)
    for output in outputs:
        assert whole[output][:].tobytes() == undisturbed[output][:].tobytes()
    assert whole.attrs["dask_igtm"]["complete"] is True


def test_finished_blocks_are_not_read_again(igtm, path, tmp_path, monkeypatch):
    watched, reads = watching(lazy(path))
    cut_after(monkeypatch, 15, OSError("cut"))
    with dask.config.set(scheduler="synchronous"), pytest.raises(OSError, match="cut"):
        igtm.project_to_zarr(watched, tmp_path / "map.zarr")
    monkeypatch.undo()
    done = set(reads[16:31])
    reads.clear()
    igtm.project_to_zarr(watched, tmp_path / "map.zarr")
    assert sorted(reads) == sorted([*sampled(40), *set(range(40)) - done])
    reads.clear()
    igtm.project_to_zarr(watched, tmp_path / "map.zarr")
    assert sorted(reads) == sampled(40)


def test_a_loaded_model_goes_on(igtm, path, tmp_path):
    igtm.project_to_zarr(path, tmp_path / "map.zarr")
    igtm.save(tmp_path / "model.npz")
    load(tmp_path / "model.npz").project_to_zarr(path, tmp_path / "map.zarr")


def test_a_target_that_lacks_its_tables_is_finished(igtm, path, tmp_path):
    whole = igtm.project_to_zarr(path, tmp_path / "map.zarr")["means"][:]
    shutil.rmtree(tmp_path / "map.zarr" / "means")
    assert igtm.project_to_zarr(path, tmp_path / "map.zarr")["means"].shape == whole.shape


def test_another_projection_is_refused(igtm, path, tmp_path):
    igtm.project_to_zarr(path, tmp_path / "map.zarr")
    smaller = IGTM(k=5, niter=1).fit(X)
    with pytest.raises(ValueError, match="another one: model was"):
        smaller.project_to_zarr(path, tmp_path / "map.zarr")
    with pytest.raises(ValueError, match="another one: outputs was"):
        igtm.project_to_zarr(path, tmp_path / "map.zarr", ("means",))
    with pytest.raises(ValueError, match=r"another one: .*shape was"):
        igtm.project_to_zarr(X[:-1], tmp_path / "map.zarr")
    other = zarr.create_array(tmp_path / "z.zarr", data=X[::-1].copy(), chunks=(100, 5))
    with pytest.raises(ValueError, match="projection of other data"):
        igtm.project_to_zarr(other, tmp_path / "map.zarr")
    with pytest.raises(FileExistsError, match="resume=True"):
        igtm.project_to_zarr(path, tmp_path / "map.zarr", resume=False)


def test_something_else_is_never_overwritten(igtm, path, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("precious")
    zarr.create_group(tmp_path / "group.zarr", attributes={"mine": 1})
    zarr.create_array(tmp_path / "other.zarr", data=np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"x\.zarr' is the input .* give another path"):
        igtm.project_to_zarr(path, path)
    for target in ("other.zarr", "file", "folder", "group.zarr"):
        with pytest.raises(FileExistsError, match="give another path"):
            igtm.project_to_zarr(path, tmp_path / target)
    assert (tmp_path / "file").read_text() == (tmp_path / "folder" / "file").read_text() == "precious"
    np.testing.assert_array_equal(zarr.open_array(path)[:], X)


def test_an_empty_folder_may_be_filled(igtm, path, tmp_path):
    (tmp_path / "map.zarr").mkdir()
    assert igtm.project_to_zarr(path, tmp_path / "map.zarr")["means"].shape == (4000, 2)


def test_bad_rows_are_an_error_and_the_rest_can_be_finished(igtm, tmp_path):
    bad = X.copy()
    bad[2345, 1] = np.nan
    zarr.create_array(tmp_path / "x.zarr", data=bad, chunks=(100, 5))
    with pytest.raises(ValueError, match="1 in column 1") as caught:
        igtm.project_to_zarr(lazy(tmp_path / "x.zarr"), tmp_path / "map.zarr")
    assert any("rows 2300:2400" in note for note in caught.value.__notes__)
    zarr.open_array(tmp_path / "x.zarr", mode="r+")[2345] = X[2345]
    group = igtm.project_to_zarr(lazy(tmp_path / "x.zarr"), tmp_path / "map.zarr")
    np.testing.assert_allclose(group["means"][:], igtm.transform(X), atol=1e-12)


@pytest.mark.parametrize("outputs", [(), ("means", "means"), ("means", "complete"), "means"])
def test_outputs_are_checked(igtm, path, tmp_path, outputs):
    with pytest.raises(ValueError, match="outputs="):
        igtm.project_to_zarr(path, tmp_path / "map.zarr", outputs)


def test_unknown_sizes_are_refused_with_a_remedy(igtm, path, tmp_path):
    data = lazy(path)
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        igtm.project_to_zarr(data[data[:, 0] > 0], tmp_path / "map.zarr")


def test_object_stores(igtm, path):
    group = igtm.project_to_zarr(path, "memory://maps/map.zarr", ("means",))
    np.testing.assert_array_equal(group["means"][:], igtm.transform(path).compute())
    igtm.project_to_zarr(path, "memory://maps/map.zarr", ("means",))
    with pytest.raises(ValueError, match="another one"):
        igtm.project_to_zarr(path, "memory://maps/map.zarr", ("modes",))


def test_a_lost_chunk_is_an_error_and_not_zeros(path, tmp_path):
    (tmp_path / "x.zarr" / "c" / "7" / "0").unlink()
    with pytest.raises(FileNotFoundError, match="not stored") as caught:
        IGTM(niter=1).fit(path)
    assert any("of X." in note for note in caught.value.__notes__)
    positions = IGTM(k=4, niter=1).fit(X).transform(path)
    with pytest.raises(FileNotFoundError, match="not stored"):
        positions.compute()
    assert IGTM(k=4, niter=1).fit(da.from_zarr(path)).n_iter_ == 1  # the way out that the message names


@pytest.mark.parametrize("fill_value", [0.0, 1.5, np.nan])
@pytest.mark.parametrize(
    "layout", [{"chunks": (100, 5)}, {"chunks": (50, 2)}, {"chunks": (50, 5), "shards": (200, 5)}]
)
def test_stored_fill_values_are_data(tmp_path, fill_value, layout):
    data = np.nan_to_num(np.full((1000, 5), fill_value), nan=0.0)
    data[150:] = X[150:1000]
    with zarr.config.set({"array.write_empty_chunks": True}):
        zarr.create_array(tmp_path / "x.zarr", data=data, fill_value=fill_value, **layout)
    for n_blocks in (0, 7):
        fit = IGTM(k=4, niter=2, n_blocks=n_blocks).fit(tmp_path / "x.zarr")
        np.testing.assert_allclose(fit.centers_, IGTM(k=4, niter=2).fit(data).centers_, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Blocks of")
@pytest.mark.parametrize("n_blocks", [0, 7, 40])
@pytest.mark.parametrize("layout", [{"chunks": (50, 2)}, {"chunks": (50, 5), "shards": (200, 5)}])
def test_a_lost_chunk_of_any_layout_is_found(tmp_path, n_blocks, layout):
    stored = zarr.create_array(tmp_path / "x.zarr", shape=(1000, 5), dtype="f4", **layout)
    stored[:400], stored[600:] = X[:400], X[600:1000]
    with pytest.raises(FileNotFoundError, match="not stored"):
        IGTM(k=4, niter=1, n_blocks=n_blocks).fit(tmp_path / "x.zarr")


ROWS = correlated(2000, 5)
ALL = (
    *("means", "modes", "node", "top_nodes", "top_responsibilities", "responsibilities", "relative"),
    *("entropy", "log_likelihood", "deviance"),
)


def small(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 5, "scale": "standard", **parameters})


@pytest.fixture(scope="module")
def fitted():
    return small().fit(ROWS)


# Outputs of all kinds


def test_projections_hold_outputs_of_all_kinds(fitted, tmp_path):
    lazy = da.from_array(ROWS, chunks=(100, 5))
    group = fitted.project_to_zarr(lazy, tmp_path / "map.zarr", ALL, top=3)
    for name, values in fitted.describe(ROWS, ALL, top=3).items():
        assert group[name].dtype == values.dtype
        assert_allclose(group[name][:], values, rtol=1e-9, atol=1e-12)
    assert group["node"].fill_value == -1
    assert np.isnan(group["entropy"].fill_value)


@pytest.mark.parametrize("output", ["node", "top_nodes", "top_responsibilities", "entropy"])
def test_a_projection_goes_on_where_its_last_output_was_not_written(fitted, tmp_path, output):
    lazy = da.from_array(ROWS, chunks=(100, 5))
    path = tmp_path / "map.zarr"
    whole = fitted.project_to_zarr(lazy, path, ("means", output))[output][:]
    cut = zarr.open_group(path, mode="r+")[output]
    cut[500:800] = cut.fill_value
    watched, reads = watching(lazy)
    assert_array_equal(fitted.project_to_zarr(watched, path, ("means", output))[output][:], whole)
    assert sorted(reads) == sorted([*sampled(20), 5, 6, 7])


def test_another_top_is_another_projection(fitted, tmp_path):
    fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("top_nodes",), top=3)
    with pytest.raises(ValueError, match="another one: top was 3 and is 5"):
        fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("top_nodes",))
    fitted.project_to_zarr(ROWS, tmp_path / "means.zarr", ("means",), top=3)
    fitted.project_to_zarr(ROWS, tmp_path / "means.zarr", ("means",))  # of which top says nothing


def test_other_rows_are_told_apart_by_indices(fitted, tmp_path):
    fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("node",))
    with pytest.raises(ValueError, match=r"projection of other data: rows 0:2000 "):
        fitted.project_to_zarr(ROWS[::-1].copy(), tmp_path / "map.zarr", ("node",))


# How high parts are, and that finished ones are not read again

N, BLOCK, LIMIT = 1600, 4, 2**13
BYTES = {"means": 16, "modes": 16, "responsibilities": 4 * 4 * 8, "node": 4, "log_likelihood": 8}


def rows(n_columns, dtype=float):
    X = np.random.default_rng(0).normal(size=(N, n_columns)) * [5, 3, *[1] * (n_columns - 2)]
    return da.from_array(X.astype(dtype), chunks=(BLOCK, n_columns))


def height(tmp_path, monkeypatch, X, outputs):
    """Rows of a chunk where a part may take 8 KiB instead of 16 MiB."""
    monkeypatch.setattr(graph, "FOLD_BYTES", (LIMIT, 8 * LIMIT))
    igtm = IGTM(k=4, m=2, niter=1).fit(X[:200].compute())
    group = igtm.project_to_zarr(X, tmp_path / f"{X.shape[1]}-{X.dtype}-{'-'.join(outputs)}.zarr", outputs)
    heights = {group[output].chunks[0] for output in outputs}
    assert len(heights) == 1
    assert group.attrs["dask_igtm"]["complete"] is True
    return heights.pop()


def test_a_wide_table_has_lower_parts_than_a_narrow_one(tmp_path, monkeypatch):
    narrow, middle, wide = (height(tmp_path, monkeypatch, rows(n), ("means",)) for n in (4, 40, 120))
    assert narrow > middle > wide >= BLOCK


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n_columns", [12, 60])
@pytest.mark.parametrize("outputs", [("means",), ("means", "responsibilities")])
def test_a_part_reads_and_writes_no_more_than_its_bytes(tmp_path, monkeypatch, dtype, n_columns, outputs):
    X = rows(n_columns, dtype)
    found = height(tmp_path, monkeypatch, X, outputs)
    row = n_columns * X.dtype.itemsize + sum(BYTES[output] for output in outputs)
    assert found % BLOCK == 0
    assert found * row <= max(LIMIT, BLOCK * row)
    full = (found + BLOCK) * row > LIMIT
    assert full or N // found <= 2 * 32  # many parts keep many workers busy


def test_more_outputs_make_lower_parts(tmp_path, monkeypatch):
    X = rows(12)
    few = height(tmp_path, monkeypatch, X, ("means",))
    many = height(tmp_path, monkeypatch, X, ("means", "responsibilities"))
    assert many < few


def test_blocks_above_the_limit_are_a_part_each(tmp_path, monkeypatch):
    assert height(tmp_path, monkeypatch, rows(400), ("means",)) == BLOCK


WRITTEN = ("means", "node", "log_likelihood")
PARTS = 8


def half_done(tmp_path, finished):
    """Return a map, its rows, and the path of a projection of them of which some parts are finished."""
    X = da.from_array(np.random.default_rng(0).normal(size=(400, 3)) * [3, 2, 1], chunks=(50, 3))
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    path = tmp_path / "map.zarr"
    assert igtm.project_to_zarr(X, path, WRITTEN)["means"].chunks == (50, 2)
    group = zarr.open_group(path, mode="r+")
    group.attrs["dask_igtm"] = dict(group.attrs["dask_igtm"]) | {"complete": False}
    for part in set(range(PARTS)) - set(finished):
        for output in WRITTEN:
            chunk = path / output / "c" / str(part)
            shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()
    return igtm, X, path


def stored(path, output, part):
    chunk = path / output / "c" / str(part)
    return chunk / "0" if chunk.is_dir() else chunk


@pytest.mark.parametrize("finished", [(0, 1, 2, 5), (2, 3, 7), (6,), tuple(range(PARTS))])
def test_finished_parts_are_not_read(tmp_path, finished):
    """They hold what cannot be read, and the missing ones are written all the same."""
    igtm, X, path = half_done(tmp_path, finished)
    for part in finished:
        for output in WRITTEN:
            stored(path, output, part).write_bytes(b"garbage")
    group = igtm.project_to_zarr(X, path, WRITTEN)
    assert group.attrs["dask_igtm"]["complete"] is True
    means = igtm.transform(X).compute()
    for part in set(range(PARTS)) - set(finished):
        rows = slice(50 * part, 50 * part + 50)
        np.testing.assert_allclose(group["means"][rows], means[rows], rtol=1e-9, atol=1e-12)
        assert not np.isnan(group["log_likelihood"][rows]).any()
    for part in finished:
        assert all(stored(path, output, part).read_bytes() == b"garbage" for output in WRITTEN)
        with pytest.raises(ValueError, match="checksum"):
            group["means"][50 * part]


def test_a_url_that_ends_with_a_slash_is_gone_on_with():
    X = np.random.default_rng(0).normal(size=(100, 3))
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    igtm.project_to_zarr(X, "memory://ends/with/slash/")
    with pytest.raises(ValueError, match="projection of other data"):
        igtm.project_to_zarr(X + 1, "memory://ends/with/slash/")
    assert igtm.project_to_zarr(X, "memory://ends/with/slash").attrs["dask_igtm"]["complete"]


# What complete says is true of every chunk of every output


def lose(path, output, what):
    """Take away a part of a projection, as a disk or a hand may."""
    if what == "array":
        shutil.rmtree(path / output)
    elif what == "metadata":
        (path / output / "zarr.json").unlink()
    elif what == "chunk":
        stored(path, output, 3).unlink()
    else:
        stored(path, output, 3).write_bytes(b"")


@pytest.mark.parametrize("output", WRITTEN)
@pytest.mark.parametrize("what", ["array", "metadata", "chunk", "bytes"])
@pytest.mark.parametrize("complete", [True, False])
def test_what_is_lost_of_any_output_is_written_again(tmp_path, output, what, complete):
    igtm, X, path = half_done(tmp_path, range(PARTS))
    whole = {name: zarr.open_group(path, mode="r")[name][:] for name in WRITTEN}
    if complete:
        igtm.project_to_zarr(X, path, WRITTEN)
    lose(path, output, what)
    group = igtm.project_to_zarr(X, path, WRITTEN)
    assert group.attrs["dask_igtm"]["complete"] is True
    for name in WRITTEN:
        assert_array_equal(group[name][:], whole[name])
        assert all(stored(path, name, part).stat().st_size for part in range(PARTS))


def test_a_complete_projection_is_not_written_to(tmp_path):
    igtm, X, path = half_done(tmp_path, range(PARTS))
    igtm.project_to_zarr(X, path, WRITTEN)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    igtm.project_to_zarr(X, path, WRITTEN)
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_chunks_of_nothing_but_fill_are_stored(fitted, tmp_path, monkeypatch):
    def unknown(X, model, kernel, outputs):
        return tuple(np.full(output.shape(len(X)), output.fill, output.dtype) for output in outputs)

    monkeypatch.setattr(FittedMap, "projector", staticmethod(unknown))
    group = fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("means", "node"))
    assert group.attrs["dask_igtm"]["complete"] is True
    assert stored(tmp_path / "map.zarr", "node", 0).exists()


def test_what_was_not_written_is_not_certified(tmp_path, monkeypatch):
    igtm, X, path = half_done(tmp_path, (0, 1))
    write = to_zarr.write_rows

    def losing(first_row, *args):
        if first_row != 150:
            write(first_row, *args)

    monkeypatch.setattr(to_zarr, "write_rows", losing)
    with pytest.raises(FileNotFoundError, match=r"1 of 8 parts .*every worker sees, and call again"):
        igtm.project_to_zarr(X, path, WRITTEN)
    assert zarr.open_group(path, mode="r").attrs["dask_igtm"]["complete"] is False
    monkeypatch.undo()
    assert igtm.project_to_zarr(X, path, WRITTEN).attrs["dask_igtm"]["complete"] is True


@pytest.mark.parametrize("complete", [True, False])
def test_another_array_in_the_place_of_an_output_is_refused(tmp_path, complete):
    igtm, X, path = half_done(tmp_path, range(PARTS))
    if complete:
        igtm.project_to_zarr(X, path, WRITTEN)
    shutil.rmtree(path / "means")
    zarr.create_array(path / "means", data=np.zeros((400, 2)), chunks=(400, 2))
    with pytest.raises(ValueError, match=r"means is no array of shape \(400, 2\)"):
        igtm.project_to_zarr(X, path, WRITTEN)
    assert_array_equal(zarr.open_array(path / "means")[:], 0)


# Which rows are known again


@pytest.mark.parametrize("first", [0, 700, 3000, 3900])
def test_other_rows_in_any_stretch_are_refused(igtm, path, tmp_path, first):
    igtm.project_to_zarr(lazy(path), tmp_path / "map.zarr")
    other = X.copy()
    other[first : first + 300] *= 1.5
    with pytest.raises(ValueError, match="projection of other data: rows"):
        igtm.project_to_zarr(da.from_array(other, chunks=(100, 5)), tmp_path / "map.zarr")


def test_rows_of_parts_that_are_missing_may_have_changed(tmp_path):
    igtm, X, path = half_done(tmp_path, (0, 1, 5))
    mended = X.compute()
    mended[100:150] += 1
    group = igtm.project_to_zarr(da.from_array(mended, chunks=(50, 3)), path, WRITTEN)
    assert_allclose(group["means"][:], igtm.transform(mended), rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="rows 100:150 of X"):
        igtm.project_to_zarr(X, path, WRITTEN)


# Several runs at one path


@pytest.fixture
def other():
    """A map of the same nodes as `igtm`, so that its projections have the same shapes."""
    return IGTM(k=6, m=3, niter=2).fit(X)


def assert_whole(path, igtm, data=X):
    group = zarr.open_group(path, mode="r")
    assert group.attrs["dask_igtm"]["complete"] is True
    assert_allclose(group["means"][:], igtm.transform(data), atol=1e-12)


def once(action):
    left = [action]
    return lambda: left.pop()() if left else None


def before(monkeypatch, step, action):
    """Let something happen just before a step of the first run that comes to it."""
    module = parts if hasattr(parts, step) else to_zarr
    real = getattr(module, step)

    def after_that(*args, **kwargs):
        happen()
        return real(*args, **kwargs)

    happen = once(action)
    monkeypatch.setattr(module, step, after_that)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("where", ["", "memory://races/"])
def test_another_map_that_is_first_keeps_the_path(igtm, other, tmp_path, monkeypatch, zarr_format, where):
    path = f"{where or tmp_path}/first-{zarr_format}.zarr"
    before(monkeypatch, "claim", lambda: other.project_to_zarr(X, path))
    with (
        zarr.config.set({"default_zarr_format": zarr_format}),
        pytest.raises(ValueError, match="another one: model was"),
    ):
        igtm.project_to_zarr(X, path)
    assert_whole(path, other)


def test_the_same_projection_that_is_first_is_gone_on_with(igtm, tmp_path, monkeypatch):
    path = tmp_path / "map.zarr"
    before(monkeypatch, "claim", lambda: igtm.project_to_zarr(X, path))
    assert igtm.project_to_zarr(X, path).attrs["dask_igtm"]["complete"] is True
    assert_whole(path, igtm)


def test_resume_false_refuses_a_run_that_is_first(igtm, tmp_path, monkeypatch):
    path = tmp_path / "map.zarr"
    before(monkeypatch, "claim", lambda: igtm.project_to_zarr(X, path))
    with pytest.raises(FileExistsError, match="resume=True"):
        igtm.project_to_zarr(X, path, resume=False)


def test_a_run_that_is_overtaken_stops(igtm, path, tmp_path):
    target = tmp_path / "map.zarr"
    overtake = once(lambda: igtm.project_to_zarr(lazy(path), target))
    slow, reads = watching(lazy(path), lambda number: len(reads) > 25 and overtake())
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(FileExistsError, match="Another run has begun"),
    ):
        igtm.project_to_zarr(slow, target)
    assert len(reads) == 26  # and does not read on
    assert_whole(target, igtm)


@pytest.mark.parametrize("step", ["create", "_certify"])
def test_a_run_that_is_overtaken_at_either_end_stops(igtm, tmp_path, monkeypatch, step):
    path = tmp_path / "map.zarr"
    before(monkeypatch, step, lambda: igtm.project_to_zarr(X, path))
    with pytest.raises(FileExistsError, match="Another run"):
        igtm.project_to_zarr(X, path)
    assert_whole(path, igtm)


def test_a_projection_that_was_removed_and_begun_by_another_map_is_left_alone(igtm, other, path, tmp_path):
    def replaced():
        shutil.rmtree(target)
        other.project_to_zarr(lazy(path), target)

    target, replace = tmp_path / "map.zarr", once(replaced)
    slow, reads = watching(lazy(path), lambda number: len(reads) > 25 and replace())
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(FileExistsError, match="Another run has begun"),
    ):
        igtm.project_to_zarr(slow, target)
    assert_whole(target, other)


@pytest.mark.parametrize("step", ["claim", "create", "_certify"])
def test_what_is_killed_at_any_step_goes_on(igtm, tmp_path, monkeypatch, step):
    def killed():
        raise KeyboardInterrupt

    before(monkeypatch, step, killed)
    with pytest.raises(KeyboardInterrupt):
        igtm.project_to_zarr(X, tmp_path / "map.zarr")
    igtm.project_to_zarr(X, tmp_path / "map.zarr")
    assert_whole(tmp_path / "map.zarr", igtm)


RUN = """
import pathlib, sys, time
import dask, numpy, zarr
from dask_igtm import load
model, data, folder, me, you = sys.argv[1:]
igtm, folder = load(model), pathlib.Path(folder)
for number in range(6):
    (folder / f"{me}{number}").touch()
    while not (folder / f"{you}{number}").exists():
        time.sleep(0.001)
    try:
        igtm.project_to_zarr(data, folder / f"{number}.zarr", ("means",))
        print("done")
    except (ValueError, FileExistsError) as error:
        print(str(error).replace("\\n", " "))
"""


@pytest.mark.slow
@pytest.mark.parametrize("maps", ["two", "one"])
def test_two_processes_at_one_path(igtm, other, path, tmp_path, maps):
    igtm.save(tmp_path / "a.npz")
    (other if maps == "two" else igtm).save(tmp_path / "b.npz")
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, tmp_path / f"{me}.npz", path, tmp_path, me, you],
            stdout=subprocess.PIPE,
            text=True,
        )
        for me, you in ("ab", "ba")
    ]
    said = [run.communicate(timeout=120)[0].splitlines() for run in runs]
    for number in range(6):
        outcomes = [lines[number] for lines in said]
        assert "done" in outcomes
        for line in {*outcomes} - {"done"}:
            assert re.search("is another one: model was" if maps == "two" else "Another run has begun", line)
        assert_whole(tmp_path / f"{number}.zarr", igtm if maps == "one" or outcomes[0] == "done" else other)
