"""EM for streams, with each running average kept apart."""

import numpy as np


def dense_stepwise(blocks, start, regul, exponent=0.6):
    """Stepwise EM with the averages of R, R x and R |x|^2 kept apart, and beta from the last."""
    phi, W, b = start.model_.basis.phi, start.model_.weights, start.beta_inv_
    g = gx = sq = seen = 0.0
    for block in blocks:
        Z, n = block - start.model_.affine.mean, len(block)
        C = phi @ W
        d = ((Z[:, None] - C) ** 2).sum(axis=2)
        R = np.exp(-(d - d.min(axis=1, keepdims=True)) / (2 * b))
        R /= R.sum(axis=1, keepdims=True)
        share = (1 + seen / n) ** -exponent
        seen += n
        g = (1 - share) * g + share * R.mean(axis=0)
        gx = (1 - share) * gx + share * R.T @ Z / n
        sq = (1 - share) * sq + share * (Z**2).sum() / n
        A = phi.T @ np.diag(g * seen) @ phi + regul * b * np.eye(phi.shape[1])
        W = np.linalg.solve(A, phi.T @ gx * seen)
        C = phi @ W
        b = (sq - 2 * (gx * C).sum() + g @ (C**2).sum(axis=1)) / Z.shape[1]
    return C + start.model_.affine.mean, b
