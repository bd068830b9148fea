"""Labels have colours that are told apart, however many they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dask_igtm.plot.colors import CATEGORIES, CYCLIC, OTHER
from dask_igtm.plot.label_colors import colors_within, label_colors


def drawn(labels):
    return dict(zip(labels.names, labels.colors, strict=True))


def test_a_few_labels_have_a_colour_each_in_their_order():
    found = label_colors({"b": 3, "a": 1})
    assert drawn(found) == {"a": CATEGORIES[0], "b": CATEGORIES[1]}
    assert found.place == {"a": 0, "b": 1}
    assert found.n_others == 0
    ordered = label_colors({"b": 3, "a": 1}, order=["c", "b", "a"])
    assert ordered.names == ["b", "a"]


@given(st.dictionaries(st.integers(0, 99), st.integers(1, 1000), min_size=1, max_size=60))
def test_the_rarest_are_others(rows):
    found = label_colors(rows)
    own = [label for label, place in found.place.items() if place < len(CATEGORIES)]
    others = [label for label in rows if label not in own]
    assert len(own) == min(len(rows), len(CATEGORIES))
    assert all(rows[rare] <= min(rows[label] for label in own) for rare in others)
    assert found.place.keys() == rows.keys()
    assert (found.colors[-1] == OTHER) == bool(others)
    assert found.names == [*map(str, sorted(own)), *(["other"] if others else [])]
    assert found.n_others == len(others)
    assert found.share_of_others == pytest.approx(sum(rows[label] for label in others) / sum(rows.values()))
    assert list(found.own) == sorted(own)
    assert found.names_of_own == list(map(str, sorted(own)))


def test_a_label_that_is_called_other_is_not_the_others():
    found = label_colors(dict.fromkeys(["other", *map(str, range(20))], 1) | {"other": 5})
    assert found.names.count("other") == 1
    assert found.names[-1] == "other (2)"
    assert found.colors[found.place["other"]] != OTHER


def test_a_dict_says_colours_order_and_who_is_other():
    rows = {"a": 1, "b": 2, "c": 7}
    found = label_colors(rows, {"c": "#123456", "a": "teal", "not there": "red"})
    assert drawn(found) == {"c": "#123456", "a": "teal", "other": OTHER}
    assert found.place == {"c": 0, "a": 1, "b": 2}
    assert found.share_of_others == 0.2


def test_a_sequence_gives_the_most_frequent_a_colour_each():
    found = label_colors({"a": 1, "b": 2, "c": 3}, [(1.0, 0.0, 0.0), np.array([0, 0, 1, 0.5])])
    assert drawn(found) == {"b": "#ff0000", "c": "#0000ff", "other": OTHER}


def test_ordered_labels_have_colours_along_a_ramp():
    months = label_colors(dict.fromkeys(range(1, 13), 1), "cyclic")
    assert months.colors[0] == CYCLIC[0]
    assert len(set(months.colors)) == 12
    assert label_colors(dict.fromkeys("abc", 1), "diverging").colors[1] == "#ffffff"


def test_columns_of_others_are_one():
    found = label_colors({"a": 1, "b": 2, "c": 3}, {"b": "red"})
    merged = found.merged(["a", "b", "c"], np.array([[0.1, 0.7, 0.2], [0.5, 0.0, 0.5]]))
    np.testing.assert_allclose(merged, [[0.7, 0.3], [0.0, 1.0]])


@pytest.mark.parametrize(
    ("colors", "message"),
    [
        ({"a": "url(#x)"}, r"'url\(#x\)' is no colour; give one such as"),
        ({"a": (2, 0, 0)}, r"\(2, 0, 0\) is no colour"),
        ({"a": None}, "None is no colour"),
        ({"a": (0.1, 0.2)}, "is no colour"),
        ({"a": "blurple"}, "'blurple' is no colour"),
        ({"b": "red"}, "has none for any of the labels"),
        ([], "has none for any of the labels"),
        ("viridis", "colors='viridis'; give a dict of labels to colours"),
    ],
)
def test_what_is_no_colour_is_refused(colors, message):
    with pytest.raises(ValueError, match=message):
        label_colors({"a": 1}, colors)


def test_long_names_lose_their_middle_and_stay_apart():
    names = ["CD4+/CD45RA+/CD25- " + "naive " * 10 + end for end in ("T cells", "T helper")]
    found = label_colors(dict.fromkeys(names, 1))
    assert all(len(name) <= 60 for name in found.names)
    assert [name.endswith(("T cells", "T helper")) for name in found.names] == [True, True]
    assert len(set(found.names)) == 2
    same = [f"{'a' * 50}{number}{'b' * 50}" for number in range(3)]
    assert len(set(label_colors(dict.fromkeys(same, 1)).names)) == 3


def test_a_label_keeps_its_colour_where_others_are_absent():
    whole = label_colors({"a": 1, "b": 1, "c": 1}, ["red", "green", "blue"], order="abc")
    part = label_colors({"a": 1, "b": 0, "c": 1}, ["red", "green", "blue"], order="abc")
    assert drawn(whole) == {"a": "red", "b": "green", "c": "blue"}
    assert drawn(part) == {"a": "red", "c": "blue"}
    usual = label_colors({"c": 2, "a": 1}, order="abc")
    assert drawn(usual) == {"a": CATEGORIES[0], "c": CATEGORIES[2]}
    many = [str(number) for number in range(30)]
    assert drawn(label_colors({"7": 1, "29": 2}, order=many)) == {"7": CATEGORIES[0], "29": CATEGORIES[1]}


def test_sums_that_round_make_no_difference():
    counts = dict.fromkeys(map(str, range(26)), 50)
    rounded = {label: 50 * (1 + 1e-14 * (-1) ** number) for number, label in enumerate(counts)}
    assert label_colors(counts).own == label_colors(rounded).own


def test_columns_of_labels_without_rows_are_left_out():
    found = label_colors({"a": 1, "b": 0})
    np.testing.assert_array_equal(found.merged(["a", "b"], np.array([[0.5, 0.5]])), [[0.5]])


def test_labels_of_a_part_keep_the_colours_of_the_whole_and_others_take_free_ones():
    rows = {number: 100 - number for number in range(30)}  # of which 20 have a colour
    whole = label_colors(rows).own
    assert colors_within(rows, whole) == whole
    part = colors_within({3: 1.0, 5: 0.0, 25: 2.0, 29: 4.0}, whole)
    assert list(part) == [3, 25, 29]
    assert part[3] == whole[3]
    assert len(set(part.values())) == 3
    assert set(part.values()) <= set(CATEGORIES)
    assert colors_within({}, whole) == {}
