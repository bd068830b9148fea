"""Every part of the page has its place."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from dask_igtm.plot import page
from dask_igtm.plot.map_places import Place

EVIL = "</script><b title='x'>&amp;</b>"
OF_MAP = ("lead", "glance", "quality", "fit", "data", "settings")
OF_PAGE = ("title", "versions")
NOWHERE = np.full(4, -1)


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


def words(places, number=0):
    return {place: f"<i>{place} {number} $title</i>" for place in places}


def page_map(number, above=-1, below=NOWHERE):
    place = Place(number, "root" + "/0" * number, "12", above, NOWHERE, below)
    charts, nodes = {"maps": {"of": EVIL}, "history": {}}, {"k": 2, "id": EVIL}
    return page.PageMap(place, 1.5, charts, nodes, words(OF_MAP, number))


@pytest.mark.parametrize("n_maps", [1, 3])
def test_all_parts_are_in_their_places(n_maps):
    maps = [page_map(number, number - 1) for number in range(n_maps)]
    written = page.page(maps, "drawing()", **words(OF_PAGE))
    for word in (
        *words(OF_PAGE).values(),
        *(w for number in range(n_maps) for w in words(OF_MAP, number).values()),
    ):
        assert word in written
    assert written.count("</script>") == 5
    for name in ("charts", "nodes"):
        held = re.search(rf'id="{name}">(.*?)</script>', written, re.DOTALL)[1]
        assert json.loads(held) == [getattr(each, name) for each in maps]
    found = Found(written)
    named = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(named) == len(set(named))
    for _, attributes in found.tags:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(reference) in {None, *named}
    assert [
        attributes.get("hidden", "shown") for _, attributes in found.tags if "data-map" in attributes
    ] == [*["shown", *[None] * (n_maps - 1)] * 2]


def test_a_single_map_has_no_tree_and_several_have_links_to_all():
    of_one = Found(page.page([page_map(0)], "", **words(OF_PAGE)))
    assert not {"nav", "a"} & {tag for tag, _ in of_one.tags}
    maps = [page_map(0, below=np.array([1, 1, -1, -1])), page_map(1, 0), page_map(2, 1)]
    found = Found(page.page(maps, "", **words(OF_PAGE)))
    links = [attributes for tag, attributes in found.tags if tag == "a"]
    assert [link["href"] for link in links] == ["#root", "#root/0", "#root/0/0"]
    assert [tag for tag, _ in found.tags].count("ul") == 3  # one within another
    places = json.loads(re.search(r'id="places">(.*?)</script>', page.page(maps, "", **words(OF_PAGE)))[1])
    assert [place["above"] for place in places] == [-1, 0, 1]
    assert [place["below"] for place in places] == [[1, 1, -1, -1], [], []]
