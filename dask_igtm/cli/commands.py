"""`dask-igtm`: maps from the command line."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from dask_igtm._version import __version__
from dask_igtm.cli.base import (
    JSON_HELP,
    VERBOSE,
    AtlasCommand,
    ChildCommand,
    Command,
    EstimatorCommand,
    Program,
    filling,
    options,
    say,
)
from dask_igtm.cli.clusters import computing
from dask_igtm.cli.estimator_options import estimator_options, given_as
from dask_igtm.cli.facts import Facts, at, of_atlas, of_fitted, of_map, of_store
from dask_igtm.cli.fitted import fitted, map_with_rows, no_atlas, single_map
from dask_igtm.cli.regions import KINDS, Region, read_region
from dask_igtm.data.codecs import CODEC, CODECS

# Whatever takes long to import is imported by the command that needs it.

EXIT_CODES = """\b
Exit codes:
  0    done; a fit that ran out of its iterations is done too, and says so
  1    failed; one line on stderr says why and what to do
  2    the command line cannot be understood
  130  interrupted by Ctrl-C
  143  ended by SIGTERM
"""


SCHEDULER = click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Of a Dask scheduler, such as tcp://host:8786, which has to answer within 10 seconds.",
)
WORKERS = click.option(
    "--workers", type=click.IntRange(1), help="Worker processes on this machine.  [default: threads]"
)
FILL_UNSTORED = click.option(
    "--fill-unstored",
    is_flag=True,
    help="Read chunks of X that are not stored as its fill value, where they were left out for being empty; "
    "lost ones then pass for it too.",
)
OF_TABLES = (
    click.option(
        "--columns", default="", metavar="A,B,...", help="Of CSV or Parquet.  [default: all numbers]"
    ),
    click.option("--drop", default="", metavar="A,B,...", help="Columns of CSV or Parquet to leave out."),
    click.option(
        "--index",
        multiple=True,
        metavar="A,B,...",
        help="Columns that are the ids of the rows, and no numbers of X.",
    ),
)
CHECKPOINT = click.option(
    "--checkpoint", metavar="PATH", help="Keep the state here after every iteration; go on from it."
)
OF_ATLAS = click.option(
    "--map", "map_name", metavar="NAME", help="Of an atlas the map of this name, such as root or root/3."
)
OVERWRITE = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace a file, or a table of ours, that is there; never anything else.",
)


def target(what: str) -> Callable[[Any], Any]:
    """Return the option that says where results go."""
    return click.option("-o", "--output", required=True, metavar="PATH", help=what)


@click.group(cls=Program, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", is_flag=True, help=JSON_HELP)
@click.version_option(__version__)
def main(json: bool) -> None:
    """Map large tables by Generative Topographic Mapping.

    Paths may be URLs, such as s3://bucket/x.zarr, and symbolic links, which outputs follow too. Results go
    to stdout, progress and errors to stderr.
    """


@main.command(cls=Command)
@click.argument("source")
@click.argument("target", metavar="X")
@options(
    *OF_TABLES,
    click.option(
        "--header/--no-header",
        default=None,
        help="Whether the first line of CSV names the columns.  [default: yes, unless it is numbers alone]",
    ),
    click.option(
        "--codec",
        type=click.Choice(list(CODECS)),
        default=CODEC,
        show_default=True,
        help="How X is compressed: to be read fast, or smaller by blosc-zstd.",
    ),
    OVERWRITE,
)
def convert(
    source: str,
    target: str,
    columns: str,
    drop: str,
    index: tuple[str, ...],
    header: bool | None,
    codec: str,
    overwrite: bool,
) -> Facts:
    """Write NPY, CSV or Parquet as a Zarr array X, and sparse matrices as a CSR group.

    With --index it is a group of X and its ids, which is taken as X wherever that is a path.

    X gets chunks of about 16 MB. NPY is mapped from disk; CSV and Parquet need the extra `tables`, may be
    patterns such as "part-*.csv", and leave their names to X. Columns of several files are put together by
    their names. Sparse matrices are NPZ of SciPy, MTX and MTX.GZ, their rows those of the file, and the X of
    H5AD with the extra `cells`.
    """
    from dask_igtm import convert as written

    chosen: Any = {**_chosen(columns, drop, index), "header": header}
    array = written(source, target, **chosen, overwrite=overwrite, codec=codec)
    return {"path": target, **of_store(array)}


@main.command(cls=EstimatorCommand)
@click.argument("X")
@options(
    target("Where the model goes."),
    CHECKPOINT,
    click.option("--init", metavar="MODEL", help="A map to set out from."),
    *OF_TABLES,
    OVERWRITE,
    FILL_UNSTORED,
    SCHEDULER,
    WORKERS,
)
def fit(
    x: str,
    output: str,
    columns: str,
    drop: str,
    index: tuple[str, ...],
    checkpoint: str | None,
    init: str | None,
    overwrite: bool,
    fill_unstored: bool,
    scheduler: str | None,
    workers: int | None,
    **parameters: Any,
) -> Facts:
    """Fit a map to the rows of X: Zarr, Parquet or CSV.

    Parquet is a file, a folder of such, or a pattern, and is read by row groups. CSV is parsed anew in every
    pass, so that it is faster to convert it first.
    """
    from dask_igtm import IGTM
    from dask_igtm.data.own_inputs import refuse_own_input
    from dask_igtm.data.whole_outputs import check_new_file
    from dask_igtm.fitting.progress import shown

    refuse_own_input(output, x, checkpoint)
    X: Any = _table(x, _chosen(columns, drop, index))
    check_new_file(output, overwrite=overwrite)
    verbose = click.get_current_context().meta[VERBOSE]
    igtm, begun = IGTM(**parameters), time.perf_counter()
    told = _interrupts_told(checkpoint, "interrupted before the first iteration")
    with told, computing(scheduler, workers), filling(fill_unstored), shown(verbose) as callbacks:
        igtm.fit(X, checkpoint=checkpoint, init=single_map(init) if init else None, callbacks=callbacks)
    return _saved(igtm, output, begun)


@main.command(cls=ChildCommand)
@click.argument("parent", metavar="MODEL")
@click.argument("X")
@options(
    target("Where the map of the region goes."),
    click.option(
        "--region", required=True, callback=read_region, metavar="REGION", help=f"Of MODEL: {KINDS}."
    ),
    OF_ATLAS,
    CHECKPOINT,
    OVERWRITE,
    FILL_UNSTORED,
    SCHEDULER,
    WORKERS,
)
def zoom(
    parent: str,
    x: str,
    output: str,
    region: Region,
    map_name: str | None,
    checkpoint: str | None,
    overwrite: bool,
    fill_unstored: bool,
    scheduler: str | None,
    workers: int | None,
    **parameters: Any,
) -> Facts:
    """Fit a map to a region of the map MODEL.

    Each row of X counts by how much it lies in that region. On one map of an atlas it counts by how much it
    belongs to that map, too. Of Parquet and CSV the columns of MODEL are taken, by their names.
    """
    from dask_igtm.data.own_inputs import refuse_own_input
    from dask_igtm.data.whole_outputs import check_new_file
    from dask_igtm.fitting.progress import shown

    x = _rows(x)
    refuse_own_input(output, x, parent, checkpoint)
    check_new_file(output, overwrite=overwrite)
    verbose, begun = click.get_current_context().meta[VERBOSE], time.perf_counter()
    told = _interrupts_told(checkpoint)
    with told, computing(scheduler, workers), filling(fill_unstored), shown(verbose) as callbacks:
        igtm, weight = map_with_rows(parent, map_name, x)
        run: Any = {"checkpoint": checkpoint, "callbacks": callbacks, "verbose": False}
        child = igtm.zoom(x, region.mask(igtm.nodes_), weight, **run, **parameters)
    return _saved(child, output, begun)


@main.command(cls=AtlasCommand)
@click.argument("X")
@options(
    target("Where the atlas goes."),
    click.option(
        "--child",
        multiple=True,
        metavar="NAME=VALUE,...",
        help="Options of all maps but the root that differ from its, such as k=12,m=3.",
    ),
    click.option(
        "--checkpoint",
        metavar="PATH",
        help="Keep the state of the root here after every iteration, and that of each level beside it; go on "
        "from them.",
    ),
    *OF_TABLES,
    OVERWRITE,
    FILL_UNSTORED,
    SCHEDULER,
    WORKERS,
)
def atlas(
    x: str,
    output: str,
    child: tuple[str, ...],
    columns: str,
    drop: str,
    index: tuple[str, ...],
    checkpoint: str | None,
    overwrite: bool,
    fill_unstored: bool,
    scheduler: str | None,
    workers: int | None,
    **parameters: Any,
) -> Facts:
    """Fit maps within maps to the rows of X: Zarr or Parquet.

    That is a root, maps of its regions, and of theirs, as far as each pays on rows that are held out. All
    maps of a level share passes over X.
    """
    from dask_igtm import IGTM, IGTMAtlas
    from dask_igtm.data.own_inputs import refuse_own_input
    from dask_igtm.data.whole_outputs import check_new_file
    from dask_igtm.fitting.progress import shown

    refuse_own_input(output, x, checkpoint)
    X: Any = _table(x, _chosen(columns, drop, index))
    check_new_file(output, overwrite=overwrite)
    of_maps = {str(option.name): parameters.pop(str(option.name)) for option in estimator_options()}
    differs = _differences(child)
    other = IGTM(**{**of_maps, **differs}) if differs else None
    grown, begun = IGTMAtlas(IGTM(**of_maps), child=other, **parameters), time.perf_counter()
    verbose = click.get_current_context().meta[VERBOSE]
    told = _interrupts_told(checkpoint)
    with told, computing(scheduler, workers), filling(fill_unstored), shown(verbose) as callbacks:
        grown.fit(X, checkpoint=checkpoint, callbacks=callbacks)
    grown.save(output)
    going = [
        name
        for name, igtm in zip(grown.tree_.names, grown.maps_, strict=True)
        if igtm.stopped_by_ == "iterations"
    ]
    if going:
        say(f"not converged: {', '.join(going)}; for more iterations, give a larger --niter")
    return {"path": output, "seconds": round(time.perf_counter() - begun, 3), **of_atlas(grown)}


@main.command(cls=Command)
@click.argument("model")
@click.argument("X")
@options(
    target(
        "What to write, by its ending: .parquet, a folder of Parquet, and .zarr, a group, go on where they "
        "were cut short; .csv is one file, written anew."
    ),
    click.option(
        "--outputs",
        default="",
        metavar="A,B,...",
        help="What to write of each row.  [default: means,modes,log_likelihood; of an atlas "
        "means,leaf,log_likelihood]",
    ),
    OF_ATLAS,
    click.option(
        "--index",
        multiple=True,
        metavar="A,B,...",
        help="Columns of X that are the ids of its rows, which come first.  [default: those X has]",
    ),
    OVERWRITE,
    FILL_UNSTORED,
    SCHEDULER,
    WORKERS,
)
def transform(
    model: str,
    x: str,
    output: str,
    outputs: str,
    map_name: str | None,
    index: tuple[str, ...],
    overwrite: bool,
    fill_unstored: bool,
    scheduler: str | None,
    workers: int | None,
) -> Facts:
    """Write where each row of X lies on the map, or on which map of an atlas and where.

    The ids of the rows come first: those beside a Zarr array, the index that pandas writes to Parquet, or
    the columns of --index. Of Parquet and CSV the columns of the fit are taken, by their names.
    """
    from dask_igtm.data.own_inputs import refuse_own_input
    from dask_igtm.data.whole_outputs import without_scheme

    x = _rows(x)
    refuse_own_input(output, x, model)
    found = fitted(model, map_name)
    chosen: Any = {"outputs": _listed(outputs)} if outputs else {}
    try:
        with computing(scheduler, workers), filling(fill_unstored):
            found.write_table(x, output, ids=_names(index) or None, overwrite=overwrite, **chosen)
    except KeyboardInterrupt:
        kept = (
            "nothing is kept" if output.endswith(".csv") else "the same command goes on with what is missing"
        )
        raise KeyboardInterrupt(f"interrupted; {kept}") from None
    return {"path": output, **at(without_scheme(output))}


@main.command(cls=Command)
@click.argument("model")
@click.argument("X")
@options(
    target("The HTML page to write."),
    click.option("--labels", metavar="COL", help="Labels of the rows, for their classes on the map."),
    click.option(
        "--y", multiple=True, metavar="COL", help="Values of the rows, for a landscape; may be repeated."
    ),
    click.option(
        "--index",
        multiple=True,
        metavar="A,B,...",
        help="Columns of X that are the ids of its rows, which name them.  [default: those X has]",
    ),
    click.option("--title", metavar="TEXT", help="Of the page."),
    OVERWRITE,
    FILL_UNSTORED,
    SCHEDULER,
    WORKERS,
)
def report(
    model: str,
    x: str,
    output: str,
    labels: str | None,
    y: tuple[str, ...],
    index: tuple[str, ...],
    title: str | None,
    overwrite: bool,
    fill_unstored: bool,
    scheduler: str | None,
    workers: int | None,
) -> Facts:
    """Draw the map of X as an HTML page, and of an atlas all of its maps.

    It opens offline. COL is a column of Parquet or CSV, of text or numbers, of the fit or not; an id that
    `convert --index` has kept beside a Zarr array; or else the path of a Zarr array or an NPY file with a
    value for each row.
    """
    from dask_igtm import report as written
    from dask_igtm.data.beside_rows import labels_and_values
    from dask_igtm.data.own_inputs import refuse_own_input
    from dask_igtm.data.whole_outputs import check_new_file, without_secrets
    from dask_igtm.projection.validate import names_of_fit

    source, x = without_secrets(x), _rows(x)
    refuse_own_input(output, x, model, *filter(os.path.exists, (labels or "", *y)))
    check_new_file(output, overwrite=overwrite)
    found, ids = fitted(model), _names(index)
    with computing(scheduler, workers), filling(fill_unstored):
        of_labels, values = labels_and_values(x, labels, y, names_of_fit(found))
        told: Any = {"ids": ids or None, "title": title, "source": source}
        written(found, x, output, labels=of_labels, y=values, **told)
    return {"path": output}


@main.command(cls=Command)
@click.argument("path")
@options(OF_ATLAS)
def info(path: str, map_name: str | None) -> Facts:
    """Say what is in a model, atlas, array, table or projection."""
    import fsspec

    from dask_igtm.data.places import CSV, PARQUET
    from dask_igtm.data.whole_outputs import without_scheme

    files, name = fsspec.core.url_to_fs(path)
    if not (files.isdir(name) or path.endswith((".zip", *CSV, *PARQUET))):
        return {"path": path, **of_fitted(fitted(path, map_name))}
    if map_name is not None:
        raise ValueError(no_atlas(path))
    return {"path": path, **at(without_scheme(path))}


@main.command(cls=EstimatorCommand)
@click.argument("X")
@options(*OF_TABLES, SCHEDULER, WORKERS)
def estimate(
    x: str,
    columns: str,
    drop: str,
    index: tuple[str, ...],
    scheduler: str | None,
    workers: int | None,
    **parameters: Any,
) -> Facts:
    """Say what a fit to X would take.

    That is what it would read, hold and compute; nothing is read.
    """
    from dask_igtm import IGTM

    X: Any = _table(x, _chosen(columns, drop, index))
    with computing(scheduler, workers):
        return dict(vars(IGTM(**parameters).estimate(X)))


@contextlib.contextmanager
def _interrupts_told(checkpoint: str | None, otherwise: str = "interrupted") -> Iterator[None]:
    """Say what is kept of a fit that is interrupted, and when that was, or else what is told `otherwise`."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        kept = (
            f"the checkpoint {checkpoint!r} keeps what was done, and the same command goes on from it"
            if checkpoint
            else "nothing is kept; with --checkpoint PATH the same command could go on"
        )
        raise KeyboardInterrupt(f"{str(interrupt) or otherwise}; {kept}") from None


