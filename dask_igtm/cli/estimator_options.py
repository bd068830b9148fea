"""Parameters of estimators as options of a command, from their signatures and their documentation."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from typing import Any

import click

SHOWN_OTHERWISE = {"verbose"}  # commands have --verbose/--quiet
OF_MAPS = {"estimator", "child", "random_state"}  # of an atlas, which other options say
WORDS = {"none": None, "true": True, "false": False}
TYPES = {"int": click.INT, "float": click.FLOAT, "bool": click.Choice(["true", "false"])}


@functools.cache
def estimator_options(default: str = "") -> tuple[click.Option, ...]:
    """Return one option for each parameter of a map; its help names its default, or else what is given."""
    from dask_igtm import IGTM

    return _options(IGTM, SHOWN_OTHERWISE, default or True)


@functools.cache
def atlas_options() -> tuple[click.Option, ...]:
    """Return one option for each parameter that an atlas has beside those of its maps."""
    from dask_igtm import IGTMAtlas

    return _options(IGTMAtlas, OF_MAPS, show_default=True)


def given_as(option: click.Option, text: str) -> Any:
    """Return what the text of a value means as that of an option; raise click.BadParameter if it is none."""
    return _read(option.type.convert(text, option, None))


def _options(kind: type, others: set[str], show_default: bool | str) -> tuple[click.Option, ...]:
    described = _described(inspect.getdoc(kind) or "")
    parameters = inspect.signature(kind).parameters
    return tuple(
        _option(name, parameter.default, show_default, *described.get(name, ("", "")))
        for name, parameter in parameters.items()
        if name not in others
    )


def _option(name: str, default: Any, show_default: bool | str, kind: str, description: str) -> click.Option:
    return click.Option(
        [f"--{name.replace('_', '-')}"],
        type=_type(kind),
        default=_written(default),
        show_default=show_default,
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
