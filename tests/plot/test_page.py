"""Text becomes HTML that says the same and does nothing, and every part of the page has its place."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from dask_igtm.plot import page

EVIL = "</script><b title='x'>&amp;</b>"
PLACES = ("title", "lead", "glance", "quality", "fit", "data", "settings", "versions")


class Found(HTMLParser):
    def __init__(self, source):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (EVIL, EVIL),
        ("\0 \u202e", r"\x00 \u202e"),
        (True, "yes"),
        (np.False_, "no"),
        (1234567, "1,234,567"),
        (np.float32(0.5), "0.5"),
        (float("nan"), "nan"),
    ],
)
def test_a_value_is_text(value, text):
    found = Found(page.html(value))
    assert found.tags == []
    assert "".join(found.text) == text


def test_a_table_says_what_its_headings_are_of():
    found = Found(page.table([(EVIL, 1, EVIL), ("b", 2, "c")], ["name", "value", "meaning"]))
    scopes = [attributes["scope"] for tag, attributes in found.tags if tag == "th"]
    assert scopes == ["col"] * 3 + ["row"] * 2
    assert [tag for tag, _ in found.tags].count("td") == 4
    assert found.text == ["name", "value", "meaning", EVIL, "1", EVIL, "b", "2", "c"]
    assert "thead" not in dict(Found(page.table([("a", 1)])).tags)


def test_figures_at_a_glance_are_a_list_of_terms():
    found = Found(page.glance({"rows": 1500, EVIL: EVIL}))
    assert [tag for tag, _ in found.tags] == ["dl", "div", "dt", "dd", "div", "dt", "dd"]
    assert found.text == ["rows", "1,500", EVIL, EVIL]


def test_all_parts_are_in_their_places():
    words = {place: f"<i>{place} $title</i>" for place in PLACES}
    written = page.page({"maps": {"of": EVIL}, "history": {}}, {"k": 2, "id": EVIL}, "drawing()", **words)
    for word in words.values():
        assert word in written
    assert written.count("</script>") == 4
    for name, value in (("charts", {"maps": {"of": EVIL}, "history": {}}), ("nodes", {"k": 2, "id": EVIL})):
        held = re.search(rf'id="{name}">(.*?)</script>', written, re.DOTALL)[1]
        assert json.loads(held) == value
    found = Found(written)
    named = {attributes["id"] for _, attributes in found.tags if "id" in attributes}
    for _, attributes in found.tags:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(reference) in {None, *named}
