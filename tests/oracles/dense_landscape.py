"""Means and spreads at the nodes, from all responsibilities at once."""

import numpy as np


def dense_mean_and_std(R, y):
    """Return what `property` should say, node by node, from responsibilities plus 1e-7."""
    spread = R + 1e-7
    mean = spread.T @ y / spread.sum(axis=0)
    variance = [spread[:, k] @ (y - mean[k]) ** 2 / spread[:, k].sum() for k in range(R.shape[1])]
    return mean, np.sqrt(variance)
