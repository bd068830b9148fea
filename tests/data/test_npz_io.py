"""Files without pickle: whole, or refused."""

import os
import zipfile

import pytest
from helpers.data import correlated

from dask_igtm import IGTM, load

X = correlated(300, 5)


def test_a_file_holds_no_pickle(tmp_path):
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    with zipfile.ZipFile(tmp_path / "model") as file:
        assert not any(b"|O" in file.read(name)[:128] for name in file.namelist())


def test_an_interrupted_save_leaves_the_old_file(tmp_path, monkeypatch):
    igtm = IGTM(k=4, niter=2).fit(X)
    igtm.save(tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        igtm.save(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == before


@pytest.mark.parametrize("keep", [0, 10, 1000, -10])
def test_a_truncated_file_is_refused(tmp_path, keep):
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    (tmp_path / "model").write_bytes((tmp_path / "model").read_bytes()[:keep])
    with pytest.raises(ValueError, match="not a file saved by dask_igtm, or is damaged"):
        load(tmp_path / "model")
