"""Saved estimators come back with the same bits, without pickle."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest
from helpers.data import correlated
from sklearn.datasets import load_iris

from dask_igtm import IGTM, load
from dask_igtm.data import npz_io

X = correlated(300, 5)


@pytest.mark.parametrize("scale", [None, "standard"])
def test_a_saved_estimator_comes_back(tmp_path, scale):
    igtm = IGTM(k=6, niter=7, scale=scale, model="modes").fit(X)
    igtm.save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert back.get_params() == igtm.get_params()
    for name in ("nodes_", "centers_", "weights_", "noise_variance_", "scale_", "history_"):
        assert getattr(back, name).tobytes() == getattr(igtm, name).tobytes()
    for name in ("beta_inv_", "n_iter_", "n_passes_", "converged_", "log_likelihood_", "n_features_in_"):
        assert getattr(back, name) == getattr(igtm, name)
    assert back.transform(X).tobytes() == igtm.transform(X).tobytes()
    assert back.score_samples(X).tobytes() == igtm.score_samples(X).tobytes()


def test_column_names_come_back(tmp_path):
    frame = load_iris(as_frame=True).data
    IGTM(k=4, niter=2).fit(frame).save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert back.feature_names_in_.tolist() == frame.columns.tolist()
    with pytest.raises(ValueError, match="feature names"):
        back.transform(frame[frame.columns[::-1]])


def test_numpy_parameters_are_saved(tmp_path):
    IGTM(k=np.int64(4), regul=np.float64(0.1), niter=2).fit(X).save(tmp_path / "model")
    assert load(tmp_path / "model").k == 4


def test_what_json_cannot_hold_is_refused_and_nothing_is_left(tmp_path):
    igtm = IGTM(k=4, niter=2, random_state=np.random.RandomState(0)).fit(X)
    with pytest.raises(TypeError, match="cannot be saved"):
        igtm.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_pickle_is_small_and_free_of_data():
    wide = correlated(20000, 50)
    assert len(pickle.dumps(IGTM(niter=2).fit(wide))) < 150_000


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
