"""Blocks that are not what their array says are refused in the first pass, and named by their rows."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from helpers.errors import assert_says, raised
from numpy.testing import assert_allclose
from scipy import sparse

from dask_igtm import IGTM, IGTMRegressor, landscape

X = correlated(300, 5)


def igtm():
    return IGTM(k=4, m=2, niter=2, scale="center")


FITTED = igtm().fit(X)
CALLS = {
    "fit": lambda rows, _: igtm().fit(rows),
    "score": lambda rows, _: FITTED.score(rows),
    "transform": lambda rows, _: FITTED.transform(rows).compute(),
    "transform_blocks": lambda rows, _: list(FITTED.transform_blocks(rows)),
    "project": lambda rows, folder: FITTED.project_to_zarr(rows, folder / "map.zarr"),
    "landscape": lambda rows, _: landscape.property(FITTED, rows, X[:, 0]),
    "partial_fit": lambda rows, _: igtm().partial_fit(rows),
}
SHAPE, DTYPE = r"shape .*and X says that it has \(100, 5\); mend", "and X says float64; mend"
OTHERS = {
    "narrower": (lambda block: block[:, :4], ValueError, r"\(100, 4\).*\(100, 5\)"),
    "wider": (lambda block: np.c_[block, block], ValueError, r"\(100, 10\).*\(100, 5\)"),
    "fewer rows": (lambda block: block[:50], ValueError, SHAPE),
    "more rows": (lambda block: np.r_[block, block], ValueError, SHAPE),
    "1-D": (lambda block: block[:, 0], ValueError, SHAPE),
    "3-D": (lambda block: block[..., None], ValueError, SHAPE),
    "sparse": (lambda block: sparse.csr_array(block[:, :4]), ValueError, SHAPE),
    "object": (lambda block: block.astype(object), TypeError, f"object.*{DTYPE}"),
    "complex": (lambda block: block + 1j, TypeError, f"complex128.*{DTYPE}"),
    "dates": (lambda block: block.astype("M8[s]"), TypeError, f"datetime64.*{DTYPE}"),
    "masked": (lambda block: np.ma.masked_greater(block, 1), TypeError, "mask would be lost.*da.ma.filled"),
    "frame": (pd.DataFrame, TypeError, "DataFrame and no array.*np.asarray"),
    "list": (lambda block: block.tolist(), TypeError, "list and no array.*np.asarray"),
    "nothing": (lambda block: None, TypeError, "NoneType and no array"),
}


def declared(function, rows=X):
    """Return a dask array that says that it has rows such as `rows`, whatever its second block is."""

    def make(block, block_id):
        return function(block) if block_id[0] == 1 else block

    return da.from_array(rows, chunks=(100, -1)).map_blocks(make, dtype=float, meta=np.empty((0, 0)))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_as_declared_is_refused_by_its_rows(name, call, tmp_path):
    function, kind, says = OTHERS[name]
    message = raised(kind, CALLS[call], declared(function), tmp_path)
    assert_says(message, f"A block of X .*{says}", "rows 100:200")


@pytest.mark.parametrize("persist", [True, False])
def test_all_blocks_narrower_alike_are_no_narrower_table(persist):
    rows = da.from_array(X, chunks=(100, -1)).map_blocks(lambda block: block[:, :4], meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=r"shape \(100, 4\), and X says that it has \(100, 5\)"):
        igtm().set_params(persist=persist).fit(rows)


def test_blocks_of_unknown_size_have_any_rows_and_the_columns_declared():
    rows = declared(lambda block: block)
    some = rows[rows[:, 0] > 1]
    assert igtm().fit(some).n_features_in_ == 5
    with pytest.raises(ValueError, match=r"has shape \(\d+, 4\)"):
        igtm().fit(some.map_blocks(lambda block: block[:, :4], meta=np.empty((0, 0))))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int64])
def test_any_real_numbers_will_do(dtype):
    rows = (10 * X).astype(dtype)
    lazy = declared(lambda block: block.astype(dtype), rows)
    assert_allclose(igtm().fit(lazy).centers_, igtm().fit(rows).centers_, atol=1e-3)


COMPANIONS = {
    "two columns": (lambda block: np.c_[block, block], ValueError, r"shape \(100, 2\).*\(100,\); mend"),
    "masked": (lambda block: np.ma.masked_greater(block, 1), TypeError, "mask would be lost"),
    "text": (lambda block: block.astype(str), TypeError, "float64; mend"),
    "complex": (lambda block: block + 1j, TypeError, "float64; mend"),
    "list": (lambda block: block.tolist(), TypeError, "list and no array"),
}


@pytest.mark.parametrize("name", COMPANIONS)
def test_weights_and_values_are_what_they_declare_too(name):
    function, kind, says = COMPANIONS[name]
    lazy = da.from_array(X, chunks=(100, -1))
    values = abs(lazy[:, 0]).map_blocks(function, chunks=(lazy.chunks[0],), dtype=float, meta=np.empty(0))
    for called, call in (
        ("sample_weight", lambda: igtm().fit(lazy, sample_weight=values)),
        ("sample_weight", lambda: FITTED.score(lazy, sample_weight=values)),
        ("y", lambda: landscape.property(FITTED, lazy, values)),
        ("y", lambda: IGTMRegressor(k=4, m=2, niter=2).fit(lazy, values)),
    ):
        assert_says(raised(kind, call), f"A block of {called} .*{says}", r"rows \d00:\d00")
