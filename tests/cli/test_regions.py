"""Regions as they are typed."""

import click
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from dask_igtm.cli.regions import read_region
from dask_igtm.landscape.regions import node_mask

NODES = np.stack(np.meshgrid(*[np.linspace(-1, 1, 4)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)


def region(text):
    return read_region(None, None, text)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("3", 3),
        ("3,4,9-12", [3, 4, 9, 10, 11, 12]),
        ("4, 3-5 , 3", [3, 4, 5]),
        ("0-15", range(16)),
        ("-1:0,-0.5:1", (-1.0, 0.0, -0.5, 1.0)),
        (" -1 : 0 , -.5 : 1e0 ", (-1.0, 0.0, -0.5, 1.0)),
        ("0:1,0:1", (0.0, 1.0, 0.0, 1.0)),
        ("-1,-1 1,-1 0,1", [(-1, -1), (1, -1), (0, 1)]),
        ("-1, -1  1, -1  0.5, 1 -1,1", [(-1, -1), (1, -1), (0.5, 1), (-1, 1)]),
    ],
)
def test_what_is_typed_is_what_python_takes(text, given):
    assert_array_equal(region(text).mask(NODES), node_mask(NODES, given))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "corner",
        "3 4 5",
        "0.5",
        "-1",
        "9-3",
        "3,,4",
        "3-",
        "123456789",
        "-1:0",
        "-1:0,0:1,0:1",
        "-1:0:1,0:1",
        "nan:0,0:1",
        "0,0 1,1",
        "0,0 1,1 1",
        "[[0, 0], [1, 1], [1, 0]]",
    ],
)
def test_what_is_no_region(text):
    with pytest.raises(click.BadParameter, match=r"is no region; give nodes such as .* a polygon"):
        region(text)


@pytest.mark.parametrize("text", ["16", "3,0-20", "0.1:0.2,0.1:0.2", "1:0,0:1", "2,2 3,2 2,3"])
def test_what_no_map_of_that_size_has(text):
    with pytest.raises(ValueError, match=rf"--region '{text}' is none of this map, whose nodes are 0 to 15"):
        region(text).mask(NODES)
