"""An E-step in extended precision, with every row held against every centre, column by column."""

from types import SimpleNamespace

import numpy as np

Long = np.longdouble


def dense_e_step(X, model, weight=None):
    """Return what an E-step says of each row, and its sums; entries that are NaN are left out."""
    affine, beta_inv, n_nodes = model.affine, Long(model.beta_inv), len(model.basis.phi)
    Z = (X.astype(Long) - affine.mean) / affine.scale
    centers = model.basis.phi.astype(Long) @ model.weights
    seen = ~np.isnan(Z)
    rows = np.where(seen[:, None], Z[:, None], centers)  # (n, K, D), of which gaps are at the centres
    squares = ((rows - centers) ** 2).sum(axis=2)
    logits = -squares / (2 * beta_inv)
    logits -= logits.max(axis=1, keepdims=True)
    R = np.exp(logits)
    mass = R.sum(axis=1)
    R /= mass[:, None]
    n_seen = seen.sum(axis=1)
    log_normal = 0.5 * n_seen * np.log(2 * np.pi * beta_inv) + (seen * np.log(affine.scale)).sum(axis=1)
    log_sum = np.log(mass) - squares.min(axis=1) / (2 * beta_inv)
    row = SimpleNamespace(
        R=R,
        below=logits,
        log_mass=np.log(mass),
        log_likelihood=log_sum - np.log(Long(n_nodes)) - log_normal,
        entropy=np.log(mass) - (R * logits).sum(axis=1),
        distance=(R * squares).sum(axis=1) + (Z.shape[1] - n_seen) * beta_inv,
        norm=np.sqrt((np.where(seen, Z, 0) ** 2).sum(axis=1)),
    )
    weight = np.ones(len(X)) if weight is None else weight
    weight = np.where(n_seen > 0, weight, 0.0).astype(Long)
    return SimpleNamespace(
        row=row,
        weight=weight,
        g=weight @ R,
        rx=np.einsum("n,nk,nkd->kd", weight, R, rows),
        distance_sum=weight @ row.distance,
        log_likelihood=weight @ row.log_likelihood,
        log_peak=weight @ row.log_mass,
    )


def logit_error(X, model, single):
    """Return how far rounding may move a logit, by the largest terms of which one is made.

    Rows of float32 are multiplied in float32 (`single`) unless that moves logits by more than a thousandth.
    Centres are sums of RBFs times weights, in float64.
    """
    Z = np.nan_to_num(X.astype(float) - model.affine.mean) / model.affine.scale
    row = np.linalg.norm(Z, axis=1).max(initial=0.0)
    center = np.linalg.norm(model.centers, axis=1).max()
    terms = np.linalg.norm(np.abs(model.basis.phi) @ np.abs(model.weights), axis=1).max()
    eps = [np.finfo(dtype).eps for dtype in (np.float32, np.float64)]
    in_single = eps[0] * max(row, center) ** 2 / (2.0 * model.beta_inv)
    single = single and in_single <= 1.001e-3
    in_double = eps[1] * max(row, terms) ** 2 / (2.0 * model.beta_inv)
    return 16.0 * (in_double + single * in_single), single
