"""The estimator's parameters as options of a command, from its signature and its documentation."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from typing import Any

import click

SHOWN_OTHERWISE = {"self", "verbose"}  # commands have --verbose/--quiet
WORDS = {"none": None, "true": True, "false": False}
TYPES = {"int": click.INT, "float": click.FLOAT, "bool": click.Choice(["true", "false"])}


@functools.cache
def estimator_options() -> tuple[click.Option, ...]:
    """Return one option for each parameter, with its default and its description."""
    from dask_igtm import IGTM

    described = _described(inspect.getdoc(IGTM) or "")
    parameters = inspect.signature(IGTM.__init__).parameters
    return tuple(
        _option(name, parameter.default, *described.get(name, ("", "")))
        for name, parameter in parameters.items()
        if name not in SHOWN_OTHERWISE
    )


def _option(name: str, default: Any, kind: str, description: str) -> click.Option:
    return click.Option(
        [f"--{name.replace('_', '-')}"],
        type=_type(kind),
        default=_written(default),
        show_default=True,
        help=description,
        callback=lambda _context, _option, value: _read(value),
    )


def _type(kind: str) -> Any:
    """Return what click checks of a kind such as `int` or `{None, "center"}`; IGTM checks all else."""
    if kind.startswith("{"):
        choices: Any = ast.parse(kind, mode="eval").body
        return click.Choice([_written(ast.literal_eval(choice)) for choice in choices.elts])
    return TYPES.get(kind, click.STRING)


def _written(value: Any) -> str:
    return value if isinstance(value, str) else str(value).lower()


def _read(value: Any) -> Any:
    """Return the number or the word of Python that a text stands for, or else the text."""
    if not isinstance(value, str):
        return value
    if value.lower() in WORDS:
        return WORDS[value.lower()]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def _described(documentation: str) -> dict[str, tuple[str, str]]:
    """Return kind and description of each parameter in a numpydoc docstring."""
    section = documentation.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^(\w+) : (.+)\n((?:    .+\n?)+)", section, flags=re.MULTILINE)
    return {
        name: (kind.partition(", default")[0], " ".join(text.split()).replace("`", ""))
        for name, kind, text in entries
    }
