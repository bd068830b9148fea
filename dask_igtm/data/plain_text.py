"""Text of the user as text that does nothing to what shows it: a terminal, a log, a picture or a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# Controls, whose sequences move and colour what a terminal shows; marks that turn the direction of what
# follows; separators of lines; and what UTF-8 or XML cannot hold: lone surrogates, as in file names that are
# no UTF-8, and two that are no characters.
ACTIVE = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def escaped(value: Any) -> str:
    r"""Return the text of a value on one line, what does something in it as Python writes it: \x1b."""
    return ACTIVE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(value))


def listed(values: Iterable[Any], shown: int) -> str:
    """Return the texts of the first few values, and how many more there are."""
    texts = list(map(escaped, values))
    more = f" and {len(texts) - shown} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more
