"""What a map says of rows, from all responsibilities at once."""

import numpy as np
from scipy.special import logsumexp, softmax
from scipy.stats import entropy


def dense_outputs(model, rows, top):
    """All outputs, densely."""
    squares = (((rows[:, None] - model.centers_) ** 2) / model.noise_variance_).sum(axis=2)
    logits = -0.5 * squares
    R = softmax(logits, axis=1)
    order = np.argsort(-R, axis=1, kind="stable")[:, :top]
    log_volume = 0.5 * np.log(2 * np.pi * model.noise_variance_).sum()
    deviance = np.log(R.shape[1]) - logsumexp(logits, axis=1)
    return {
        "means": R @ model.nodes_,
        "modes": model.nodes_[R.argmax(axis=1)],
        "node": R.argmax(axis=1),
        "top_nodes": order,
        "top_responsibilities": np.take_along_axis(R, order, axis=1),
        "responsibilities": R,
        "relative": R / R.max(axis=1, keepdims=True),
        "entropy": entropy(R, axis=1),
        "log_likelihood": -deviance - log_volume,
        "deviance": deviance,
    }
