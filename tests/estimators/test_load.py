"""Files of others, and of later releases, are refused."""

import json
import pickle

import numpy as np
import pytest
from helpers.data import correlated

from dask_igtm import IGTM, load
from dask_igtm.data import npz_io

X = correlated(300, 5)


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", header=np.array(json.dumps({"format": "something else"})))
    (tmp_path / "x.pickle").write_bytes(pickle.dumps(X))
    for name in ("x.npy", "x.npz", "x.pickle"):
        with pytest.raises(ValueError, match="saved by dask_igtm"):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")


def test_a_newer_format_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_io, "FORMAT_VERSION", 2)
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"format 2.*upgrade dask_igtm"):
        load(tmp_path / "model")
