"""Maps within maps, with every row held against every node of every region, in extended precision."""

import dataclasses
from types import SimpleNamespace

import numpy as np
from oracles.dense_noise import dense_e_step

from dask_igtm.noise.diagonal import Diagonal

Long = np.longdouble


def log_nodes(X, model):
    """Return ln p of rows under each node, (n, K); entries that are NaN are left out."""
    if model.noise.name == "isotropic":
        variances = np.full(X.shape[1], model.beta_inv)
        model = dataclasses.replace(model, noise=Diagonal(), beta_inv=variances)
    row = dense_e_step(X, model).row
    with np.errstate(divide="ignore"):
        return np.log(row.R) + row.log_likelihood[:, None] + np.log(Long(row.R.shape[1]))


def responsibilities(X, model):
    """Return those of all nodes of a map by itself, (n, K)."""
    found = log_nodes(X, model)
    found = np.exp(found - found.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def share_of(tree, number):
    """Return how much of all rows a map has."""
    share = Long(1)
    while number > 0:
        own = tree.maps[number]
        share *= tree.maps[own.parent].shares[own.region]
        number = own.parent
    return share


def dense_tree(X, tree):
    """Return what a tree says of rows, from the list of all components: nodes of regions without maps."""
    logs, owner, node, places = [], [], [], []
    for number, own in enumerate(tree.maps):
        of_nodes = log_nodes(X, own.model)
        for region, child in enumerate(own.children):
            if child == -1:
                (inside,) = np.nonzero(own.regions == region)
                for k in inside:
                    weight = share_of(tree, number) * own.shares[region] / len(inside)
                    logs.append(of_nodes[:, k] + np.log(weight))
                    owner.append(number)
                    node.append(k)
                    places.append(own.model.basis.nodes[k])
    logs, owner, node, places = np.array(logs).T, np.array(owner), np.array(node), np.array(places)
    peak = logs.max(axis=1)
    densities = np.exp(logs - peak[:, None])
    log_likelihood = peak + np.log(densities.sum(axis=1))
    joint = densities / densities.sum(axis=1, keepdims=True)  # over all components
    every = np.arange(len(X))
    probabilities = np.stack([joint[:, owner == m].sum(axis=1) for m in range(len(tree))], axis=1)
    paths = np.zeros_like(probabilities)
    for m in range(len(tree)):
        above = m
        while above >= 0:
            paths[:, above] += probabilities[:, m]
            above = tree.maps[above].parent
    positions = np.zeros((len(X), len(tree), 2), Long)
    nodes = np.zeros((len(X), len(tree)), int)
    for m in set(owner.tolist()):
        mine = owner == m
        with np.errstate(invalid="ignore"):
            positions[:, m] = joint[:, mine] @ places[mine] / joint[:, mine].sum(axis=1, keepdims=True)
        nodes[:, m] = node[mine][logs[:, mine].argmax(axis=1)]
    leaf = probabilities.argmax(axis=1)
    return SimpleNamespace(
        log_likelihood=log_likelihood.astype(float),
        probabilities=probabilities.astype(float),
        paths=paths.astype(float),
        leaf=leaf,
        probability=probabilities[every, leaf].astype(float),
        means=positions[every, leaf].astype(float),
        node=nodes[every, leaf],
    )
