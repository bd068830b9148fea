"""The ridge and the noise by the evidence, from dense matrices."""

import numpy as np
from scipy.special import logsumexp


def dense_e_step(Z, model):
    squared = ((Z[:, None, :] - model.centers[None]) ** 2).sum(axis=2)
    log_joint = -squared / (2 * model.beta_inv)
    return np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True)), squared


def dense_gamma(R, phi, beta_inv, regul, n_columns):
    """Number of determined weights, from the curvature of all of them at once."""
    precision = np.kron(phi.T @ np.diag(R.sum(axis=0)) @ phi / beta_inv, np.eye(n_columns))
    return np.trace(precision @ np.linalg.inv(precision + regul * np.eye(len(precision))))


def dense_fit(Z, model, regul, niter):
    """EM of all rows at once, with re-estimates of the ridge and the noise from the fifth iteration on."""
    phi, W, beta_inv = model.basis.phi, model.weights, model.beta_inv
    for number in range(1, niter + 1):
        squared = ((Z[:, None, :] - (phi @ W)[None]) ** 2).sum(axis=2)
        log_joint = -squared / (2 * beta_inv)
        R = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
        gram = phi.T @ np.diag(R.sum(axis=0)) @ phi + regul * beta_inv * np.eye(phi.shape[1])
        W = np.linalg.solve(gram, phi.T @ R.T @ Z)
        gamma = dense_gamma(R, phi, beta_inv, regul, Z.shape[1]) if number >= 5 else 0.0
        squared = ((Z[:, None, :] - (phi @ W)[None]) ** 2).sum(axis=2)
        beta_inv = (R * squared).sum() / (Z.size - gamma)
        regul = gamma / (W**2).sum() if number >= 5 else regul
    return W, beta_inv, regul


def log_evidence(igtm, X):
    """Laplace's approximation about the weights, in the units of X and up to a constant."""
    model, regul = igtm.model_, igtm.regul_
    R, _ = dense_e_step(model.affine.forward(X), model)
    gram = model.basis.phi.T @ np.diag(R.sum(axis=0)) @ model.basis.phi / model.beta_inv
    _, log_det = np.linalg.slogdet(gram + regul * np.eye(len(gram)))
    penalised = len(X) * igtm.log_likelihood_ - regul / 2 * (model.weights**2).sum()
    return penalised + model.weights.size / 2 * np.log(regul) - X.shape[1] / 2 * log_det
