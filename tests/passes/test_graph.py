"""Blocks that are prepared once and read in every pass, and errors that name their rows."""

import pickle

import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from helpers.errors import assert_says, raised

from dask_igtm import IGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.passes.graph import Parcel, prepare

N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.mark.parametrize("kind", [OSError, KeyError, ZeroDivisionError])
@pytest.mark.parametrize("call", ["fit", "fit_transform", "score", "transform_blocks"])
def test_an_error_inside_a_block_surfaces_with_its_type_and_row_range(fitted, X, kind, call):
    def broken(block, block_id):
        if block_id[0] == 2:
            raise kind("the disk is gone")
        return block

    rows = lazy(X).map_blocks(broken, dtype=float, meta=np.empty((0, 0)))
    method = getattr(igtm() if call.startswith("fit") else fitted, call)
    if call == "transform_blocks":
        message = raised(kind, lambda: list(method(rows)))
    else:
        message = raised(kind, method, rows)
    assert_says(message, "the disk is gone", "rows 200:300")


def test_an_error_of_a_damaged_chunk_surfaces_with_its_row_range(fitted, X, tmp_path):
    rows = zarr.create_array(tmp_path / "rows.zarr", data=X, chunks=(100, 5))
    (tmp_path / "rows.zarr" / "c" / "2" / "0").write_bytes(b"damaged")
    generator = fitted.transform_blocks(rows, block_size=100)
    for _ in range(2):
        next(generator)
    assert_says(raised(Exception, next, generator), "rows 200:300")
    assert_says(raised(Exception, igtm().fit, rows), r"rows \d+:300")


ROWS = correlated(300, 5)


def test_data_in_memory_are_not_copied():
    rows = row_blocks(ROWS, n_blocks=3)
    _, (held, *_) = next(prepare(rows).folds[0].blocks.read({}))
    assert np.shares_memory(held, ROWS)


@pytest.mark.parametrize("persist", [True, "auto"])
def test_persisted_blocks_are_computed_once(persist, caplog):
    computed = []
    lazy = da.from_array(ROWS, chunks=(100, -1)).map_blocks(
        lambda rows: (computed.append(len(rows)), rows)[1], dtype=float, meta=np.empty((0, 0))
    )
    weight = da.ones(300, chunks=60)
    with caplog.at_level("INFO", "dask_igtm"):
        kept = IGTM(k=4, m=2, niter=3, persist=persist).fit(lazy, sample_weight=weight)
    assert "keeping the blocks" in caplog.text
    assert computed == [100] * 3
    read = IGTM(k=4, m=2, niter=3, persist=False).fit(lazy, sample_weight=weight)
    assert kept.centers_.tobytes() == read.centers_.tobytes()


class Counted:
    """Something that counts how often it is pickled, and unpickled."""

    pickled = unpickled = 0

    def __getstate__(self):
        Counted.pickled += 1
        return {"value": 1}

    def __setstate__(self, state):
        Counted.unpickled += 1


def test_what_every_pass_sends_is_pickled_once_and_unpickled_where_it_is_used():
    parcel = Parcel((Counted(),))
    sent = [pickle.loads(pickle.dumps(parcel)) for _ in range(3)]
    sent = [pickle.loads(pickle.dumps(one)) for one in sent]
    assert (Counted.pickled, Counted.unpickled) == (1, 0)
    assert isinstance(sent[0].open()[0], Counted)
    assert Counted.unpickled == 1
