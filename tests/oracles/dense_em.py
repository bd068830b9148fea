"""EM of a map as in a textbook: all rows at once, and entry by entry where some are missing."""

import numpy as np
from scipy.special import logsumexp, softmax


def dense_em(X, basis, W, beta_inv, regul, niter):
    """GTM as in Bishop, Svensén & Williams (1998), all rows at once, in the data's own coordinates."""
    phi = basis.phi
    for _ in range(niter):
        squared = ((X[:, None, :] - (phi @ W)[None]) ** 2).sum(axis=2)
        log_joint = -squared / (2 * beta_inv)
        R = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
        gram = phi.T @ np.diag(R.sum(axis=0)) @ phi + regul * beta_inv * np.eye(phi.shape[1])
        W = np.linalg.solve(gram, phi.T @ R.T @ X)
        squared = ((X[:, None, :] - (phi @ W)[None]) ** 2).sum(axis=2)
        beta_inv = (R * squared).sum() / X.size
    return W, beta_inv


def dense_em_with_gaps(Y, start, regul, niter):
    """EM over the observed entries, one row and one node at a time, with the expectations spelt out."""
    phi = start.model_.basis.phi
    W, b = start.model_.weights.copy(), start.beta_inv_
    Z = (Y - start.model_.affine.mean) / start.scale_
    seen = ~np.isnan(Z)
    n, D = Z.shape
    K = len(phi)
    likelihoods = []
    for _ in range(niter):
        C = phi @ W
        R, ll = np.zeros((n, K)), np.zeros(n)
        for i in range(n):
            d = np.array([sum((Z[i, q] - C[k, q]) ** 2 for q in range(D) if seen[i, q]) for k in range(K)])
            R[i] = softmax(-d / (2 * b))
            normal = -seen[i].sum() / 2 * np.log(2 * np.pi * b) - np.log(start.scale_[seen[i]]).sum()
            ll[i] = logsumexp(-d / (2 * b)) - np.log(K) + normal
        R *= seen.any(axis=1)[:, None]
        count = seen.any(axis=1).sum()
        likelihoods.append(ll.sum() / count)
        expected = np.where(seen[:, None, :], np.nan_to_num(Z)[:, None, :], C[None])  # (n, K, D)
        A = phi.T @ np.diag(R.sum(axis=0)) @ phi + regul * b * np.eye(phi.shape[1])
        W = np.linalg.solve(A, phi.T @ np.einsum("nk,nkd->kd", R, expected))
        squares = ((expected - (phi @ W)[None]) ** 2).sum(axis=2) + b * (~seen).sum(axis=1)[:, None]
        b = np.sum(R * squares) / (count * D)
    return phi @ W * start.scale_ + start.model_.affine.mean, b, likelihoods
