"""An output that would come to be where its own input is, is refused before anything is done."""

import os

import numpy as np
import pytest
import zarr
from helpers.data import correlated

from dask_igtm import IGTM, IGTMClassifier, IGTMSearch, convert, load, open_table, report, saturation
from dask_igtm.data.own_inputs import refuse_own_input

X = correlated(200, 3)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    zarr.create_array("data/x.zarr", data=X, chunks=(100, 3))
    np.save("data/a.npy", X)
    os.symlink("data", "link")
    return tmp_path


REFUSED = [
    ("data/x.zarr", "data/x.zarr"),
    ("data/x.zarr/", "data/x.zarr"),
    ("data/../data/x.zarr/y.zarr", "data/x.zarr"),
    ("data", "data/x.zarr"),
    ("link/x.zarr/y.zarr", "data/x.zarr"),
    ("data/x.zarr", "link/x.zarr"),
    ("data/part-9.csv", "data/part-*.csv"),
    ("data/part-9.parquet/y.zarr", "link/part-*.parquet"),
    ("s3://bucket/x.zarr/y", "s3://bucket/x.zarr/"),
]


@pytest.mark.parametrize(("output", "given"), REFUSED)
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_what_is_the_input_in_it_or_around_it_is_refused(output, given, scheme):
    output = scheme + os.path.abspath(output) if scheme and "://" not in output else output
    with pytest.raises(ValueError, match=r"is the input .* give another path"):
        refuse_own_input(output, None, given)


@pytest.mark.parametrize(
    ("output", "given"),
    [
        ("data/x.zarr2", "data/x.zarr"),
        ("data/y.zarr", "data/x.zarr"),
        ("data/map.csv", "data/part-*.csv"),
        ("data/in/part-1.csv", "data/part-*.csv"),
        ("s3://bucket/x.zarr2", "s3://bucket/x.zarr"),
        ("data/y.zarr", X),
    ],
)
def test_what_is_beside_the_input_is_not(output, given):
    refuse_own_input(output, given)


def test_what_was_opened_from_a_path_is_known():
    igtm = IGTM(k=3, m=2, niter=1).fit(X)
    igtm.save("m.npz")
    stored = zarr.open_array("data/x.zarr", mode="r")
    for rows in ("data/x.zarr", stored):
        with pytest.raises(ValueError, match="is the input"):
            igtm.project_to_zarr(rows, "link/x.zarr/y.zarr")
        with pytest.raises(ValueError, match="is the input"):
            igtm.write_table(rows, "link/x.zarr/y.parquet", overwrite=True)
        with pytest.raises(ValueError, match="is the input"):
            report(load("m.npz"), rows, "link/x.zarr/r.html")
    igtm.write_table("data/x.zarr", "data/t.parquet")
    table = open_table("data/t.parquet", columns=["x1", "x2", "mode_x1"])
    with pytest.raises(ValueError, match="is the input"):
        igtm.write_table(table, "data/t.parquet", overwrite=True)
    with pytest.raises(ValueError, match="is the input"):
        convert("data/t.parquet", "data/t.parquet/x.zarr")
    np.testing.assert_array_equal(stored[:], X)


@pytest.mark.parametrize(
    "run",
    [
        lambda **kw: IGTM(k=4, m=2, niter=2).fit("data/x.zarr", **kw),
        lambda **kw: IGTMClassifier(k=4, m=2, niter=2).fit("data/x.zarr", X[:, 0] > 0, **kw),
        lambda **kw: IGTMSearch(IGTM(k=4, m=2, niter=2), {"regul": [0.1, 1.0]}).fit("data/x.zarr", **kw),
        lambda **kw: saturation(IGTM(k=4, m=2, niter=2), "data/x.zarr", shares=(0.5, 1.0), **kw),
    ],
    ids=["fit", "classifier", "search", "saturation"],
)
def test_a_checkpoint_is_none_of_its_rows(run, folder):
    with pytest.raises(ValueError, match=r"The output 'link/x\.zarr/fit\.npz' is the input 'data/x\.zarr'"):
        run(checkpoint="link/x.zarr/fit.npz")
    assert "fit.npz" not in os.listdir("data/x.zarr")
