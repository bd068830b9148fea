"""The colours differ for every reader, by the simulations and the metrics of another library."""

import itertools

import numpy as np
import pytest
from coloraide import Color

from dask_igtm.plot.colors import AMOUNTS, CATEGORIES, CYCLIC, DIVERGING, OTHER

SIGHTS = ("usual", "deutan", "protan", "tritan", "dark")
LEAST = {  # as the module says, of the first ten and of all
    "usual": (22.4, 15.3),
    "deutan": (12.3, 8.4),
    "protan": (11.7, 8.4),
    "tritan": (16.3, 8.5),
    "dark": (18.3, 12.7),
}


def seen(color, sight):
    """Return a colour as a reader sees it, or as a dark page shows it."""
    color = Color(color)
    if sight == "dark":
        return color.filter("invert", 0.88, space="srgb").filter("hue-rotate", 180, space="srgb").clip()
    return color if sight == "usual" else color.filter(sight, 1, method="machado").convert("srgb").clip()


def distance(one, other):
    return one.delta_e(other, method="2000")


def least_distance(colors, sight):
    return min(itertools.starmap(distance, itertools.combinations([seen(c, sight) for c in colors], 2)))


def lightness(colors):
    return np.array([Color(color).convert("lab-d65")["lightness"] for color in colors])


def steps(colors, sight):
    shown = [seen(color, sight) for color in colors]
    return np.array(list(itertools.starmap(distance, itertools.pairwise(shown))))


def test_the_simulations_are_those_of_the_papers():
    # White stays, red and green come near each other; a dark page's ground is that of its charts.
    assert least_distance(["#ff0000", "#00ff00"], "usual") > 80
    assert least_distance(["#996600", "#607d00"], "deutan") < 5
    assert all(distance(seen("#ffffff", sight), Color("#ffffff")) < 0.1 for sight in SIGHTS[:-1])
    assert seen("#ffffff", "dark").to_string(hex=True) == "#1f1f1f"


@pytest.mark.parametrize("sight", SIGHTS)
def test_classes_are_as_far_apart_as_is_said(sight):
    for n, least in zip((10, 20), LEAST[sight], strict=True):
        assert least <= least_distance([*CATEGORIES[:n], OTHER], sight) < least + 0.15


def test_the_first_colours_are_the_farthest_apart():
    shown = {color: [seen(color, sight) for sight in SIGHTS] for color in CATEGORIES}

    def from_all(color, others):
        return min(min(map(distance, shown[color], shown[other])) for other in others)

    for n in range(1, 20):
        rest = CATEGORIES[n:10] or CATEGORIES[n:]
        assert from_all(CATEGORIES[n], CATEGORIES[:n]) == max(from_all(c, CATEGORIES[:n]) for c in rest)


def test_classes_are_twenty_and_neither_white_nor_black_nor_grey():
    assert len(set(CATEGORIES)) == 20
    assert (lightness(CATEGORIES) > 25).all()
    assert (lightness(CATEGORIES) < 82.5).all()
    assert min(Color(color).convert("lch-d65")["chroma"] for color in CATEGORIES) > 30
    assert Color(OTHER).convert("lch-d65")["chroma"] < 1
    assert all(distance(seen(OTHER, sight), seen("#ffffff", sight)) > 10 for sight in SIGHTS)


def test_amounts_begin_white_and_fall_evenly_to_the_dark():
    assert AMOUNTS[0] == "#ffffff"
    falls = -np.diff(lightness(AMOUNTS))
    assert falls.min() > 0.9 * falls.max()
    assert lightness(AMOUNTS)[-1] < 15
    for sight in SIGHTS:
        assert steps(AMOUNTS, sight).min() > 4
    dark = [seen(color, "dark").convert("lab-d65")["lightness"] for color in AMOUNTS]
    assert (np.diff(dark) > 0).all()


def test_changes_are_alike_on_both_sides_of_white():
    half = len(DIVERGING) // 2
    assert len(DIVERGING) == 2 * half + 1
    assert DIVERGING[half] == "#ffffff"
    light = lightness(DIVERGING)
    assert light == pytest.approx(light[::-1], abs=0.3)
    rises = np.diff(light[: half + 1])
    assert rises.min() > 0.9 * rises.max()
    for sight in SIGHTS:
        pairs = zip(DIVERGING[:half], DIVERGING[:half:-1], strict=True)
        assert min(distance(seen(one, sight), seen(other, sight)) for one, other in pairs) > 20


def test_what_goes_round_has_no_step():
    assert CYCLIC[0] == CYCLIC[-1]
    assert len(set(CYCLIC)) == len(CYCLIC) - 1
    light = lightness(CYCLIC)
    assert light.min() > 30
    assert light.max() < 80
    half = len(CYCLIC) // 2
    assert (np.diff(light)[:half] < 0).all()
    assert (np.diff(light)[half:] > 0).all()
    assert light == pytest.approx(light[::-1], abs=0.5)
    assert steps(CYCLIC, "usual").max() < 2 * steps(CYCLIC, "usual").min()


def test_a_quarter_round_is_another_colour():
    quarter = (len(CYCLIC) - 1) // 4
    for sight, (one, first), (other, second) in itertools.product(
        SIGHTS, enumerate(CYCLIC[:-1]), enumerate(CYCLIC[:-1])
    ):
        if min((one - other) % (4 * quarter), (other - one) % (4 * quarter)) >= quarter:
            assert distance(seen(first, sight), seen(second, sight)) > 7
