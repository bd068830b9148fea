"""The page of an atlas in a browser: maps are opened and left by clicks, from the keyboard and by address.

Needs Chromium. With BROWSER=required, its absence is a failure.
"""

import os

import numpy as np
import pandas as pd
import pytest
from helpers.atlases import K_BELOW, NAMES, K, atlas
from helpers.browser import CHROMIUM, LOOK, attribute, shown, used
from helpers.data import correlated

from dask_igtm import report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and os.environ.get("BROWSER") != "required", reason="there is no Chromium"
    ),
]

RUN = "document.title='owned'"
HOSTILE = [f'<img src=x onerror="{RUN}">', f"</script><script>{RUN}</script>"]
X = pd.DataFrame(correlated(300, 4), columns=[*HOSTILE, "c", "d"])
LABELS = pd.Series(np.where(X["c"] > 0, *HOSTILE), name=HOSTILE[0])
N_MAPS = 4  # charts of each


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "map.html"
    report(atlas(X), X, path, labels=LABELS, ids=LABELS, title="Maps")
    return path.read_text()


@pytest.fixture
def page(written, tmp_path):
    (tmp_path / "map.html").write_text(written)
    return tmp_path / "map.html"


def walked(page, *steps, at=""):
    """Return what the page tells after each step; the console has to stay empty, and no text run."""
    states, console = used(page, page.parent / "profile", steps, at)
    assert console == []
    assert {state["images"] for state in states} == {0}
    assert "owned" not in {state["title"] for state in states}
    return states


def assert_open(state, name, *, focused="maps"):
    """Check that the page shows a map, and says so wherever it says which."""
    assert state["path"] == name
    assert state["current"].split()[0] == name
    assert state["title"] == ("Maps" if name == "root" else f"{name} · Maps")
    assert f"{K} x {K}" in state["glance"] if name == "root" else f"{K_BELOW} x {K_BELOW}" in state["glance"]
    regions = {"root": ["0", "2"], "root/0": ["1"]}.get(name, [])
    assert state["regions"] == [regions] * N_MAPS
    assert state["focused"] == focused


def test_regions_are_opened_and_left_by_buttons(page):
    plain, chosen, opened, inside, deeper, back, home = walked(
        page,
        ["click", 1, 2, 3],
        ["click", 0, 1, 3],
        ["press", "#node .open"],
        ["click", 2, 3, 1],
        ["press", "#node .open"],
        ["press", "#back"],
        ["press", "#path a"],
    )
    assert "Open" not in plain["panel"]
    assert "Open root/0" in chosen["panel"]
    assert chosen["told"].endswith("Enter opens root/0.")
    assert_open(opened, "root/0")
    assert opened["marks"] == [[]] * N_MAPS
    assert opened["told"].startswith("Map root/0 is open: ")
    assert opened["told"].endswith("Backspace goes back to root.")
    assert inside["marks"] == [[[3, 1]]] * N_MAPS
    assert_open(deeper, "root/0/1")
    assert_open(back, "root/0")
    assert back["marks"] == inside["marks"]  # as it was left
    assert_open(home, "root")
    assert home["marks"] == [[[1, 3]]] * N_MAPS


def test_regions_are_opened_and_left_from_the_keyboard(page):
    states = walked(
        page,
        ["focus"],
        ["key", "ArrowUp"],
        ["key", "End"],
        ["key", "Enter"],
        ["key", "Enter"],
        ["key", "Backspace"],
        ["key", "Backspace"],
        ["key", "Home"],
        ["key", "Enter"],
        ["key", "ArrowUp"],
        ["key", "End"],
        ["key", "Enter"],
    )
    for number, name in enumerate(
        [*["root"] * 3, *["root/2"] * 2, *["root"] * 3, *["root/0"] * 3, "root/0/1"]
    ):
        assert_open(states[number], name)


def test_the_list_of_maps_leads_to_all(page):
    states = walked(page, *(["press", f'#tree a[href="#{name}"]'] for name in reversed(NAMES)))
    for state, name in zip(states, reversed(NAMES), strict=True):
        assert_open(state, name, focused=state["focused"])
        assert state["hash"] == f"#{name}"


def test_the_address_keeps_the_map_and_the_browser_goes_back(page):
    at_first, up, back, forth = walked(
        page, ["focus"], ["key", "Backspace"], ["go", -1], ["go", 1], at="#root/0/1"
    )
    for state, name in zip(
        (at_first, up, back, forth), ["root/0/1", "root/0", "root/0/1", "root/0"], strict=True
    ):
        assert_open(state, name)


@pytest.mark.parametrize("wrong", ["#root/9", "#%3Cimg%20src=x%3E"])
def test_an_address_of_no_map_is_that_of_the_root(page, wrong):
    (state,) = walked(page, ["focus"], at=wrong)
    assert_open(state, "root")


def test_what_is_told_of_a_node_is_of_its_map(page):
    above, _, below = walked(page, ["click", 0, 0, 0], ["press", "#node .open"], ["click", 0, 0, 0])
    for state in (above, below):
        assert state["panel"].startswith("Node 0")
        assert HOSTILE[0] in state["panel"]
    assert above["panel"] != below["panel"]


def test_maps_below_are_dark_too(page):
    found, console = shown(
        page, page.parent / "profile", LOOK, "--blink-settings=preferredColorScheme=0", hash="#root/0"
    )
    assert console == []
    assert attribute(found, "data-look")["charts"] == "invert(0.88) hue-rotate(180deg)"
