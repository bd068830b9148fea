"""Values and labels of rows: what counts as one, what is missing, and how sets of labels grow."""

import datetime
from decimal import Decimal
from fractions import Fraction

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dask_igtm.statistics.targets import check_comparable, distinct, floats_of, labels_of, numbers_of, union

MISSING = [None, np.nan, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), Decimal("nan")]


def objects(*values):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize("gap", MISSING, ids=repr)
@pytest.mark.parametrize("values", [("a", "b"), (b"a", b"b"), (1, 2), (False, True), (1.0, 2.0)], ids=str)
def test_every_kind_of_gap_is_one_among_objects(gap, values):
    present, labels = labels_of(objects(values[0], gap, values[1]))
    assert present.tolist() == [True, False, True]
    assert labels.tolist() == [*values]
    if not isinstance(values[0], (str, bytes)):
        assert_array_equal(floats_of(objects(*values, gap)), [*map(float, values), np.nan])


def test_words_that_look_missing_are_labels():
    present, labels = labels_of(objects("nan", "None", "", "NA"))
    assert present.all()
    assert labels.tolist() == ["nan", "None", "", "NA"]


def test_a_block_without_rows():
    assert numbers_of(np.empty(0)).shape == (0, 1)
    assert numbers_of(np.empty((0, 3))).shape == (0, 3)


def test_real_numbers_of_python():
    values = objects(1, 2.5, True, np.float32(0.5), np.bool_(False), Decimal("0.25"), Fraction(1, 8))
    assert_array_equal(floats_of(values), [1, 2.5, 1, 0.5, 0, 0.25, 0.125])
    assert_array_equal(numbers_of(values[:, None]), floats_of(values)[:, None])


@pytest.mark.parametrize(
    "other", ["1", b"1", 1j, np.timedelta64(1, "D"), datetime.date(2020, 1, 1), [1.0], (1,), pd.Timestamp(0)]
)
def test_what_is_no_real_number_is_named(other):
    kind = type(other).__name__
    with pytest.raises(ValueError, match=rf"not a real number \(a {kind}\); give numbers here"):
        numbers_of(objects(1.0, other))
    if not isinstance(other, (str, bytes)):
        with pytest.raises(ValueError, match=f"labels holds a {kind}; give strings"):
            labels_of(objects(1, other))


@pytest.mark.parametrize(
    "values",
    [np.array(["1"]), np.array([b"1"]), np.array([1j]), np.array([1], "M8[D]"), np.array([1], "m8[D]")],
)
def test_types_that_hold_no_real_number(values):
    with pytest.raises(ValueError, match=r"not a real number \(dtype"):
        numbers_of(values)


@pytest.mark.parametrize(
    ("values", "kinds"),
    [((1, "a"), "numbers, strings"), ((True, 1), "bools, numbers"), ((b"a", "a"), "bytes, strings")],
)
def test_labels_are_of_one_kind(values, kinds):
    with pytest.raises(ValueError, match=rf"several types \({kinds}\); give them as strings"):
        labels_of(objects(*values))
    with pytest.raises(ValueError, match=rf"several types \({kinds}\)"):
        union(distinct(objects(values[0]))[0], distinct(objects(values[1]))[0])
    with pytest.raises(ValueError, match=rf"several types \({kinds}\)"):
        union(np.array(values[:1]), np.array(values[1:]))


@pytest.mark.parametrize("values", [[0.5], [np.inf], [1, 0.5]])
def test_fractions_are_no_labels(values):
    for labels in (np.array(values, dtype=float), objects(*values)):
        with pytest.raises(ValueError, match="fractions or infinity, so it is no set of classes"):
            labels_of(labels)


@pytest.mark.parametrize("shape", [(), (2, 2), (2, 0), (2, 1, 1)])
def test_labels_are_one_a_row(shape):
    with pytest.raises(ValueError, match="give a 1D array, one label a row"):
        labels_of(np.zeros(shape))
    assert labels_of(np.zeros((2, 1)))[1].shape == (2,)


def test_objects_become_numpys_numbers():
    for labels, kind in (
        (objects(2, 1, 2), "i"),
        (objects(True), "b"),
        (objects(1.0), "f"),
        (objects(b"a"), "S"),
    ):
        assert distinct(labels)[0].dtype.kind == kind
    assert distinct(objects("b", "a"))[0].tolist() == ["a", "b"]
    for too_long in ((2**63 + 1, 2**63 + 2, -1), (2**70,)):
        with pytest.raises(ValueError, match="more than 64 bits"):
            distinct(objects(*too_long))


@hypothesis.given(st.lists(st.lists(st.integers(-3, 3) | st.none(), max_size=5), min_size=1, max_size=4))
def test_labels_of_blocks_are_those_of_all_rows(blocks):
    found = [distinct(labels_of(objects(*block))[1])[0] for block in blocks]
    merged = found[0]
    for labels in found[1:]:
        merged = union(merged, labels)
    assert merged.tolist() == sorted({label for block in blocks for label in block} - {None})


@pytest.mark.parametrize(
    ("classes", "labels"),
    [([0, 1], [True]), ([True], [0]), ([0, 1], [1.0]), (["a"], ["b"]), (["a"], objects())],
)
def test_labels_of_the_kind_of_the_classes(classes, labels):
    check_comparable(np.array(classes), np.asarray(labels))


@pytest.mark.parametrize(
    ("classes", "labels", "match"),
    [([0], ["a"], "strings, and fit saw numbers"), (["a"], [b"a"], "bytes, and fit saw strings")],
)
def test_labels_of_another_kind_than_the_classes(classes, labels, match):
    with pytest.raises(ValueError, match=f"y holds {match}; give labels of the same type"):
        check_comparable(np.array(classes), np.array(labels))
