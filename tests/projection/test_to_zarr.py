"""Projections to Zarr: whole chunks, gone on with where they were cut, never taken for something else."""

import logging
import shutil

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, load
from dask_igtm.passes import graph
from dask_igtm.projection import to_zarr

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
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = lazy(path).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    group = igtm.project_to_zarr(watched, tmp_path / "map.zarr", OUTPUTS)
    assert sorted(reads) == [100] * 40
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
    reads = []

    def seen(block, block_id):
        reads.append(block_id[0])
        return block

    watched = lazy(path).map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    cut_after(monkeypatch, 15, OSError("cut"))
    with dask.config.set(scheduler="synchronous"), pytest.raises(OSError, match="cut"):
        igtm.project_to_zarr(watched, tmp_path / "map.zarr")
    monkeypatch.undo()
    done = set(reads[:15])
    reads.clear()
    igtm.project_to_zarr(watched, tmp_path / "map.zarr")
    assert len(reads) == 26  # one of those that are there is compared
    assert len(set(reads) & done) == 1
    reads.clear()
    igtm.project_to_zarr(watched, tmp_path / "map.zarr")
    assert len(reads) == 1


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
    for target in ("x.zarr", "file", "folder", "group.zarr"):
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
    reads = []

    def seen(block):
        reads.append(len(block))
        return block

    watched = lazy.map_blocks(seen, dtype=float, meta=np.empty((0, 0)))
    assert_array_equal(fitted.project_to_zarr(watched, path, ("means", output))[output][:], whole)
    assert len(reads) == 4  # three that were missing, and one to compare


def test_another_top_is_another_projection(fitted, tmp_path):
    fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("top_nodes",), top=3)
    with pytest.raises(ValueError, match="another one: top was 3 and is 5"):
        fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("top_nodes",))
    fitted.project_to_zarr(ROWS, tmp_path / "means.zarr", ("means",), top=3)
    fitted.project_to_zarr(ROWS, tmp_path / "means.zarr", ("means",))  # of which top says nothing


def test_other_rows_are_told_apart_by_indices(fitted, tmp_path):
    fitted.project_to_zarr(ROWS, tmp_path / "map.zarr", ("node",))
    with pytest.raises(ValueError, match=r"other node of rows .* projection of other data"):
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


@pytest.mark.parametrize("outputs", [("means",), ("means", "responsibilities", "log_likelihood")])
def test_a_wide_table_has_lower_parts_than_a_narrow_one(tmp_path, monkeypatch, outputs):
    narrow, middle, wide = (height(tmp_path, monkeypatch, rows(n), outputs) for n in (4, 40, 120))
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
def test_finished_parts_but_the_first_are_not_read(tmp_path, finished):
    """All others hold what cannot be read, and the missing ones are written all the same."""
    igtm, X, path = half_done(tmp_path, finished)
    for part in finished[1:]:
        for output in WRITTEN:
            stored(path, output, part).write_bytes(b"garbage")
    group = igtm.project_to_zarr(X, path, WRITTEN)
    assert group.attrs["dask_igtm"]["complete"] is True
    means = igtm.transform(X).compute()
    for part in set(range(PARTS)) - set(finished[1:]):
        rows = slice(50 * part, 50 * part + 50)
        np.testing.assert_allclose(group["means"][rows], means[rows], rtol=1e-9, atol=1e-12)
        assert not np.isnan(group["log_likelihood"][rows]).any()
    for part in finished[1:]:
        assert all(stored(path, output, part).read_bytes() == b"garbage" for output in WRITTEN)


def test_of_the_first_one_only_the_last_output_is_read(tmp_path):
    """Which is enough to tell other rows from these."""
    igtm, X, path = half_done(tmp_path, (2, 3))
    for output in WRITTEN[:-1]:
        stored(path, output, 2).write_bytes(b"garbage")
    assert igtm.project_to_zarr(X, path, WRITTEN).attrs["dask_igtm"]["complete"] is True


def test_other_rows_are_still_told_from_these(tmp_path):
    igtm, X, path = half_done(tmp_path, (2, 3))
    with pytest.raises(ValueError, match=r"other log_likelihood of rows 100:150"):
        igtm.project_to_zarr(X + 0.1, path, WRITTEN)


@pytest.mark.parametrize("finished", [(0, 1, 2, 5), (2, 3, 7)])
def test_chunks_that_are_read_are_few(tmp_path, monkeypatch, finished):
    igtm, X, path = half_done(tmp_path, finished)
    real, read = zarr.Array.__getitem__, []

    def counting(self, selection):
        rows = real(self, selection)
        read.append((self.basename, len(rows)))
        return rows

    monkeypatch.setattr(zarr.Array, "__getitem__", counting)
    igtm.project_to_zarr(X, path, WRITTEN)
    assert read == [("log_likelihood", 50)]


def test_a_url_that_ends_with_a_slash_is_gone_on_with():
    X = np.random.default_rng(0).normal(size=(100, 3))
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    igtm.project_to_zarr(X, "memory://ends/with/slash/")
    with pytest.raises(ValueError, match="other log_likelihood"):
        igtm.project_to_zarr(X + 1, "memory://ends/with/slash/")
    assert igtm.project_to_zarr(X, "memory://ends/with/slash").attrs["dask_igtm"]["complete"]
