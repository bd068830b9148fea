"""The frame of a picture of any map."""

import numpy as np
import pytest

from dask_igtm.plot.style import Canvas


@pytest.mark.parametrize("k", [1, 2, 7, 40, 250])
def test_canvas_of_any_map(k):
    canvas = Canvas.of(np.zeros((k * k, 2)))
    assert canvas.edges[0] <= -1 < 1 <= canvas.edges[-1]
    assert len(canvas.edges) == k * canvas.per_node + 1
    assert canvas.node_pixels == canvas.per_node * canvas.bin_pixels
    assert 200 <= k * canvas.node_pixels <= 500
