"""What can be read of a row under maps within maps."""

import numpy as np
import pytest
from helpers.trees import rows_of, tree_of
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_tree import dense_tree

from dask_igtm.posterior.tree_outputs import project_tree, tree_outputs_of

ALL = ("means", "leaf", "node", "probability", "log_likelihood", "paths")


@pytest.mark.parametrize("n_rows", [0, 90])
def test_every_output_is_that_of_the_list_of_all_components(n_rows):
    tree = tree_of("deep")
    X = rows_of(tree, 90)[:n_rows]
    outputs = tree_outputs_of(ALL, len(tree))
    found = dict(zip(ALL, project_tree(X, tree, "numpy", outputs), strict=True))
    for output in outputs:
        assert found[output.name].dtype == output.dtype
        assert found[output.name].shape == output.shape(n_rows)
    if n_rows:
        dense = dense_tree(X, tree)
        for name, values in found.items():
            assert_allclose(values, getattr(dense, name), rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("names", [(name,) for name in ALL] + [ALL[::-1]])
def test_outputs_come_alone_and_in_the_order_asked_for(names):
    tree = tree_of("split")
    X = rows_of(tree, 40)
    every = dict(zip(ALL, project_tree(X, tree, "numpy", tree_outputs_of(ALL, 3)), strict=True))
    found = project_tree(X, tree, "numpy", tree_outputs_of(names, 3))
    for name, values in zip(names, found, strict=True):
        assert_allclose(values, every[name], rtol=1e-12)  # positions add to what is multiplied
    assert_array_equal(every["leaf"], every["leaf"].astype(np.int32))


@pytest.mark.parametrize("names", [(), ("leaf", "leaf"), ("modes",), ("leaf", "responsibilities")])
def test_other_outputs_are_refused(names):
    with pytest.raises(ValueError, match=r"give some of \('means', 'leaf', .*each once"):
        tree_outputs_of(names, 3)
