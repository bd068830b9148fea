"""Saved estimators come back with the same bits."""

import pickle

import numpy as np
import pytest
from helpers.data import correlated
from helpers.rewritten import rewritten
from sklearn.datasets import load_iris

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, load
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


class Mine(IGTM):
    """A class of somebody else."""


def test_a_class_of_somebody_else_comes_back_as_the_one_that_it_extends(tmp_path):
    mine = Mine(k=5, m=3, niter=3).fit(X)
    mine.save(tmp_path / "model")
    back = load(tmp_path / "model")
    assert type(back) is IGTM
    assert back.transform(X).tobytes() == mine.transform(X).tobytes()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda header: header["fitted"].update(transform={"a": 1}), "tells .*'transform' of the fit"),
        (lambda header: header["fitted"].pop("kernel_"), "of the fit, and not n_iter_, n_passes_"),
        (lambda header: header["fitted"].update(n_iter_=-1), "cannot have n_iter_ -1"),
        (lambda header: header["fitted"].update(n_iter_=True), "cannot have n_iter_ True"),
        (
            lambda header: header["fitted"].update(log_likelihood_="high"),
            "cannot have log_likelihood_ 'high'",
        ),
        (lambda header: header["fitted"].update(n_features_in_=7), "n_features_in_ 7 for 5 columns"),
        (lambda header: header["fitted"].update(n_samples_seen_=10**400), "OverflowError"),
        (lambda header: header.pop("fitted"), "KeyError 'fitted'"),
        (lambda header: header["parameters"].update(fit=1), "IGTM has no parameters 'fit'"),
        (lambda header: header["parameters"].update(k=[4]), "k of the parameters are no scalars"),
    ],
)
def test_a_header_sets_what_a_fit_has_and_nothing_else(tmp_path, change, reason):
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    with pytest.raises(ValueError, match=rf"model' is not a file saved .*damaged: .*{reason}"):
        load(rewritten(tmp_path / "model", npz_io.MODEL, change))


def test_a_class_that_is_none_is_refused(tmp_path):
    IGTM(k=4, niter=2).fit(X).save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"holds a \['IGTM'\], which this release does not know"):
        load(rewritten(tmp_path / "model", npz_io.MODEL, lambda header: header.update({"class": ["IGTM"]})))


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        (
            IGTMClassifier,
            lambda header: header["landscape"].update(kind="compare"),
            "none of classes on the nodes",
        ),
        (IGTMClassifier, lambda header: header["landscape"].update(kind="birds"), "kind is 'birds'"),
        (IGTMClassifier, lambda header: header["predictor"].update(dtype="<i1"), "not of dtype int8"),
        (
            IGTMRegressor,
            lambda header: header["landscape"].update(kind="classes"),
            "none of property on the nodes",
        ),
    ],
)
def test_a_predictor_has_the_landscape_that_it_needs(tmp_path, kind, change, reason):
    kind(k=4, niter=2).fit(X, 1000 * (X[:, 0] > 0)).save(tmp_path / "model")
    with pytest.raises(ValueError, match=reason):
        load(rewritten(tmp_path / "model", npz_io.MODEL, change))


def test_labels_keep_their_type(tmp_path):
    for y in (np.arange(300, dtype=np.int16) % 3, np.arange(300) % 3 == 0, np.array(["a", "bcd", "e"] * 100)):
        classifier = IGTMClassifier(k=4, niter=2).fit(X, y)
        classifier.save(tmp_path / "model")
        back = load(tmp_path / "model")
        assert back.classes_.dtype == classifier.classes_.dtype
        assert back.classes_.tolist() == classifier.classes_.tolist()


def test_a_stream_of_another_shape_is_refused(tmp_path):
    IGTM(k=4).partial_fit(X).save(tmp_path / "model")

    def change(arrays):
        arrays["stream_g"] = arrays["stream_g"][1:]

    with pytest.raises(ValueError, match=r"stream_g has shape \(15,\), and \(16\) is expected"):
        load(rewritten(tmp_path / "model", npz_io.MODEL, arrays=change))
