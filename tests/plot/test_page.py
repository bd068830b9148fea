"""Every part of the page has its place."""

import json
import re
from html.parser import HTMLParser

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
