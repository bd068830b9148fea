"""Maps of each noise that no fit has made, and rows that these draw."""

import dataclasses

import numpy as np
from helpers.maps import bent_map
from numpy.testing import assert_allclose
from oracles.dense_noise import dense_e_step

from dask_igtm.model.affine import Affine
from dask_igtm.model.gaps import REFUSED
from dask_igtm.noise.bernoulli import Bernoulli
from dask_igtm.noise.diagonal import Diagonal
from dask_igtm.noise.poisson import Poisson
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.statistics.e_step import e_step

NATURAL = {"bernoulli": Bernoulli(), "poisson": Poisson(), "total": Poisson("total", 20.0)}
NOISES = {"diagonal": Diagonal(), **NATURAL}
KERNELS = ["numpy", "numba"]


def map_of(name, k=6, m=3, n_columns=5, *, level=0.0, reach=1.0, s=1.0, seed=0, gaps=REFUSED):
    """Return a map of that noise, whose sheet bends by some `reach`; bits and counts lie around a level.

    Under "total" a row's rates add up to its sum.
    """
    bent = bent_map(k, m, s, 1.0, n_columns, seed, gaps)
    if name == "diagonal":
        variances = np.geomspace(0.01, 1.0, n_columns) * reach
        return dataclasses.replace(bent, beta_inv=variances, noise=NOISES[name])
    weights = reach * bent.weights
    weights[-1] += level if name != "total" else -np.log(n_columns)
    affine = Affine(np.zeros(n_columns), np.ones(n_columns))
    return dataclasses.replace(bent, affine=affine, weights=weights, noise=NOISES[name])


def rows_of(model, n_rows, seed=0, exposure=20.0):
    """Return rows that a map draws, in the user's units; exposures are around one, where rows have such."""
    rng = np.random.RandomState(seed)
    nodes = rng.randint(len(model.basis.nodes), size=n_rows)
    if model.noise.exposed:
        rates = model.means[nodes] * (exposure * rng.uniform(0.2, 2.0, n_rows))[:, None]
        return rng.poisson(rates).astype(float)
    return model.affine.inverse(model.noise.draw(model, nodes, rng))


def row_sizes(X, model):
    """Return what the terms of ln p of rows add up to at most, (n,), by which it is rounded.

    The sheet is a sum of RBFs times weights, in float64.
    """
    reach = np.abs(model.basis.phi) @ np.abs(model.weights)
    if not model.noise.natural:
        Z = np.nan_to_num((X - model.affine.mean) / model.affine.scale)
        # The logarithms of the volume, of which those of gaps are taken off again.
        constant = 1.0 + np.abs(np.log(2 * np.pi * model.beta_inv * model.affine.scale**2)).sum()
        return constant + ((np.abs(Z)[:, None] + reach) ** 2 / model.beta_inv).sum(axis=2).max(axis=1)
    x = np.nan_to_num(X).astype(float)
    exposure = x.sum(axis=1) if model.noise.exposed else 1.0
    normalisers = (model.noise.entry_normalisers(model) + model.means * reach).sum(axis=1).max()
    of_entries = x * (reach.max(axis=0) + np.log1p(x))
    return 1.0 + of_entries.sum(axis=1) + exposure * (normalisers + np.log1p(exposure))


def assert_e_step(X, rows, weight, model, kernel):
    """Hold what an E-step says of rows, and adds up of them, against the dense one.

    `rows` are the same as a float64 array. What is narrower than that may be multiplied in float32.
    """
    expected, n_nodes = dense_e_step(rows, model, weight), len(model.basis.phi)
    size = row_sizes(rows, model)
    single = X.dtype != np.float64
    # Where float32 would move a logit by more than a thousandth, it is not used.
    error = 32 * np.finfo(float).eps * size + single * np.minimum(3e-3, 1e-6 * size)
    names = ("log_likelihood", "deviance", "entropy", "responsibilities")
    outputs = dict(zip(names, project(X, model, kernel, outputs_of(names, n_nodes)), strict=True))
    row = expected.row
    for name, value in vars(row).items():
        found = outputs["responsibilities" if name == "R" else name]
        limit = error if found.ndim == 1 else error[:, None]
        assert (np.abs(found - value) <= limit * (20 if name == "entropy" else 1)).all(), name
    weight_sum, largest = float(expected.weight.sum()), float(error.max())
    found = e_step(X, weight, model, kernel)
    assert_allclose(found.weight, weight_sum, rtol=1e-5 if single else 1e-12)
    assert_allclose(found.log_likelihood, float(expected.log_likelihood), atol=float(expected.weight @ error))
    assert_allclose(found.g, expected.g.astype(float), rtol=0, atol=weight_sum * largest)
    reach = (
        float(expected.weight @ np.abs(np.nan_to_num(rows)).max(axis=1)) + np.abs(found.functions_rx).max()
    )
    rx = expected.functions_rx.astype(float)
    assert_allclose(found.functions_rx, rx, rtol=0, atol=(largest + single * 1e-6 + 1e-13) * reach)
    exposed = expected.exposed.astype(float) if model.noise.exposed else found.g
    assert_allclose(found.exposed, exposed, rtol=0, atol=(largest + single * 1e-6) * exposed.sum())
    assert (found.exposures is not None) == model.noise.exposed
    return found, expected
