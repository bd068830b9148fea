import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_igtm.landscape.regions import node_mask
from dask_igtm.model.basis import square_grid

NODES = square_grid(7)
CORNERS = [(-1, -1), (-1, 1), (1, 1), (1, -1)]


def test_numbers_are_nodes():
    assert np.flatnonzero(node_mask(NODES, 3)).tolist() == [3]
    assert np.flatnonzero(node_mask(NODES, [8, 3, 0, 1])).tolist() == [0, 1, 3, 8]
    assert np.flatnonzero(node_mask(NODES, range(5))).tolist() == [0, 1, 2, 3, 4]


def test_a_mask_is_copied():
    mask = np.arange(49) % 2 == 0
    found = node_mask(NODES, mask)
    assert np.array_equal(found, mask)
    assert not np.shares_memory(found, mask)


def test_a_box_has_its_edges():
    third = 1 / 3  # where the nodes of a grid of 7 lie, but for rounding
    mask = node_mask(NODES, (-third, third, 0.0, 1.0))
    assert set(map(tuple, NODES[mask].round(2))) == {
        (x1, x2) for x1 in (-0.33, 0.0, 0.33) for x2 in (0.0, 0.33, 0.67, 1.0)
    }
    assert np.array_equal(node_mask(NODES, ((-third, third), (0, 1))), mask)


def test_a_polygon_has_its_edges_and_corners():
    assert node_mask(NODES, CORNERS).all()
    triangle = node_mask(NODES, [(-1, -1), (1, -1), (1, 1)])
    assert np.array_equal(triangle, NODES[:, 0] >= NODES[:, 1] - 1e-9)


def test_a_polygon_may_be_concave():
    notched = [(-1.1, -1.1), (1.1, -1.1), (1.1, 1.1), (0.0, -0.9), (-1.1, 1.1)]
    mask = node_mask(NODES, notched)
    assert not mask[np.argmin(np.hypot(*NODES.T))]  # the middle lies in the notch
    assert mask[[0, 42]].all()
    assert not mask[[6, 48]].any()


HUNDREDTHS = st.integers(-150, 150).map(lambda n: n / 100)  # that no node lies near without lying on


@given(st.lists(st.tuples(HUNDREDTHS, HUNDREDTHS), min_size=4, max_size=4))
@settings(max_examples=60, deadline=None)
def test_a_polygon_round_a_box_is_the_box(corners):
    x1, x2 = np.array(corners[:2]), np.array(corners[2:])
    box = (x1.min(), x1.max(), x2.min(), x2.max())
    around = [(box[0], box[2]), (box[0], box[3]), (box[1], box[3]), (box[1], box[2])]
    try:
        expected = node_mask(NODES, box)
    except ValueError:
        with pytest.raises(ValueError, match="none of the 49 nodes"):
            node_mask(NODES, around)
        return
    assert np.array_equal(node_mask(NODES, around), expected)


@pytest.mark.parametrize(
    ("region", "said"),
    [
        (49, "from 0 to 48"),
        ([-1, 0, 0, 1], "of fractions"),
        ([2, 2], "each once"),
        ([True, False], "shape \\(2,\\) and dtype bool"),
        ((0.5, 0.1, 0.0, 1.0), "ends before it begins"),
        ((0.9, 0.95, 0.9, 0.95), "none of the 49 nodes"),
        ([(1, 0), (0, 1)], "ends before it begins"),
        ([(0, 0, 1), (0, 1, 1)], "no region"),
        ([(0, 0), (1, np.nan), (1, 1)], "no region"),
        ([(0, 0), (1,), (1, 1)], "no region"),
        ([], "no region"),
        ("left", "no region"),
    ],
)
def test_what_is_no_region_is_refused(region, said):
    with pytest.raises(ValueError, match=said):
        node_mask(NODES, region)
