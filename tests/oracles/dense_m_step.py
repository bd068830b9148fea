"""An M-step by normal equations in extended precision, with its noise from all squares once more."""

import numpy as np
from oracles.dense_e_step import dense_e_step

Long = np.longdouble


def dense_m_step(X, model, regul, prior_mean, weight=None):
    """Return the weights and the noise after an iteration, whose prior mean is a number."""
    phi = model.basis.phi.astype(Long)
    dense = dense_e_step(X, model, weight)
    ridge = Long(regul) * model.beta_inv
    gram = (phi.T * dense.g) @ phi + ridge * np.eye(phi.shape[1])
    weights = solve(gram, phi.T @ dense.rx + ridge * prior_mean)
    return weights.astype(float), noise_of(weights, X, model, weight)


def noise_of(weights, X, model, weight=None):
    """Return the noise that goes with new weights under the responsibilities of `model`."""
    dense = dense_e_step(X, model, weight)
    Z = (X.astype(Long) - model.affine.mean) / model.affine.scale
    squares = ((Z[:, None] - model.basis.phi.astype(Long) @ weights) ** 2).sum(axis=2)
    total = dense.weight @ (dense.row.R * squares).sum(axis=1)
    return float(total / (dense.weight.sum() * Z.shape[1]))


def solve(A, B):
    """Solve A x = B by Cholesky's method, which LAPACK has in double precision only."""
    n = len(A)
    L = np.zeros_like(A)
    for j in range(n):
        L[j, j] = np.sqrt(A[j, j] - L[j, :j] @ L[j, :j])
        L[j + 1 :, j] = (A[j + 1 :, j] - L[j + 1 :, :j] @ L[j, :j]) / L[j, j]
    y = np.zeros_like(B)
    for j in range(n):
        y[j] = (B[j] - L[j, :j] @ y[:j]) / L[j, j]
    x = np.zeros_like(B)
    for j in range(n)[::-1]:
        x[j] = (y[j] - L[j + 1 :, j] @ x[j + 1 :]) / L[j, j]
    return x
