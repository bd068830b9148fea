"""What is written as JSON can be read by anybody."""

import json

import numpy as np
import pytest

from dask_igtm.data.json_text import dumps, loads


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def test_what_is_no_number_is_null():
    value = {"a": [1.5, np.nan, (np.float64(-np.inf), np.int32(3))], "b": {"c": True, "d": None, "e": "NaN"}}
    text = dumps(value)
    assert json.loads(text, parse_constant=refuse) == {
        "a": [1.5, None, [None, 3]],
        "b": {"c": True, "d": None, "e": "NaN"},
    }


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(TypeError, match=r"set\(\) cannot be saved; use"):
        dumps({"a": set()})


def test_what_was_written_is_read():
    value = {"a": [1, 2.5, None], "b": {"c": "d"}}
    assert loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": -Infinity}', "the number -Infinity"),
        ("[1]", "no object, but list"),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
        ("{", "Expecting"),
    ],
)
def test_what_nobody_wrote_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        loads(text)
