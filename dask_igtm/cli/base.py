"""What the commands have in common: how they speak, how they fail, and who computes."""

from __future__ import annotations

import atexit
import contextlib
import functools
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import click

from dask_igtm.cli.estimator_options import estimator_options
from dask_igtm.data.json_text import dumps

Facts = dict[str, Any]

SHOWN = 12  # of a list, in words
VERBOSE = "dask_igtm.verbose"  # where a context keeps whether to show progress


class Command(click.Command):
    """A command that returns facts, told in words or as JSON, and fails with one line."""

    def invoke(self, ctx: click.Context) -> None:
        """Run the command and print its facts."""
        debug, as_json, verbose = (ctx.params.pop(name) for name in ("debug", "json", "verbose"))
        ctx.meta[VERBOSE] = verbose
        try:
            with _told(verbose=verbose, debug=debug):
                _check_here()
                facts = super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            say(str(interrupt) or "interrupted")
            ctx.exit(130)
        except (click.ClickException, click.exceptions.Exit):
            raise
        except Exception as error:
            if debug:
                raise
            message = _one_line(error)
            if as_json:
                click.echo(dumps({"error": message}))
            raise click.ClickException(message) from error
        click.echo(dumps(facts) if as_json else _in_words(facts))


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
            return [*super().get_params(ctx), *estimator_options()]


def options(*chosen: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Give a command some options, and those that all have."""
    everywhere = (
        click.option("--json", is_flag=True, help="Print one JSON object on stdout."),
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


@contextlib.contextmanager
def computing(scheduler: str | None, workers: int | None) -> Iterator[None]:
    """Compute by a scheduler somewhere, or by worker processes here, or else by threads."""
    if scheduler and workers:
        raise click.UsageError("Give --scheduler or --workers, not both.")
    if not (scheduler or workers):
        yield
        return
    from distributed import Client

    with contextlib.ExitStack() as stack:
        if workers:
            scheduler = stack.enter_context(_local_cluster(workers)).scheduler_address
        client = stack.enter_context(Client(scheduler))
        logging.getLogger("dask_igtm").info("dashboard at %s", client.dashboard_link)
        yield


def _local_cluster(n_workers: int) -> Any:
    import multiprocessing

    from dask.system import CPU_COUNT
    from distributed import LocalCluster

    threads = max(1, CPU_COUNT // n_workers)
    # A terminal sends Ctrl-C to the workers too; they are not to die of it, but to be closed.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        multiprocessing.Lock()  # which every process needs, and none says that it cannot have
        return LocalCluster(n_workers=n_workers, threads_per_worker=threads, dashboard_address=":0")
    except (OSError, RuntimeError) as error:
        raise OSError(
            f"No worker processes can be started here: {str(error).rstrip('.')}. They need shared memory "
            "(/dev/shm), a folder for temporary files (TMPDIR) and some 30 open files each (ulimit -n). "
            "Without --workers, threads of this process compute."
        ) from error
    finally:
        signal.signal(signal.SIGINT, before)


class _Echo(logging.Handler):
    """Log records on whatever stderr is now."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "dask_igtm.progress":  # which are shown already
            say(record.getMessage())


@contextlib.contextmanager
def _told(*, verbose: bool, debug: bool) -> Iterator[None]:
    """Say on stderr, in a line each, what is logged and warned of."""
    handler, logger = _Echo(), logging.getLogger("dask_igtm")
    # The latter tells of tasks of the former that an interrupt has left behind.
    others = [logging.getLogger(name) for name in ("distributed", "asyncio")]
    before = [each.level for each in (logger, *others)]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    for other in others:
        other.setLevel(logging.WARNING if debug else logging.CRITICAL)
    with _warned():
        try:
            yield
        finally:
            logger.removeHandler(handler)
            for each, level in zip((logger, *others), before, strict=True):
                each.setLevel(level)
            # Reads that others failed beside end with the process, and nobody is to hear of it.
            atexit.register(logging.getLogger("asyncio").setLevel, logging.CRITICAL)


@contextlib.contextmanager
def _warned() -> Iterator[None]:
    """Say on stderr, in a line each, what is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = lambda message, *_, **__: say(f"Warning: {_one_line(message)}")
        yield


def say(message: str) -> None:
    """Write a line to stderr, above a bar that may be there, which `click.echo` would go around."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


def _one_line(error: Any) -> str:
    """Return the message of an error and its notes; its kind too where the message alone says little."""
    known = isinstance(error, (ValueError, TypeError, OSError, ImportError, Warning))
    message = str(error) if known else f"{type(error).__name__}: {error}, see --debug"
    notes: list[str] = getattr(error, "__notes__", [])
    sentences = [f"{message.rstrip('.')}.", *notes] if notes else [message]
    return " ".join(" ".join(sentences).split())


def _in_words(facts: Facts) -> str:
    width = max(map(len, facts)) + 2
    return "\n".join(f"{name.replace('_', ' '):{width}}{_word(value)}" for name, value in facts.items())


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
        return f"{value:,}" if float(value).is_integer() else f"{value:.7g}"
    return str(value)