def _saved(igtm: Any, output: str, begun: float) -> Facts:
    """Write a map that is fitted to a file, and say what it has come to."""
    igtm.save(output)
    if igtm.stopped_by_ == "iterations":
        say(f"not converged after {igtm.n_iter_} iterations; for more, give a larger --niter")
    return {"path": output, "seconds": round(time.perf_counter() - begun, 3), **of_map(igtm)}


def _differences(several: tuple[str, ...]) -> dict[str, Any]:
    """Return the parameters that options NAME=VALUE say."""
    known = {str(option.name): option for option in estimator_options()}
    found = {}
    for each in _names(several):
        name, _, text = each.partition("=")
        option = known.get(name.strip().replace("-", "_"))
        if option is None or not text:
            names = ", ".join(known)
            raise click.UsageError(
                f"--child {each} says no option of a map; give NAME=VALUE, such as k=12, of {names}."
            )
        found[str(option.name)] = given_as(option, text.strip())
    return found


def _listed(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _names(several: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for text in several for name in _listed(text))


def _chosen(columns: str, drop: str, index: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Return what is asked of the columns of a table."""
    return {"columns": _listed(columns), "drop": _listed(drop), "index": _names(index)}


def _table(path: str, chosen: dict[str, tuple[str, ...]]) -> Any:
    """Return the table at a path of which columns are chosen, or else the path."""
    from dask_igtm import open_table

    path = _rows(path)
    return open_table(path, **chosen) if any(chosen.values()) else path


def _rows(path: str) -> str:
    """Return a path of a table that workers elsewhere understand; refuse what is to be converted first."""
    from dask_igtm.data.places import H5AD, MTX, NPY, NPZ
    from dask_igtm.data.whole_outputs import absolute

    if path.endswith(NPY + NPZ + MTX + H5AD):
        zarr_path = f"{path.removesuffix('.gz').rpartition('.')[0]}.zarr"
        raise click.UsageError(f"{path} is no Zarr array; first run: dask-igtm convert {path} {zarr_path}")
    return absolute(path)
