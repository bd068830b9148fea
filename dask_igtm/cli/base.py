"""What the commands have in common: how they speak, and how they fail."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import click
from click.core import ParameterSource

from dask_igtm.cli.estimator_options import atlas_options, estimator_options
from dask_igtm.cli.facts import Facts
from dask_igtm.cli.option_words import Words, words_of
from dask_igtm.data.json_text import dumps
from dask_igtm.data.plain_text import escaped

JSON_HELP = "Print one JSON object on stdout, of an error too."
SHOWN = 12  # of a list, in words
# Where a context keeps whether to show progress, and tracebacks, and whether to print JSON.
VERBOSE, DEBUG, JSON = "dask_igtm.verbose", "dask_igtm.debug", "dask_igtm.json"
ENDED_BY = "dask_igtm.ended_by"  # and by which signal it ended
SMALLER = "take smaller chunks of X, fewer --workers or threads, a smaller --k, or a machine with more memory"
LIBRARIES = {"distributed", "tornado", "asyncio"}  # that log what the error of a command says as well


class Program(click.Group):
    """Commands; a line that is misunderstood fails as a terminal can show it, and by `--json` in JSON too."""

    def make_context(self, *arguments: Any, **extra: Any) -> click.Context:
        """Read what stands before the command."""
        line = list(arguments[1] if len(arguments) > 1 else extra["args"])
        as_json = "--json" in line[: line.index("--") if "--" in line else None]
        with _usage_errors(as_json=as_json):
            context = super().make_context(*arguments, **extra)
        context.meta[JSON] = as_json
        return context

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Return the command; releases of click before 8.2 take one of odd letters for an option."""
        if args[0] not in self.commands:
            ctx.fail(f"No such command {args[0]!r}.")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _usage_errors(as_json=ctx.meta[JSON]):
            return super().invoke(ctx)


@contextlib.contextmanager
def _usage_errors(*, as_json: bool) -> Iterator[None]:
    """Escape usage errors, and print them as JSON before click says them on stderr."""
    try:
        yield
    except click.UsageError as error:
        message = escaped(error.format_message())
        if as_json:
            click.echo(dumps({"error": message}))
        raise click.UsageError(message, error.ctx) from error


class Command(click.Command):
    """A command that returns facts, told in words or as JSON, and fails with one line."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and print its facts."""
        debug, _, verbose = (ctx.params.pop(name) for name in ("debug", "json", "verbose"))
        ctx.meta[VERBOSE], ctx.meta[DEBUG], as_json = verbose, debug, ctx.meta[JSON]
        words = words_of(self.get_params(ctx))
        try:
            with _told(words, verbose=verbose), hushed(debug), _terminated_as_interrupted(ctx):
                _check_here()
                facts = super().invoke(ctx)
            text = dumps(facts) if as_json else _encodable(_in_words(facts), sys.stdout)
        except KeyboardInterrupt as interrupt:
            message = str(interrupt) or "interrupted"
            say(message)
            if as_json:
                click.echo(dumps({"error": message}))
            ctx.exit(ctx.meta.get(ENDED_BY, signal.SIGINT) + 128)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if debug:
                raise
            message = words(_one_line(error))
            if as_json:
                click.echo(dumps({"error": message}))
            raise click.ClickException(message) from error
        click.echo(text)


def _check_here() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise FileNotFoundError("The folder that this was started in is gone; change to another.") from None


class EstimatorCommand(Command):
    """A command that takes the parameters of the estimator, found only when somebody asks."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all parameters of the command."""
        with _warned():  # as scikit-learn may do where it is imported
            return [*super().get_params(ctx), *self.of_estimators()]

    def of_estimators(self) -> tuple[click.Option, ...]:
        """Return those of the estimator."""
        return estimator_options()


class AtlasCommand(EstimatorCommand):
    """A command that takes the parameters of an atlas, and of the estimator for its root."""

    def of_estimators(self) -> tuple[click.Option, ...]:
        """Return those of both."""
        return (*atlas_options(), *estimator_options())


class ChildCommand(EstimatorCommand):
    """A command that takes parameters in which an estimator is to differ from MODEL, and only those."""

    def of_estimators(self) -> tuple[click.Option, ...]:
        """Return those of the estimator."""
        return estimator_options("that of MODEL")

    def invoke(self, ctx: click.Context) -> None:
        """Run the command with the parameters that were given."""
        for option in self.of_estimators():
            if ctx.get_parameter_source(option.name or "") is ParameterSource.DEFAULT:
                del ctx.params[option.name or ""]
        super().invoke(ctx)


