"""Text that does something to what shows it is shown as what it is, and all other text as it is."""

import warnings

import pytest

from dask_igtm.data.plain_text import escaped, listed
from dask_igtm.data.user_warnings import warn


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\0\r\nb\t", r"a\x00\r\nb\t"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("\u202edesrever\u2028", r"\u202edesrever\u2028"),
        ("\udcff\ud83d\ude00", r"\udcff\ud83d\ude00"),
        ("\ufffe", r"\ufffe"),
    ],
)
def test_what_does_something_is_written_as_python_writes_it(text, shown):
    assert escaped(text) == shown
    assert shown.isprintable()


@pytest.mark.parametrize(
    "text", ["", "sepal length (cm)", "Größe µm²", "漢字 😀", "zero\u200cwidth", r"C:\x1b", "</b>"]
)
def test_other_text_stays_as_it_is(text):
    assert escaped(text) == text


def test_values_that_are_listed():
    assert listed(["a", "b\x1b"], 2) == r"a, b\x1b"
    assert listed([1, 2, 3], 2) == "1, 2 and 1 more"


def test_warnings_are_such():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("the column \x1b[2J\n is none")
    assert [str(warning.message) for warning in caught] == [r"the column \x1b[2J\n is none"]
