"""Projections to Zarr, which can be cut and gone on with."""

from __future__ import annotations

import functools
import itertools
import logging
import math
from typing import Any

import fsspec
import numpy as np
import zarr

from dask_igtm._version import __version__
from dask_igtm.data.npz_io import FORMAT_VERSION
from dask_igtm.data.row_blocks import RowBlocks, row_bytes
from dask_igtm.data.whole_outputs import Path, absolute
from dask_igtm.data.zarr_io import Table, create, stored_chunks, write_rows
from dask_igtm.model.arrays import digest, pack
from dask_igtm.passes.graph import fold_size, prepare
from dask_igtm.passes.map_rows import compute, write
from dask_igtm.posterior.row_outputs import OF_TOP, Output, project
from dask_igtm.projection.fitted_map import FittedMap

logger = logging.getLogger("dask_igtm")

ATTRIBUTE = "dask_igtm"


def project_to_zarr(
    fitted: FittedMap, rows: RowBlocks, path: Path, outputs: tuple[Output, ...], *, resume: bool
) -> zarr.Group:
    """Write some outputs of all rows to a Zarr group, whole chunks at a time; see the estimator's method."""
    target, rows = absolute(path), rows.regular()
    n_rows, block_rows = rows.X.shape[0], rows.X.chunks[0][0]
    label = _label(fitted, rows, outputs)
    found = _label_of(target)
    height = block_rows * fold_size(rows.X, row_bytes(rows.X) + sum(output.row_bytes for output in outputs))
    if found is not None:
        _check(found, label, target, resume=resume)
        height = _stored_height(target, outputs) or height
    tables = {output.name: Table(output.shape(n_rows), output.dtype, output.fill) for output in outputs}
    create(target, tables, height, {ATTRIBUTE: label | {"complete": False}})
    group, size = zarr.open_group(target, mode="a"), math.ceil(height / block_rows)
    source = prepare(rows, size)
    last = outputs[-1]  # in every part the last to be written
    done = stored_chunks(target, last.name)
    if done:
        _check_rows(fitted, rows, group[last.name], last, min(done) * size)
    missing = tuple(fold for part, fold in enumerate(source.folds) if part not in done)
    logger.info("projecting to %s: %d of %d parts", target, len(missing), len(source.folds))
    sink = functools.partial(write_rows, path=target, names=tuple(output.name for output in outputs))
    shared = (fitted.model, fitted.kernel, outputs)
    write(source.only(missing), project, sink, *shared, label="igtm-project")
    group.attrs[ATTRIBUTE] = label | {"complete": True}
    return zarr.open_group(target, mode="r")


def _label(fitted: FittedMap, rows: RowBlocks, outputs: tuple[Output, ...]) -> dict[str, Any]:
    """Say what decides the rows of a projection, beside the values of X."""
    label: dict[str, Any] = {
        "format": "dask_igtm projection",
        "format_version": FORMAT_VERSION,
        "model": digest(pack(fitted.model)),
        "kernel": fitted.kernel,
        "version": __version__,
        **rows.layout,
        "outputs": [output.name for output in outputs],
    }
    tops = [output.width for output in outputs if output.name in OF_TOP]
    return label | {"top": tops[0]} if tops else label


def _label_of(target: str) -> dict[str, Any] | None:
    """Return what a projection says of itself, None where nothing is; refuse everything else."""
    files, name = fsspec.core.url_to_fs(target)
    if not files.exists(name) or (files.isdir(name) and not files.ls(name)):
        return None
    try:
        found: Any = zarr.open_group(target, mode="r").attrs[ATTRIBUTE]
        return dict(found)
    except (OSError, KeyError, ValueError, TypeError):
        raise FileExistsError(
            f"There is something at {target!r} that is no projection by dask_igtm; give another path, or "
            "remove it."
        ) from None


def _check(found: dict[str, Any], label: dict[str, Any], target: str, *, resume: bool) -> None:
    if not resume:
        raise FileExistsError(
            f"There is a projection at {target!r} already; give resume=True to finish it, another path, or "
            "remove it."
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


def _stored_height(target: str, outputs: tuple[Output, ...]) -> int | None:
    """Return how many rows a part of an earlier projection has; None if it had come to none."""
    group = zarr.open_group(target, mode="r")
    tables: list[Any] = [group[output.name] for output in outputs if output.name in group]
    return tables[0].chunks[0] if tables else None


def _check_rows(fitted: FittedMap, rows: RowBlocks, table: Any, output: Output, index: int) -> None:
    """Project one block that is there again, lest other rows of the same shape are taken for these."""
    block = next(itertools.islice(rows.each(), index, None))
    first, last = block.span(0) or (0, 0)
    again = compute(fitted.project(block, (output,))[0], in_memory=rows.in_memory)
    if not np.allclose(again, table[first:last], rtol=1e-6):
        raise ValueError(
            f"{table.store_path} holds other {output.name} of rows {first}:{last} than X has there, so that "
            "it is the projection of other data; give another path, or remove it."
        )
