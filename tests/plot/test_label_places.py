"""Names in a map, held against plain arithmetic on every pixel."""

import re
import unicodedata

import numpy as np
import pytest
import vl_convert
from hypothesis import given, settings
from hypothesis import strategies as st

from dask_igtm.plot.label_places import GAP, places_of, text_box

DEJAVU_BOLD = """
i 0.343 j 0.343 . 0.380 ! 0.456 I 0.372 - 0.415 t 0.478 z 0.582 e 0.678 0 0.696 b 0.716 w 0.924 m 1.042
{ 0.712 + 0.838 & 0.872 Q 0.850 H 0.837 M 0.995 W 1.103 @ 1.000 % 1.002 ½ 1.035 Æ 1.085 Œ 1.167 ш 1.056
Щ 1.329 ω 0.870 ‱ 1.887"""  # advance widths by the size of the font, from its table of metrics


@st.composite
def maps(draw, most_pixels, most_names):
    """Return anchors, boxes, mass and side of a small map."""
    side = draw(st.integers(6, most_pixels))
    n, cells = draw(st.integers(0, most_names)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    anchors = rng.uniform(0, side, (n, 2))
    boxes = rng.uniform(0.5, draw(st.sampled_from([0.3, 0.8, 1.2])) * side, (n, 2))
    mass = draw(st.sampled_from([rng.gamma, rng.poisson]))(0.7, size=(cells, cells)).astype(float)
    return anchors, boxes, mass, side


def corners(places, boxes):
    """Return the left, top, right and bottom of each box, which is drawn on whole pixels."""
    for place, box in zip(places, boxes, strict=True):
        if place is not None:
            x, y, (width, height) = *place, np.ceil(box)
            yield x - width / 2, y - height / 2, x + width / 2, y + height / 2


def overlap(a, b, gap=0.0):
    return min(a[2], b[2]) - max(a[0], b[0]) > -gap and min(a[3], b[3]) - max(a[1], b[1]) > -gap


def densest(mass):
    """Return the rows and columns of the cells that hold half, all that are alike, and are above the mean."""
    held, last, found = 0.0, np.inf, []
    for cell in sorted(np.ndindex(mass.shape), key=lambda cell: -mass[cell]):
        if (held >= mass.sum() / 2 and mass[cell] < last) or mass[cell] <= mass.mean() * (1 + 1e-9):
            break
        held, last = held + mass[cell], mass[cell]
        found.append(cell)
    return found


def cells_beneath(box, mass, side):
    """Return for each cell the share of its area beneath a box."""
    edges = np.arange(len(mass) + 1) * side / len(mass)

    def along(low, high):
        return np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * len(mass) / side

    return np.outer(along(box[1], box[3]), along(box[0], box[2]))


@given(maps(40, 6))
@settings(max_examples=200, deadline=None)
def test_names_lie_apart_within_the_map_and_off_the_densest_cells(case):
    anchors, boxes, mass, side = case
    places = places_of(anchors, boxes, mass, side)
    assert len(places) == len(anchors)
    found = list(corners(places, boxes))
    for number, box in enumerate(found):
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= side
        assert box[3] <= side
        assert not any(overlap(box, other, GAP) for other in found[:number])
        covered = cells_beneath(box, mass, side)
        assert all(covered[cell] < 1e-6 for cell in densest(mass))


@given(maps(18, 4))
@settings(max_examples=60, deadline=None)
def test_no_other_free_place_would_cost_a_name_less(case):
    anchors, boxes, mass, side = case
    places = places_of(anchors, boxes, mass, side)
    dense = densest(mass)

    def cost(box, anchor):
        distance = np.hypot((box[0] + box[2]) / 2 - anchor[0], (box[1] + box[3]) / 2 - anchor[1])
        return distance + side * (cells_beneath(box, mass, side) * mass).sum() / max(mass.sum(), 1e-300)

    for name, (place, size) in enumerate(zip(places, np.ceil(boxes), strict=True)):
        others = [*corners(places[:name], boxes[:name]), *corners(places[name + 1 :], boxes[name + 1 :])]
        free = [
            cost(box, anchors[name])
            for left in range(side - int(size[0]) + 1)
            for top in range(side - int(size[1]) + 1)
            for box in [(left, top, left + size[0], top + size[1])]
            if not any(overlap(box, other, GAP) for other in others)
            and all(cells_beneath(box, mass, side)[cell] < 1e-6 for cell in dense)
        ]
        if place is None:
            assert free == []
        else:
            own = next(corners([place], [size]))
            assert cost(own, anchors[name]) == pytest.approx(min(free), abs=1e-6)


def test_a_name_in_a_bare_place_stays_where_it_is():
    mass = np.zeros((20, 20))
    mass[:5, :5] = 1.0
    anchors = np.array([[150.0, 150.0], [60.0, 170.0]])
    assert places_of(anchors, np.array([[60.0, 14.0], [40.0, 14.0]]), mass, 200) == [(150, 150), (60, 170)]


def test_a_name_goes_beside_the_dense_cells_that_it_names():
    mass = np.zeros((20, 20))
    mass[8:12, 8:12] = 1.0  # from 80 to 120 pixels
    (place,) = places_of(np.array([[100.0, 95.0]]), np.array([[90.0, 14.0]]), mass, 200)
    assert place == (100.0, 73.0)


def test_the_first_name_has_the_place_that_two_want():
    anchors, boxes = np.full((2, 2), 50.0), np.array([[40.0, 10.0], [30.0, 10.0]])
    first, second = places_of(anchors, boxes, np.zeros((4, 4)), 100)
    assert first == (50.0, 50.0)
    assert second == (50.0, 50.0 - 10 - GAP)


@pytest.mark.parametrize(("share", "place"), [(0.01, (55, 97)), (0.4, (55, 110))])
def test_mass_beneath_drives_a_name_as_far_as_its_share_of_the_side(share, place):
    mass = np.zeros((20, 20))
    mass[0, 0] = 1 - share
    mass[9, 5] = share  # from 50 to 60 pixels, and from 90 to 100
    assert places_of(np.array([[55.0, 97.0]]), np.full((1, 2), 20.0), mass, 200) == [place]


def test_where_all_is_alike_nothing_is_dense():
    anchors = np.array([[20.0, 50.0], [80.0, 50.0]])
    places = places_of(anchors, np.full((2, 2), 10.0), np.full((7, 7), 0.1), 100)
    assert places == [(20.0, 50.0), (80.0, 50.0)]


def test_a_name_larger_than_the_map_has_no_place():
    boxes = np.array([[101.0, 10.0], [10.0, 101.0], [300.0, 300.0], [100.0, 10.0], [0.0, 0.0]])
    places = places_of(np.full((5, 2), 50.0), boxes, np.zeros((4, 4)), 100)
    assert places[:3] == [None, None, None]
    assert places[3] == (50.0, 50.0)
    assert places[4] is not None


def measured(text, font):
    """Return the width of a text in bold as the renderer has it, to whole pixels."""
    mark = {
        "type": "text",
        "encode": {
            "enter": {
                "text": {"value": text},
                "font": {"value": font},
                "fontSize": {"value": 100},
                "fontWeight": {"value": "bold"},
            }
        },
    }
    spec = {"$schema": "https://vega.github.io/schema/vega/v5.json", "padding": 0, "width": 1, "height": 1}
    svg = vl_convert.vega_to_svg(spec | {"autosize": "pad", "marks": [mark]})
    return float(re.search(r'width="([\d.]+)"', svg).group(1)) - 2


LATIN_1 = [character for character in map(chr, range(0x21, 0x100)) if character.isprintable()]


@pytest.mark.parametrize("font", ["sans-serif", "DejaVu Sans", "Verdana"])
@pytest.mark.parametrize("characters", [LATIN_1, list("ωΩΣжщЖЩ"), list("漢字カガ한글")], ids=len)
def test_a_box_holds_its_text_in_usual_fonts(font, characters):
    if font != "sans-serif" and measured("W" * 20, font) == measured("W" * 20, "no such font"):
        pytest.skip(f"{font} is not installed")
    for character in characters:
        text = 5 * character
        assert text_box(text, 100)[0] >= measured(text, font), character


def test_a_box_holds_the_widest_usual_font():
    words = DEJAVU_BOLD.split()
    for character, width in zip(words[::2], words[1::2], strict=True):
        assert text_box(character, 1)[0] >= float(width) - 5e-4, character
    for form in ("NFC", "NFD"):
        assert 6 <= text_box(unicodedata.normalize(form, "漢字カガ한글"), 1)[0] < 6.5  # of squares


def test_a_box_is_not_much_wider_than_its_text():
    for text, widest in {"CD4+/CD45RA+/CD25- Naive T": 17.10, "Megakaryocyte progenitors": 15.58}.items():
        assert widest <= text_box(text, 1)[0] <= 1.2 * widest


def test_accents_take_no_width_however_they_are_written():
    for text in ["Größe", "Crème brûlée"]:
        bare = "".join(each for each in unicodedata.normalize("NFD", text) if not unicodedata.combining(each))
        for form in ("NFC", "NFD"):
            assert text_box(unicodedata.normalize(form, text), 10) == text_box(bare, 10)
    assert text_box("a\u2060b", 10) == text_box("ab", 10)


def test_a_box_grows_with_the_font():
    assert text_box("abc", 20) == pytest.approx(np.array(text_box("abc", 10)) * 2)
    assert text_box("", 10) == (0, 13)