def options(*chosen: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a command some options, and those that all have."""
    everywhere = (
        click.option("--json", is_flag=True, help=JSON_HELP),
        click.option(
            "--verbose/--quiet",
            default=True,
            show_default=True,
            help="Show progress on stderr, or warnings only.",
        ),
        click.option("--debug", is_flag=True, help="Show the traceback of an error."),
    )
    return lambda function: functools.reduce(lambda f, o: o(f), reversed((*chosen, *everywhere)), function)


@contextlib.contextmanager
def filling(fill_unstored: bool) -> Iterator[None]:
    """Read chunks that are not stored as the fill value, if asked to."""
    import dask

    from dask_igtm.data.zarr_io import FILL_UNSTORED

    with dask.config.set({FILL_UNSTORED: fill_unstored}):
        yield


class _Echo(logging.Handler):
    """Log records on whatever stderr is now."""

    def __init__(self, words: Words) -> None:
        super().__init__()
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "dask_igtm.progress":  # which are shown already
            say(self._words(record.getMessage()))


@contextlib.contextmanager
def _told(words: Words, *, verbose: bool) -> Iterator[None]:
    """Say on stderr, in a line each, what is logged and warned of."""
    handler, logger = _Echo(words), logging.getLogger("dask_igtm")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    with _warned(words):
        try:
            yield
        finally:
            logger.removeHandler(handler)
            logger.setLevel(before)


@contextlib.contextmanager
def _warned(words: Callable[[str], str] = str) -> Iterator[None]:
    """Say on stderr, in a line each, what is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)

        def show(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
            if not issubclass(category, DeprecationWarning):  # for developers, whatever packages let pass
                say(f"Warning: {words(_one_line(message))}")

        warnings.showwarning = show
        yield


@contextlib.contextmanager
def _terminated_as_interrupted(ctx: click.Context) -> Iterator[None]:
    """Let SIGTERM, by which batch systems end what takes too long, clear up as Ctrl-C does."""

    def interrupt(signum: int, _: object) -> None:
        ctx.meta[ENDED_BY] = signum
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def hushed(debug: bool) -> Iterator[None]:
    """Keep libraries from logging, but for --debug; an import within it undoes that for what it brings."""
    names = [*LIBRARIES, *logging.root.manager.loggerDict]
    loggers = [logging.getLogger(name) for name in names if name.partition(".")[0] in LIBRARIES]
    before = [each.level for each in loggers]
    for each in loggers:
        each.setLevel(logging.WARNING if debug else logging.CRITICAL)
    try:
        yield
    finally:
        for each, level in zip(loggers, before, strict=True):
            each.setLevel(level)


def say(message: str) -> None:
    """Write a line to stderr, above a bar that may be there, which `click.echo` would go around."""
    print(_encodable(escaped(message), sys.stderr), file=sys.stderr, flush=True)  # noqa: T201


def _encodable(text: str, stream: Any) -> str:
    """Return a text with what a stream cannot encode as Python writes it."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _one_line(error: Any) -> str:
    """Return the message of an error and its notes; its kind too where the message alone says little."""
    known = isinstance(error, (ValueError, TypeError, OSError, ImportError, Warning))
    message = str(error) if known else f"{type(error).__name__}: {error}, see --debug"
    if isinstance(error, MemoryError):
        message = f"Out of memory: {error}; {SMALLER}."
    notes: list[str] = getattr(error, "__notes__", [])
    sentences = [f"{message.rstrip('.')}.", *notes] if notes else [message]
    return escaped(" ".join(" ".join(sentences).split()))


def _in_words(facts: Facts) -> str:
    width = max(map(len, facts)) + 2
    tables = {name: value for name, value in facts.items() if _is_table(value)}
    lines = [
        f"{name.replace('_', ' '):{width}}{escaped(_word(value))}"
        for name, value in facts.items()
        if name not in tables
    ]
    return "\n".join([*lines, *(line for table in tables.values() for line in ("", *_table(table)))])


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    """Return lines of a table whose rows have the same names."""
    cells = [[name.replace("_", " ") for name in rows[0]]]
    cells += [[escaped(_cell(value)) for value in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    """Return a value as it stands in a table, where what is not known is left empty."""
    return "" if isinstance(value, float) and math.isnan(value) else _word(value)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        more = [f"and {len(value) - SHOWN:,} more"] if len(value) > SHOWN else []
        separator = " x " if all(isinstance(part, int) for part in value) else ", "
        return separator.join([*map(_word, value[:SHOWN]), *more])
    if isinstance(value, dict):
        return ", ".join(f"{name}={part}" for name, part in value.items())
    if isinstance(value, (int, float)):
        return f"{int(value):,}" if float(value).is_integer() else f"{value:.7g}"
    return str(value)
