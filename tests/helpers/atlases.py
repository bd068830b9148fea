"""A small atlas whose regions are known, put together by hand."""

from types import SimpleNamespace

import numpy as np

from dask_igtm import IGTM, IGTMAtlas
from dask_igtm.model.map_tree import MapTree
from dask_igtm.projection.validate import take_columns_of

K, K_BELOW = 6, 4
NAMES = ["root", "root/0", "root/2", "root/0/1"]


def columns_of_nodes(k, *ends):
    """Return the region of each node of a map whose columns of nodes are divided at some ends."""
    return np.digitize(np.divmod(np.arange(k * k), k)[0], ends)


def atlas(X, **settings):
    """Return a root of three regions, of which the first and last have maps, and the first's half has one."""
    given = {"m": 2, "niter": 5, "solver": "em", "scale": "center", "random_state": 0, "tol": 0} | settings
    root = IGTM(k=K, **given).fit(X)
    of_root, of_first = columns_of_nodes(K, 2, 4), columns_of_nodes(K_BELOW, 2)
    first, last = (root.zoom(X, of_root == region, k=K_BELOW) for region in (0, 2))
    deeper = first.zoom(X, of_first == 1)
    tree = MapTree.of_root(root.model_).divided(0, of_root).grown(0, 0, first.model_)
    tree = tree.grown(0, 2, last.model_).divided(1, of_first).grown(1, 1, deeper.model_)
    assert tree.names == NAMES
    gains = dict(zip(NAMES, [np.nan, 12.5, 3.25, 1.0], strict=True))
    trials = [SimpleNamespace(name=name, gain=gain) for name, gain in gains.items()]
    made = IGTMAtlas(root)
    made.tree_, made.maps_, made.trials_ = tree, [root, first, last, deeper], trials
    take_columns_of(made, root)
    return made
