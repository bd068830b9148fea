"""The frame of a picture of any map, how pale its nodes are, and its colours."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.plot.style import Canvas, clarity, shade, value_colors


@pytest.mark.parametrize("k", [1, 2, 7, 40, 250])
def test_canvas_of_any_map(k):
    canvas = Canvas.of(np.zeros((k * k, 2)))
    assert canvas.edges[0] <= -1 < 1 <= canvas.edges[-1]
    assert len(canvas.edges) == k * canvas.per_node + 1
    assert canvas.node_pixels == canvas.per_node * canvas.bin_pixels
    assert 200 <= k * canvas.node_pixels <= 500


# Paleness

ROWS = arrays(float, st.integers(1, 40), elements=st.floats(1e-30, 1e12) | st.just(0.0))


@settings(deadline=None)
@given(ROWS)
def test_opacity_follows_support(support):
    found = shade(support)
    assert_array_equal(found == 0, support == 0)
    assert found.max() <= 1
    assert (np.diff(found[np.argsort(support)]) >= 0).all()
    if support.any():
        typical = np.average(support, weights=support)
        for rows, opacity in zip(support, found, strict=True):
            assert opacity == pytest.approx(1 if rows >= typical else np.log1p(rows) / np.log1p(typical))


def test_half_a_row_is_hardly_seen_where_rows_lie_among_ten():
    support = np.array([10.0] * 20 + [0.5, 0.0])
    assert 0.05 < shade(support)[-2] < 0.2
    assert shade(support)[0] == pytest.approx(1, abs=0.01)
    assert shade(support)[-1] == 0


def test_a_class_is_the_clearer_the_more_probable():
    assert_allclose(clarity(np.array([0.25, 0.625, 1.0]), 4), [0.1, 0.55, 1])
    assert_allclose(clarity(np.array([1.0]), 1), 1)


# Colours


@pytest.mark.parametrize(
    ("colors", "values", "scale", "domain"),
    [
        ("sequential", [3.0, np.nan, 1.0], "linear", [1, 3]),
        ("turbo", [3.0, 1.0], "linear", [1, 3]),
        ("cyclic", [3.0, 1.0], "symlog", [1, 3]),
        ("amounts", [3.0, 1.0], "sqrt", [0, 3]),
        ("amounts", [0.0, 0.0], "sqrt", [0, 1]),
        ("amounts", [3.0, 1.0], "log", [1, 3]),
        ("diverging", [-1.0, 3.0], "linear", [-3, 3]),
        ("diverging", [-4.0, 3.0], "symlog", [-4, 4]),
        ("diverging", [0.1, 5.0], "log", [0.1, 10]),
        ("diverging", [0.5, 5.0], "log", [0.2, 5]),
    ],
)
def test_limits_of_colours(colors, values, scale, domain):
    found = value_colors(colors, np.array(values), None, scale).to_dict()
    assert_allclose(found["domain"], domain)
    assert found["type"] == scale
    assert found["clamp"]
    chosen = value_colors(colors, np.array(values), (0.5, 2), scale).to_dict()
    assert chosen == found | {"domain": [0.5, 2]}


def test_what_is_not_known_has_no_limits():
    assert "domain" not in value_colors("diverging", np.array([np.nan]), None, "linear").to_dict()


def test_named_colours():
    def found(colors):
        return value_colors(colors, np.array([1.0]), None, "linear").to_dict()

    assert found("sequential")["scheme"] == "viridis"
    assert found("magma")["scheme"] == "magma"
    assert found("amounts")["range"][0] == "#ffffff"
    diverging = found("diverging")["range"]
    assert diverging[len(diverging) // 2] == "#ffffff"
    cyclic = found("cyclic")["range"]
    assert cyclic[0] == cyclic[-1]
    # Between white, which has no hue, and others.
    assert {found(colors)["interpolate"] for colors in ("amounts", "diverging", "cyclic")} == {"lab"}


@pytest.mark.parametrize(
    ("colors", "domain", "scale", "match"),
    [
        ("pretty", None, "linear", r"colors='pretty'; give one of \('sequential', 'amounts', 'diverging'"),
        (["red"], None, "linear", r"colors=\['red'\]; give one of"),
        ('viridis"});//', (0, 1), "linear", "a scheme of Vega such as 'magma'"),
        ("amounts", None, "linear", r"colors='amounts' begin at 0, and values at -2; give 'diverging'"),
        ("magma", (1, 1), "linear", r"domain=\(1, 1\); give \(low, high\)"),
        ("magma", (0, np.inf), "linear", "two finite numbers"),
        ("magma", (0, 1, 2), "linear", "two finite numbers"),
        ("magma", 5, "linear", "two finite numbers"),
        ("magma", ("a", 5), "linear", "two finite numbers"),
        ("magma", (0, 5), "log", "on a log scale; give limits above 0"),
    ],
)
def test_colours_that_cannot_be_are_refused(colors, domain, scale, match):
    with pytest.raises(ValueError, match=match):
        value_colors(colors, np.array([-2.0, 1.0]), domain, scale)
