"""A fit of which every attribute and every result is finite and what it should be."""

import warnings

import numpy as np
from numpy.testing import assert_allclose


def sound_fit(estimator, X, **kwargs):
    """Fit, hold that all is sound, and return the estimator; a map that says that it collapses is sound."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(collapse|column means)", UserWarning)
        estimator.fit(X, **kwargs)
    # What is narrower than float64 is multiplied in float32.
    assert_sound(estimator, np.asarray(X, float), 1e-9 if np.asarray(X).dtype == float else 1e-5)
    return estimator


def assert_sound(estimator, X, precision=1e-9):
    """Hold that no attribute and no result is NaN or infinite, and that results are what they should be."""
    for name in (
        "centers_",
        "weights_",
        "nodes_",
        "noise_variance_",
        "scale_",
        "history_",
        "log_likelihood_",
    ):
        assert np.isfinite(getattr(estimator, name)).all(), name
    assert np.isfinite(estimator.beta_inv_)
    assert estimator.beta_inv_ > 0
    assert (estimator.noise_variance_ > 0).all()
    assert np.count_nonzero(estimator.history_shares_ == 1) == estimator.n_iter_
    result = estimator.set_params(model="complete").transform(X)
    for name in ("matMeans", "matModes", "matR", "matP"):
        assert np.isfinite(getattr(result, name)).all(), name
    assert_allclose(result.matR.sum(axis=1), 1)
    assert np.abs(result.matMeans).max() <= 1 + 1e-12
    assert np.isfinite(estimator.inverse_transform(result.matR)).all()
    assert np.isfinite(estimator.score_samples(X)).all()
    assert_allclose(estimator.score(X), estimator.log_likelihood_, rtol=precision)
    far = np.abs(X).max() * 1e6 + X
    assert np.isfinite(estimator.transform(far).matMeans).all()
