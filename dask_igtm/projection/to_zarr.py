"""Projections to Zarr, which can be cut and gone on with, and belong to one run at a time."""

from __future__ import annotations

import dataclasses
import functools
import logging
import math
import uuid

import zarr

from dask_igtm._version import __version__
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.whole_outputs import Path, absolute
from dask_igtm.data.zarr_labels import Label, check_run, claim, label_of, set_label
from dask_igtm.data.zarr_tables import Table, create, missing_chunks, write_rows
from dask_igtm.model.arrays import digest, pack
from dask_igtm.passes.digests import digests
from dask_igtm.passes.empty_rows import AroundEmpty
from dask_igtm.passes.graph import fold_size, prepare
from dask_igtm.passes.map_rows import write
from dask_igtm.posterior.row_outputs import OF_TOP, Output, project
from dask_igtm.projection.fitted_map import FittedMap

logger = logging.getLogger("dask_igtm")

FORMAT_VERSION = 2  # 1 had no digests of rows, and no id of its run


def project_to_zarr(
    fitted: FittedMap, rows: RowBlocks, path: Path, outputs: tuple[Output, ...], *, resume: bool
) -> zarr.Group:
    """Write some outputs of all rows to a Zarr group, whole chunks at a time; see the estimator's method.

    A part is a chunk along the rows of every output, and a fold of the pass that writes it. A run that finds
    an unfinished projection puts its own id into the label, and an earlier run that still works stops there.
    """
    target, rows = absolute(path), rows.regular()
    label, found = _label(fitted, rows, outputs), label_of(target)
    if found is not None:
        _check(found, label, target, resume=resume)
    height = found["chunk_rows"] if found else _chunk_rows(rows, outputs)
    tables = {o.name: Table(o.shape(rows.X.shape[0]), o.dtype, o.fill, height) for o in outputs}
    function = AroundEmpty(project, outputs) if rows.skip_empty else project
    source = prepare(dataclasses.replace(rows, skip_empty=False), math.ceil(height / rows.X.chunks[0][0]))
    label |= {"chunk_rows": height, "blocks": digests(source), "run": uuid.uuid4().hex, "complete": False}
    if found is None:
        if not claim(target, label):  # another run was first; look at what it makes
            return project_to_zarr(fitted, rows, path, outputs, resume=resume)
        missing = set(range(len(source.folds)))
    else:
        missing = missing_chunks(target, tables)
        _check_blocks(found, label, target, missing)
        if found["complete"] and not missing:
            return zarr.open_group(target, mode="r")
        set_label(target, label)
    create(target, tables)
    logger.info("projecting to %s: %d of %d parts", target, len(missing), len(source.folds))
    sink = functools.partial(write_rows, path=target, names=tuple(tables), run=label["run"])
    parts = source.only(tuple(fold for part, fold in enumerate(source.folds) if part in missing))
    write(parts, function, sink, fitted.model, fitted.kernel, outputs, label="igtm-project")
    return _certified(target, tables, label)


def _label(fitted: FittedMap, rows: RowBlocks, outputs: tuple[Output, ...]) -> Label:
    """Say what decides the rows of a projection, beside the values of X."""
    label: Label = {
        "format": "dask_igtm projection",
        "format_version": FORMAT_VERSION,
        "model": digest(pack(fitted.model)),
        "kernel": fitted.kernel,
        "version": __version__,
        **rows.layout,
        "skip_empty": rows.skip_empty or None,  # as labels of older projections, which lack it
        "outputs": [output.name for output in outputs],
    }
    tops = [output.width for output in outputs if output.name in OF_TOP]
    return label | {"top": tops[0]} if tops else label


def _chunk_rows(rows: RowBlocks, outputs: tuple[Output, ...]) -> int:
    """Return how many rows a part of a new projection has."""
    n_rows, block_rows = int(rows.X.shape[0]), int(rows.X.chunks[0][0])
    bytes_per_row = rows.row_bytes + sum(output.row_bytes for output in outputs)
    return min(n_rows, block_rows * fold_size(rows.X, bytes_per_row))


def _check(found: Label, label: Label, target: str, *, resume: bool) -> None:
    """Refuse a projection that is not to be gone on with, or is not this one."""
    if not resume:
        raise FileExistsError(
            f"There is a projection at {target!r} already; give resume=True to finish it, another path, or "
            "remove it."
        )
    if found.get("format_version") != FORMAT_VERSION:
        raise ValueError(
            f"The projection at {target!r} has format {found.get('format_version')}, and this release goes "
            f"on with format {FORMAT_VERSION}; give another path, or remove it."
        )
    other = [
        f"{name} was {found.get(name)!r} and is {value!r}"
        for name, value in label.items()
        if found.get(name) != value
    ]
    if other:
        raise ValueError(
            f"The projection at {target!r} is another one: {'; '.join(other)}. Give another path, or remove "
            "it."
        )


def _check_blocks(found: Label, label: Label, target: str, missing: set[int]) -> None:
    """Refuse rows that differ, in the blocks that have digests, from those of a part that is there."""
    other = [
        rows
        for rows, value in label["blocks"].items()
        if int(rows.partition(":")[0]) // label["chunk_rows"] not in missing
        and found["blocks"][rows] != value
    ]
    if other:
        raise ValueError(
            f"What is at {target!r} is the projection of other data: rows {other[0]} of X are not what they "
            "were; give another path, or remove it."
        )


def _certified(target: str, tables: dict[str, Table], label: Label) -> zarr.Group:
    """Say that a projection is complete, if all chunks are there and it still belongs to this run."""
    missing = missing_chunks(target, tables)
    if missing:
        n_parts = math.ceil(label["shape"][0] / label["chunk_rows"])
        raise FileNotFoundError(
            f"{len(missing)} of {n_parts} parts of the projection at {target!r} are not there, although they "
            "were written; give a path that every worker sees, and call again to write them."
        )
    check_run(zarr.open_group(target, mode="r"), target, label["run"])
    set_label(target, label | {"complete": True})
    return zarr.open_group(target, mode="r")
