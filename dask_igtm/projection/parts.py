"""Projections written a part at a time, which can be cut and gone on with, by one run at a time."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import uuid
from typing import Any, Protocol

from dask_igtm._version import __version__
from dask_igtm.data.disks import naming_full_disk
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.whole_outputs import check_folder
from dask_igtm.data.zarr_labels import Label
from dask_igtm.passes.digests import digests
from dask_igtm.passes.empty_rows import AroundEmpty
from dask_igtm.passes.graph import fold_size, prepare
from dask_igtm.passes.map_rows import write
from dask_igtm.posterior.row_outputs import OF_TOP, Output
from dask_igtm.projection.fitted_tree import Fitted

logger = logging.getLogger("dask_igtm")

FORMAT_VERSION = 2  # 1 had no digests of rows, and no id of its run


class Parts(Protocol):
    """A place to which the parts of a projection are written, with a label that says what it is.

    A part is whole or not there. A run makes the place with its label where nothing is, or sets its label on
    what another has left; whoever reads another run's id there has lost the place.
    """

    @property
    def path(self) -> str:
        """Path or URL."""

    def label(self) -> Label | None:
        """Return the label, None where nothing is; raise FileExistsError if something else is there."""

    def claim(self, label: Label) -> bool:
        """Make the place where nothing is; return False where another run was first."""

    def set_label(self, label: Label) -> None:
        """Put another label in the place of the one that is there."""

    def create(self, height: int) -> None:
        """Make what parts of `height` rows need."""

    def missing(self, n_parts: int, height: int) -> set[int]:
        """Return the numbers of the parts that are not there."""

    def write(self, first_row: int, arrays: tuple[Any, ...], height: int, run: str) -> None:
        """Write a part; raise FileExistsError if the place has come to belong to another run."""

    def check_run(self, run: str) -> None:
        """Raise FileExistsError unless the place belongs to a run."""


def write_parts(
    fitted: Fitted, rows: RowBlocks, outputs: tuple[Output, ...], target: Parts, *, resume: bool
) -> None:
    """Write some outputs of all rows, and the records that are their values, if any.

    A part is a fold of the pass that writes it. A run that finds an unfinished projection puts its own id
    into the label, and an earlier run that still works stops there.

    Parameters
    ----------
    fitted : FittedMap
    rows : RowBlocks
        In blocks of one size.
    outputs : tuple of Output
    target : Parts
    resume : bool
        Whether a projection that is there may be gone on with.
    """
    with naming_full_disk(target.path):
        _begin_or_go_on(fitted, rows, outputs, target, resume=resume)


def _begin_or_go_on(
    fitted: Fitted, rows: RowBlocks, outputs: tuple[Output, ...], target: Parts, *, resume: bool
) -> None:
    label, found = _label(fitted, rows, outputs), target.label()
    if found is not None:
        _check(found, label, target.path, resume=resume)
    height = found["chunk_rows"] if found else _chunk_rows(rows, outputs)
    function = AroundEmpty(fitted.projector, outputs) if rows.skip_empty else fitted.projector
    source = prepare(dataclasses.replace(rows, skip_empty=False), math.ceil(height / rows.X.chunks[0][0]))
    n_parts = len(source.folds)
    label |= {"chunk_rows": height, "blocks": digests(source), "run": uuid.uuid4().hex, "complete": False}
    if found is None:
        check_folder(target.path)
        if not target.claim(label):  # another run was first; look at what it makes
            return _begin_or_go_on(fitted, rows, outputs, target, resume=resume)
        missing = set(range(n_parts))
    else:
        missing = target.missing(n_parts, height)
        _check_blocks(found, label, target.path, missing)
        if found["complete"] and not missing:
            return None
        check_folder(target.path)
        target.set_label(label)
    target.create(height)
    logger.info("projecting to %r: %d of %d parts", target.path, len(missing), n_parts)
    sink = functools.partial(target.write, height=height, run=label["run"])
    parts = source.only(tuple(fold for part, fold in enumerate(source.folds) if part in missing))
    write(parts, function, sink, fitted.model, fitted.kernel, outputs, label="igtm-project")
    return _certify(target, label, n_parts)


def _label(fitted: Fitted, rows: RowBlocks, outputs: tuple[Output, ...]) -> Label:
    """Say what decides the rows of a projection, beside the values of X."""
    label: Label = {
        "format": "dask_igtm projection",
        "format_version": FORMAT_VERSION,
        "model": fitted.digest,
        "kernel": fitted.kernel,
        "version": __version__,
        **rows.layout,
        "skip_empty": rows.skip_empty or None,  # as labels of older projections, which lack it
        "outputs": [output.name for output in outputs],
    }
    if rows.y is not None:
        label["ids"] = list(rows.y.dtype.names)
    tops = [output.width for output in outputs if output.name in OF_TOP]
    return label | {"top": tops[0]} if tops else label


def _chunk_rows(rows: RowBlocks, outputs: tuple[Output, ...]) -> int:
    """Return how many rows a part of a new projection has."""
    n_rows, block_rows = int(rows.X.shape[0]), int(rows.X.chunks[0][0])
    bytes_per_row = rows.row_bytes + sum(output.row_bytes for output in outputs)
    return min(n_rows, block_rows * fold_size(rows.X, bytes_per_row))


def _check(found: Label, label: Label, path: str, *, resume: bool) -> None:
    """Refuse a projection that is not to be gone on with, or is not this one."""
    if not resume:
        raise FileExistsError(
            f"There is a projection at {path!r} already; give resume=True to finish it, another path, or "
            "remove it."
        )
    if found.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"The projection at {path!r} has format {found.get('format_version')}, and this release goes "
            f"on with format {FORMAT_VERSION}; give another path, or remove it."
        )
    other = [
        f"{name} was {found.get(name)!r} and is {value!r}"
        for name, value in label.items()
        if found.get(name) != value
    ]
    if other:
        raise ValueError(
            f"The projection at {path!r} is another one: {'; '.join(other)}. Give another path, or remove it."
        )


def _check_blocks(found: Label, label: Label, path: str, missing: set[int]) -> None:
    """Refuse rows that differ, in the blocks that have digests, from those of a part that is there."""
    other = [
        rows
        for rows, value in label["blocks"].items()
        if int(rows.partition(":")[0]) // label["chunk_rows"] not in missing
        and found["blocks"][rows] != value
    ]
    if other:
        raise ValueError(
            f"What is at {path!r} is the projection of other data: rows {other[0]} of X are not what they "
            "were; give another path, or remove it."
        )


def _certify(target: Parts, label: Label, n_parts: int) -> None:
    """Say that a projection is complete, if all parts are there and it still belongs to this run."""
    missing = target.missing(n_parts, label["chunk_rows"])
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of {n_parts} parts of the projection at {target.path!r} are not there, although "
            "they were written; give a path that every worker sees, and call again to write them."
        )
    target.check_run(label["run"])
    target.set_label(label | {"complete": True})
