"""What a page tells of a node is what the landscapes and tables of the map say of it."""

import json

import numpy as np
import pytest

from dask_igtm import landscape
from dask_igtm.data.json_text import dumps
from dask_igtm.plot.node_facts import SHOWN_CLASSES, node_facts, row_names

K = 6  # of the map in conftest


def columns(frame):
    return {name: frame[name].to_numpy() for name in frame}


@pytest.fixture(scope="module")
def members(igtm, X):
    return columns(landscape.members(igtm, X, top=3))


@pytest.fixture(scope="module")
def markers(igtm, X):
    return columns(landscape.markers(igtm, X, n=2))


@pytest.fixture(scope="module")
def density(igtm, X):
    return landscape.density(igtm, X)


def through_json(facts):
    return json.loads(dumps(facts))


def test_a_node_has_its_place_and_rows(igtm, density, members, markers):
    facts = through_json(node_facts(density, None, None, members, markers))
    assert facts["k"] == K
    for node, (x1, x2) in enumerate(igtm.nodes_):
        assert facts["axis"][node // K] == pytest.approx(x1, abs=1e-5)
        assert facts["axis"][node % K] == pytest.approx(x2, abs=1e-5)
    np.testing.assert_allclose(facts["rows"], density.support, rtol=1e-5)
    assert facts["classes"] is None
    assert facts["means"] == []


def test_a_node_has_its_likeliest_classes_in_order(igtm, X, density, members, markers):
    labels = np.arange(len(X)) % (SHOWN_CLASSES + 3)
    classes = landscape.classes(igtm, X, labels)
    found = through_json(node_facts(density, classes, None, members, markers))["classes"]
    for which, share, expected in zip(found["which"], found["share"], classes.values, strict=True):
        assert len(which) == SHOWN_CLASSES
        np.testing.assert_allclose(share, np.sort(expected)[::-1][:SHOWN_CLASSES], rtol=1e-5)
        np.testing.assert_allclose(share, expected[which], rtol=1e-5)
    assert found["names"] == [str(label) for label in classes.columns]


def test_a_node_has_the_means_of_values(igtm, X, y, density, members, markers):
    means = landscape.property(igtm, X, np.column_stack([y, np.full(len(X), np.nan)]))
    facts = through_json(node_facts(density, None, means, members, markers, ["height", "unknown"]))
    height, unknown = facts["means"]
    assert [height["name"], unknown["name"]] == ["height", "unknown"]
    for part in ("mean", "std"):
        np.testing.assert_allclose(height[part], means.part(part)[:, 0], rtol=1e-5)
        assert set(unknown[part]) == {None}


def test_entries_of_a_node_lie_between_two_starts(density, members, markers):
    few = {name: array[members["node"] != 7] for name, array in members.items()}  # and none at node 7
    facts = through_json(node_facts(density, None, None, few, markers))
    for name, table, column in (("members", few, "probability"), ("markers", markers, "difference")):
        found = facts[name]
        for node in range(K * K):
            at = slice(*found["start"][node : node + 2])
            np.testing.assert_allclose(found[column][at], table[column][table["node"] == node], rtol=1e-5)
    assert facts["members"]["start"][7] == facts["members"]["start"][8]
    assert facts["members"]["start"][-1] == len(few["node"])


def test_rows_and_columns_are_called_what_they_are(density, members, markers):
    evil = np.array([f"\0\u202e{row}</script>" for row in members["row"]], dtype=object)
    named = {
        "node": members["node"],
        "plate": np.full(len(evil), "x" * 400),
        "well": evil,
        "probability": members["probability"],
    }
    facts = through_json(node_facts(density, None, None, named, markers))
    assert row_names(named) == facts["members"]["names"] == ["plate", "well"]
    plates, wells = facts["members"]["ids"]
    assert {len(plate) for plate in plates} == {300}
    assert wells[0] == rf"\x00\u202e{members['row'][0]}</script>"  # text of the page, which ends no script
    found = facts["markers"]
    assert [found["names"][number] for number in found["which"]] == [str(name) for name in markers["column"]]
