"""Rows of each family of noise on one bent sheet, and how these are asked for."""

import numpy as np

FAMILIES = {
    "diagonal": {"noise": "diagonal"},
    "bernoulli": {"noise": "bernoulli"},
    "poisson": {"noise": "poisson"},
    "total": {"noise": "poisson", "exposure": "total"},
}
WHOLE = ["bernoulli", "poisson", "total"]


def rows_of(family, n_rows=300, n_columns=10, seed=0):
    """Return rows of a family; of two seeds they lie on the same sheet."""
    sheet, rng = np.random.default_rng(1), np.random.default_rng(seed)
    z = rng.uniform(-1, 1, (n_rows, 2))
    first, second = sheet.normal(size=(2, 2, n_columns))
    theta = 1.5 * z @ first + np.sin(3 * z @ second) - 0.3
    if family == "diagonal":
        return theta + rng.normal(size=theta.shape) * np.linspace(0.1, 2.0, n_columns)
    if family == "bernoulli":
        return (rng.random(theta.shape) < 1 / (1 + np.exp(-theta))).astype(float)
    rates = np.exp(theta)
    if family == "total":  # of rows that are longer and shorter
        rates *= rng.gamma(5.0, 0.4, (n_rows, 1))
    return rng.poisson(rates).astype(float)
