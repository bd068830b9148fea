"""Figures as HTML, in which nothing is a tag but ours."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from helpers.hostile import ACTIVE, PIECES

from dask_igtm.data.html_text import figure_text, html_table, html_text


@pytest.mark.parametrize("text", PIECES)
def test_a_text_is_text(text):
    for html in (html_text(text), html_table([[text, text]]), html_table([[text, text]], [text])):
        assert not ACTIVE.search(html)
        found = ET.fromstring(f"<p>{html}</p>")
        assert {each.tag for each in found.iter()} <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert ET.fromstring(f"<p>{html_text('<a> &amp; ' + chr(34))}</p>").text == '<a> &amp; "'


def test_a_table_has_its_cells_where_they_belong():
    found = ET.fromstring(html_table([["a", 1], ["b", 2]], ["", "least"]))
    assert [[cell.text for cell in row] for row in found.iter("tr")] == [
        [None, "least"],
        ["a", "1"],
        ["b", "2"],
    ]
    assert [cell.get("scope") for cell in found.iter("th")] == ["col", "col", "row", "row"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (np.False_, "no"),
        (12345, "12,345"),
        (np.int64(7), "7"),
        (1234.56789, "1,234.57"),
        (1234567.0, "1,234,567"),
        (2.0**60, "1.15292e+18"),
        (np.float32(0.5), "0.5"),
        (float("nan"), "nan"),
        ("8 x 8", "8 x 8"),
    ],
)
def test_figures_are_written_as_people_do(value, text):
    assert figure_text(value) == text
