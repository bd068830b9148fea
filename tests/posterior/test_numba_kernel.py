"""The compiled kernel: its exponential, its layout, and its machine code where none can be kept."""

import dataclasses
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from helpers.geometries import geometry_of_logits, random_geometry
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.posterior.numba_kernel import NumbaKernel, by_place

DTYPES = [np.float64, np.float32]


@pytest.mark.parametrize("dtype", DTYPES)
def test_its_exponential_is_within_a_few_roundings(dtype):
    eps, n = np.finfo(dtype).eps, NumbaKernel.side_by_side(dtype)
    lowest = np.log(eps / 144)
    logits = np.linspace(0, lowest + 1e-2, n * 143).reshape(n, 143)
    geometry, t = geometry_of_logits(np.column_stack([np.zeros(n), logits]).astype(dtype))
    _, R, _ = NumbaKernel(geometry, n).softmax(t.copy())
    found = R[0].T[:, 1:].astype(float) / R[0].T[:, :1]
    given = t[:, 1:-1].astype(np.longdouble)
    expected = np.exp(given).astype(float)
    # The change to bits rounds a logit, and the exponential makes that relative.
    assert (np.abs(found / expected - 1) <= 16 * eps + eps * np.abs(given)).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_lie_side_by_side_in_groups(dtype):
    geometry, n = random_geometry(5, 3, dtype, np.random.default_rng(0)), NumbaKernel.side_by_side(dtype)
    t = np.random.default_rng(1).normal(size=(3 * n, 10)).astype(dtype)
    kernel = NumbaKernel(geometry, 3 * n)
    _, R, order = kernel.softmax(t)
    R = R.copy()
    assert R.shape == (3, 25, n)
    assert R.dtype == dtype
    assert order is None
    for group in range(3):
        assert_array_equal(kernel.softmax(t[group * n : (group + 1) * n])[1][0], R[group])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_a_map_with_cells_lie_in_their_order(dtype):
    geometry, n = random_geometry(5, 3, dtype, np.random.default_rng(0)), NumbaKernel.side_by_side(dtype)
    t = 10 * np.random.default_rng(1).normal(size=(3 * n, 10)).astype(dtype)
    weight = np.random.default_rng(2).random(3 * n).astype(dtype)
    with_cells = dataclasses.replace(geometry, cells=np.array([6, 8, 16, 18]))
    one, other = NumbaKernel(geometry, 3 * n), NumbaKernel(with_cells, 3 * n)
    (found, R, _), (as_found, ordered, order) = one.softmax(t.copy()), other.softmax(t.copy())
    by_row = np.empty((3 * n, 25), dtype)
    by_row[order] = ordered.swapaxes(1, 2).reshape(-1, 25)
    assert_array_equal(by_row, R.swapaxes(1, 2).reshape(-1, 25))
    assert_array_equal(as_found, found)
    cell = (t @ geometry.functions[[6, 8, 16, 18]].T - geometry.half_squares[[6, 8, 16, 18]]).argmax(axis=1)
    assert_array_equal(order, np.argsort(cell, kind="stable"))
    (_, v, g, _), (_, as_v, as_g, _) = one.sums(t.copy(), weight), other.sums(t.copy(), weight)
    assert_array_equal(as_v, v)
    assert_allclose(as_g, g, rtol=1e-5 if dtype is np.float32 else 1e-13)


