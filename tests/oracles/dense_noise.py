"""Maps of every noise, with every entry held against every node, in extended precision."""

from types import SimpleNamespace

import numpy as np
from scipy.special import gammaln

from dask_igtm.model.functions import functions_of

Long = np.longdouble


def log_terms(X, theta, noise, exposure):
    """Return ln p of each entry at each node, (n, K, D), and the largest it can be, (n, D), without gaps."""
    x = np.nan_to_num(X)
    if noise == "bernoulli":
        return np.where(x[:, None] > 0, -_softplus(-theta), -_softplus(theta)), np.zeros(x.shape)
    factorial = gammaln(x.astype(float) + 1.0)
    log_rate = theta + np.log(np.where(exposure > 0, exposure, 1))[:, None, None]
    rate = exposure[:, None, None] * np.exp(theta)
    possible = x[:, None] * log_rate - rate - factorial[:, None]
    return possible, x * np.log(np.where(x > 0, x, 1)) - x - factorial


def _softplus(theta):
    return np.log1p(np.exp(-np.abs(theta))) + np.maximum(theta, 0)


def expected(theta, noise):
    """Return the means of entries of one unit of exposure."""
    return np.exp(-_softplus(-theta)) if noise == "bernoulli" else np.exp(theta)


def dense_e_step(X, model, weight=None):
    """Return what an E-step says of each row, and its sums; entries that are NaN are left out."""
    X, phi = X.astype(Long), model.basis.phi.astype(Long)
    sheet, seen, n_nodes = phi @ model.weights.astype(Long), ~np.isnan(X), len(phi)
    name = model.noise.name
    exposure = np.nansum(X, axis=1) if model.noise.exposed else np.ones(len(X), Long)
    if name == "diagonal":
        x = (X - model.affine.mean) / model.affine.scale
        squares = (np.nan_to_num(x)[:, None] - sheet) ** 2
        variance = np.asarray(model.beta_inv, Long)
        largest = -0.5 * np.log(2 * Long(np.pi) * variance) - np.log(model.affine.scale) + np.zeros(X.shape)
        terms, means = largest[:, None] - squares / (2 * variance), sheet
    else:
        x, means = X, expected(sheet, name)
        terms, largest = log_terms(X, sheet, name, exposure)
    logits = (terms * seen[:, None]).sum(axis=2)
    peak = logits.max(axis=1)
    R = np.exp(logits - peak[:, None])
    mass = R.sum(axis=1)
    R /= mass[:, None]
    log_likelihood = peak + np.log(mass) - np.log(Long(n_nodes))
    row = SimpleNamespace(
        R=R,
        log_likelihood=log_likelihood,
        deviance=(largest * seen).sum(axis=1) - log_likelihood,
        entropy=-(R * np.log(np.where(R > 0, R, 1))).sum(axis=1),
    )
    weight = np.where(seen.any(axis=1), 1.0 if weight is None else weight, 0.0).astype(Long)
    rows = np.where(seen[:, None], np.nan_to_num(x)[:, None], means)  # (n, K, D): gaps are as expected
    weighted = weight[:, None] * R
    rx = np.einsum("nk,nkd->kd", weighted, rows)
    found = SimpleNamespace(
        row=row,
        weight=weight,
        g=weighted.sum(axis=0),
        exposed=exposure @ weighted,
        rx=rx,
        functions_rx=functions_of(model.basis).values.T @ rx,
        log_likelihood=weight @ log_likelihood,
        column_squares=None,
    )
    if name == "diagonal":
        spread = np.where(seen[:, None], squares, variance)
        found.column_squares = np.einsum("nk,nkd->d", weighted, spread)
    return found


def objective(X, model, prior, weight=None):
    """Return the penalised log-likelihood of a model."""
    penalty = Long(0.5) * prior.regul * np.sum((model.weights.astype(Long) - prior.mean) ** 2)
    return dense_e_step(X, model, weight).log_likelihood - penalty


def objective_of_column(w, phi, target, exposed, regul, prior, noise):
    """Return what an M-step of bits or counts raises for one column, with its gradient and Hessian."""
    theta = phi @ w
    if noise == "bernoulli":
        value, mean = np.logaddexp(0, theta), expected(theta, noise)
        variance = mean * (1 - mean)
    else:
        value = mean = variance = np.exp(theta)
    off = w - prior
    return (
        w @ target - exposed @ value - 0.5 * regul * off @ off,
        target - phi.T @ (exposed * mean) - regul * off,
        -(phi.T * (exposed * variance)) @ phi - regul * np.eye(len(w)),
    )


def dense_diagonal_m_step(X, model, regul, mean, weight=None):
    """Return weights and noise after an iteration: a system and a sum of all squares for each column."""
    dense, phi = dense_e_step(X, model, weight), model.basis.phi
    g, rx, old = dense.g.astype(float), dense.rx.astype(float), np.asarray(model.beta_inv)
    weights = np.empty_like(model.weights)
    for d, variance in enumerate(old):
        gram = (phi.T * g) @ phi + regul * variance * np.eye(phi.shape[1])
        weights[:, d] = np.linalg.solve(gram, phi.T @ rx[:, d] + regul * variance * mean[:, d])
    Z = (X.astype(Long) - model.affine.mean) / model.affine.scale
    squares = (Z[:, None] - phi.astype(Long) @ weights) ** 2
    # What is missing lies off the old centre, its expectation, by the old noise.
    unseen = old + ((phi @ weights) - model.centers).astype(Long) ** 2
    squares = np.where(np.isnan(squares), unseen, squares)
    noise = np.einsum("n,nk,nkd->d", dense.weight, dense.row.R, squares) / dense.weight.sum()
    return weights, noise.astype(float)


def dense_gem(X, model, prior, niter, steps=2, weight=None):
    """Return models of so many iterations of generalised EM: halved steps of Newton, a column at a time."""
    phi, models = model.basis.phi, [model]
    name = model.noise.name
    for _ in range(niter):
        W = models[-1].weights.copy()
        dense = dense_e_step(X, models[-1], weight)
        targets, exposed = phi.T @ dense.rx.astype(float), dense.exposed.astype(float)
        for d in range(W.shape[1]):
            fixed = (phi, targets[:, d], exposed, prior.regul, prior.mean[:, d], name)
            for _ in range(steps):
                value, gradient, hessian = objective_of_column(W[:, d], *fixed)
                step = np.linalg.solve(hessian, -gradient)
                while objective_of_column(W[:, d] + step, *fixed)[0] < value - 1e-15 * abs(value):
                    step = step / 2
                W[:, d] += step
        models.append(SimpleNamespace(**vars(model) | {"weights": W, "centers": phi @ W}))
    return models
