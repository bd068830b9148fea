"""Saved estimators come back with the same bits."""

import pickle

import numpy as np
import pytest
from helpers.data import correlated
from sklearn.datasets import load_iris

from dask_igtm import IGTM, load

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


class Mine(IGTM):
    """A class of somebody else."""


def test_a_class_of_somebody_else_comes_back_as_the_one_that_it_extends(tmp_path):
    mine = Mine(k=5, m=3, niter=3).fit(X)
    mine.save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert type(back) is IGTM
    assert back.transform(X).tobytes() == mine.transform(X).tobytes()