def test_rows_keep_their_order_where_they_are_at_one_place():
    near = np.random.default_rng(0).integers(0, 3, (500, 7)).astype(float)  # with many ties
    assert_array_equal(by_place(near), np.argsort(near.argmax(axis=1), kind="stable"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_share_its_code(dtype):
    geometry, n = random_geometry(6, 3, dtype, np.random.default_rng(0)), NumbaKernel.side_by_side(dtype)
    tiles = [np.random.default_rng(i).normal(size=(n, 10)).astype(dtype) for i in range(8)]
    weight, found = np.ones(n, dtype), [None] * 8

    def work(i):
        found[i] = [NumbaKernel(geometry, n).sums(tiles[i].copy(), weight)[1:3] for _ in range(5)]

    threads = [threading.Thread(target=work, args=[i]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for t, several in zip(tiles, found, strict=True):
        v, g = NumbaKernel(geometry, n).sums(t.copy(), weight)[1:3]
        for one in several:
            assert_array_equal(one[0], v)
            assert_array_equal(one[1], g)


def run(code, **environ):
    outside = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    path = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=outside | {"PYTHONPATH": path} | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    return run.stdout


@pytest.mark.slow
def test_code_from_the_disk_has_the_bits_of_code_compiled_here(tmp_path):
    code = """if True:
        import hashlib
        import numpy as np
        from helpers.geometries import random_geometry
        from dask_igtm.posterior.numba_kernel import NumbaKernel, sweep
        from dask_igtm.posterior.products import add_up, meet
        for dtype in np.float64, np.float32:
            geometry, n = random_geometry(16, 4, dtype, np.random.default_rng(0)), 256
            t = np.random.default_rng(1).normal(size=(n, 17)).astype(dtype)
            found, v, g, _ = NumbaKernel(geometry, n).sums(t, np.linspace(0, 1, n, dtype=dtype))
            Z, slopes = (np.random.default_rng(2).normal(size=(m, 301)).astype(dtype) for m in (n, 17))
            meet(Z, slopes, t)
            for values in (*found, v, g, t, add_up(v, Z)):
                print(hashlib.sha256(np.asarray(values).tobytes()).hexdigest())
        print(*[sum(entry.stats.cache_hits.values()) for entry in (sweep, meet, add_up)])
    """
    *compiled, hits = run(code, NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    assert hits == "0 0 0"
    *read, hits = run(code, NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    assert hits == "2 2 2"
    assert read == compiled


def test_it_works_where_no_machine_code_can_be_kept(tmp_path):
    code = """if True:
        import tempfile
        def refuse(*args, **kwargs):
            raise PermissionError("read-only")
        kept, tempfile.TemporaryFile = tempfile.TemporaryFile, refuse  # by which numba finds out
        import numpy as np
        from dask_igtm.posterior.reading import totals  # which compiles sooner than the sweep
        R = np.tile([[[0.1], [0.2], [0.3], [0.4]]], (1, 1, 128))
        print(*totals(np.full((1, 1, 128), 1 / 128), R)[:, 0], totals.stats.cache_path)
    """
    *R, place = run(code, HOME=str(tmp_path)).split()
    assert_allclose(np.array(R, float), [0.1, 0.2, 0.3, 0.4])
    assert place == "None"


@pytest.mark.parametrize("place", ["full", "damaged", "of another user"])
def test_a_disk_that_keeps_no_machine_code_ends_no_fit(place, tmp_path):
    code = f"""if True:
        import pathlib
        import numba.core.caching as caching
        def full(*_):
            raise OSError(28, "No space left on device")
        def forbidden(*_):
            raise PermissionError(13, "Permission denied")
        if {place!r} == "full":
            caching.IndexDataCacheFile._open_for_write = full
        if {place!r} == "of another user":
            caching.IndexDataCacheFile._load_index = forbidden
        for file in pathlib.Path({str(tmp_path)!r}).rglob("*.nbi"):
            file.write_bytes(b"")
        import numpy as np
        from dask_igtm.posterior.reading import totals  # which compiles sooner than the sweep
        R = np.tile([[[0.1], [0.2], [0.3], [0.4]]], (1, 1, 128))
        print(*totals(np.full((1, 1, 128), 1 / 128), R)[:, 0])
    """
    for _ in range(2 if place == "damaged" else 1):
        R = run(code, NUMBA_CACHE_DIR=str(tmp_path)).split()
        assert_allclose(np.array(R, float), [0.1, 0.2, 0.3, 0.4])


def test_who_has_no_home_gets_no_folder_called_so(tmp_path):
    code = f"""if True:
        import os, pwd, tempfile
        os.chdir({str(tmp_path)!r})
        del os.environ["HOME"]
        def unknown(_):
            raise KeyError
        pwd.getpwuid = unknown  # a user of a container's, as by docker run --user
        keep = tempfile.TemporaryFile
        def refuse(*args, dir, **kwargs):
            if "__pycache__" in dir:
                raise PermissionError("of another user")
            return keep(*args, dir=dir, **kwargs)
        tempfile.TemporaryFile = refuse
        from dask_igtm.posterior.reading import totals  # which compiles sooner than the sweep
        print(totals.stats.cache_path)
    """
    assert run(code, HOME="").split() == ["None"]
    assert not any(tmp_path.iterdir())
