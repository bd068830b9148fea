"""From values to colours, whatever the picture."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from dask_igtm.plot.value_colors import value_colors


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
        value_colors(colors, np.array([2.0 if scale == "log" else -2.0, 1.0]), domain, scale)
