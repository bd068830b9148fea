"""What a map takes in memory, and maps that take too much."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated
from scipy import sparse

from dask_igtm import IGTM, IGTMClassifier
from dask_igtm.fitting import map_size

X = correlated(300, 5)
TOO_LARGE = [
    {"k": 100_000},
    {"m": 100_000},
    {"k": 2000, "m": 2000},
    {"k": 0, "m": 3000},
    {"k": 10**9, "m": 0},
]


@pytest.mark.parametrize("parameters", TOO_LARGE, ids=str)
@pytest.mark.parametrize("call", ["fit", "partial_fit", "estimate"])
def test_a_map_beyond_memory_is_refused_before_anything_is_made(parameters, call):
    with pytest.raises(
        ValueError, match=r"GB, and there are .* GB for this process; give at most k=\d+ and m="
    ):
        getattr(IGTM(**parameters), call)(X)


def test_lazy_rows_are_not_read_for_it():
    def refuse(block):
        raise AssertionError("a block was read")

    lazy = da.from_array(X, chunks=(100, 5)).map_blocks(refuse, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match="k=100000 and m=4"):
        IGTM(k=100_000).fit(lazy)
    with pytest.raises(ValueError, match="k=100000 and m=4"):
        IGTMClassifier(k=100_000).fit(X, np.arange(len(X)) % 2)


def test_columns_that_are_too_many_for_any_map():
    wide = sparse.csr_array((np.ones(2), ([0, 1], [0, 10**12 - 1])), shape=(2, 10**12))
    with pytest.raises(ValueError, match=r"1,000,000,000,000 columns.*give fewer columns"):
        IGTM().fit(wide)


def test_the_sides_that_are_told_would_do_and_longer_ones_would_not(monkeypatch):
    monkeypatch.setattr(map_size, "MEMORY_HERE", map_size.map_bytes(9, 2, 5))
    IGTM(k=9, m=2, niter=1).fit(X)
    with pytest.raises(ValueError, match="give at most k=9 and m=2"):
        IGTM(k=10, m=2, niter=1).fit(X)


def test_an_estimate_counts_the_map():
    held = [IGTM(k=k, niter=1).estimate(X).bytes_per_thread for k in (8, 40)]
    assert held[1] - held[0] == map_size.map_bytes(40, 4, 5) - map_size.map_bytes(8, 4, 5)


@pytest.mark.parametrize("name", ["k", "m", "niter", "n_blocks"])
def test_numbers_beyond_64_bits_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}=1{'0' * 30} is beyond"):
        IGTM(**{name: 10**30}).fit(X)
