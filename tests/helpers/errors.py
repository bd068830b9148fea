"""What an error says, notes included."""

import re

import pytest


def raised(kind, call, *args, **kwargs):
    """Return all that the error of a call says, notes included."""
    with pytest.raises(kind) as error:
        call(*args, **kwargs)
    return "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])


def assert_says(message, *patterns):
    for pattern in patterns:
        assert re.search(pattern, message, re.IGNORECASE), f"{pattern!r} is not in {message!r}"
