"""Texts that mean something to a terminal, a picture, a page or a file."""

import re

PIECES = [
    *('\\"', '\\": warn("owned"), "'),
    *(
        "</script>",
        "<!--",
        "<script>",
        "-->",
        "]]>",
        '"',
        "'",
        "&",
        "\\",
        "\\u0000",
        "%s",
        "{}",
        "${x}",
        "$x",
    ),
    *("\0", "\x01", "\x1b[31m", "\x1b]0;owned\a", "\r", "\n", "\t", "\x7f", "\x85", "\x9b2J"),
    *("\u2028", "\u2029", "\u202e", "\u2066", "\u200f", "\ud800", "\udcff", "\ufffe", "\uffff", "\ufeff"),
    *("datum.x", "a.b[0]", "=1+1", "é", "漢", "😀", " ", "", "x" * 400),
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
]

# Written out, so as not to ask the package what it thinks of as such.
ACTIVE = re.compile(
    "[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def text(rng):
    """Return a text of some pieces."""
    return "".join(PIECES[number] for number in rng.integers(len(PIECES), size=rng.integers(1, 5)))


def texts(rng, count):
    """Return texts that differ."""
    found = {}
    while len(found) < count:
        found[text(rng)] = None
    return list(found)


def strings(value):
    """Yield every string in a specification."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def faults_of(spec):
    """Return the strings of a specification that a page or a renderer would stumble over."""
    return [
        found
        for found in strings(spec)
        if ACTIVE.search(found) or "\n" in found or re.search(r"<[/!]|\\(?!\u2060)", found)
    ]
