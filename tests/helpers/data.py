"""Data sets that several tests share."""

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
    make_swiss_roll,
)
from sklearn.preprocessing import StandardScaler


def reference_sets():
    """The sets on which the package is held against ugtm: raw where that is sound, else standardised."""
    return {
        "digits": load_digits().data,
        "swiss roll": make_swiss_roll(1500, random_state=0)[0],
        "iris": load_iris().data,
        "diabetes": load_diabetes().data,
        "wine": StandardScaler().fit_transform(load_wine().data),
        "breast cancer": StandardScaler().fit_transform(load_breast_cancer().data),
    }


def correlated(n_rows, n_columns, seed=0):
    """Gaussian rows whose leading eigenvalues are well apart, off the origin."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(n_columns, n_columns)))[0]
    return rng.normal(size=(n_rows, n_columns)) * 2.0 ** -np.arange(n_columns) @ axes + 1.0


def holed(X, share=0.3, seed=0):
    """Return rows of which a share of the entries is missing."""
    X = np.array(X, float)
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    return X
