"""What Python says of its parameters, as the options of a command have it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from typing import Any

import click

Words = Callable[[str], str]

ABBREVIATED = {"regul", "niter", "tol"}  # which are no words of English, as `scale` and `missing` are
OTHERWISE = {"ids": "index"}  # how Python calls what an option chooses

QUOTED = r"""(?<!\w)(?:'[^']*'|"[^"]*")"""  # names of files and columns, which stay as they are
BEGINNING = r"(?<![\w./-])"
VALUE = r"""'[^']*'|"[^"]*"|\([^)]*\)|\[[^]]*\]|(?:[\w+-]|\.(?=\w))*"""


def words_of(parameters: Iterable[click.Parameter]) -> Words:
    """Return what rewrites `name=value` of a text as `--name value`, where that is an option of the command.

    A name that stands alone is rewritten as well if it is no word of English.
    """
    options = {option.name or "": option for option in parameters if isinstance(option, click.Option)}
    options |= {name: options[option] for name, option in OTHERWISE.items() if option in options}
    known = "|".join(options)
    alone = "|".join(name for name in options if "_" in name or name in ABBREVIATED) or "(?!)"
    given = re.compile(f"{QUOTED}|{BEGINNING}(?:({known})=({VALUE})|({alone})\\b(?!=))")

    def rewritten(found: re.Match[str]) -> str:
        name, value, bare = found.groups()
        if bare:
            return _written(options[bare])
        return found[0] if name is None else _with_value(options[name], value)

    def words(text: str) -> str:
        return re.sub(r"(--[\w-]+) \(\1\)", r"\1", given.sub(rewritten, text))  # which named both

    return words


def _written(option: click.Option) -> str:
    return max(option.opts, key=len)


def _with_value(option: click.Option, text: str) -> str:
    value = _read(text)
    if not option.is_flag:
        return f"{_written(option)} {_word(value)}".rstrip()
    if value is not False:
        return _written(option)
    return max(option.secondary_opts, key=len, default=f"no {_written(option)}")


def _read(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _word(value: Any) -> str:
    """Return a value of Python as it is typed."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_word, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
