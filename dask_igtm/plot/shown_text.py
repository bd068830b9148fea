"""Text of the user as pictures show it: it cannot break, open or end anything, whoever draws or holds them.

Altair writes the text of a chart as it is into the script of a page, Vega-Lite writes names into expressions
of Vega and escapes their quotes alone, and renderers of SVG and PNG end the process at a NUL. So every text
passes here once.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

from dask_igtm.data.plain_text import escaped

LONGEST = 300  # characters; a picture has room for fewer
LONGEST_NAME = 60  # of a class, which stands beside the picture
# What begins the end of a script, or hides that; and what makes something else of the next character.
BEGINNINGS = re.compile(r"<(?=[/!])|\\")
WORD_JOINER = "\u2060"  # which is not seen, and keeps them from what follows
FIELDS_OF_TOOLTIPS = ("title", "image")  # shown as a heading, and as the image at their address


def shown(value: Any) -> str:
    """Return the text of a value as a picture can show it."""
    text = str(value)
    text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
    return BEGINNINGS.sub(rf"\g<0>{WORD_JOINER}", escaped(text))


def shown_title(text: Any) -> str | list[str]:
    """Return the line of a title, or its lines."""
    lines = list(map(shown, str(text).split("\n")))
    return lines if len(lines) > 1 else lines[0]


def shown_apart(values: Iterable[Any]) -> list[str]:
    """Return the texts of values, which differ as these do: those that would look alike are counted."""
    return apart(map(shown, values))


def apart(shown_texts: Iterable[str]) -> list[str]:
    """Return texts of which those that are alike are counted."""
    texts: dict[str, None] = {}
    for text in shown_texts:
        others = (f"{text} ({number})" for number in itertools.count(2))
        texts[next(each for each in itertools.chain([text], others) if each not in texts)] = None
    return list(texts)


def shown_names(labels: Iterable[Any]) -> list[str]:
    """Return the names of classes, which differ as these do; long ones lose their middle."""
    return shown_apart(_without_middle(str(label)) for label in labels)


def _without_middle(text: str) -> str:
    half = LONGEST_NAME // 2
    return text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half + 1 :]}"


def shown_field(name: str) -> str:
    """Return what a tooltip calls a field."""
    return name + WORD_JOINER if name in FIELDS_OF_TOOLTIPS else shown(name)
