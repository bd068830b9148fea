"""Projections of rows: as arrays, and to Zarr, where they can be cut and gone on with."""

from __future__ import annotations

import functools
import itertools
import logging
from typing import Any

import dask.array as da
import fsspec
import numpy as np
import zarr

from dask_igtm import __version__, archive, block, blocks, storage
from dask_igtm.inputs import RowBlocks
from dask_igtm.model import Model
from dask_igtm.outputs import OF_TOP, Output
from dask_igtm.softmax import best_kernel
from dask_igtm.source import fold_size, prepare

logger = logging.getLogger("dask_igtm")

ATTRIBUTE = "dask_igtm"


def project_rows(rows: RowBlocks, model: Model, outputs: tuple[Output, ...]) -> tuple[Any, ...]:
    """Return an array for each output: lazy ones that share a pass, or ndarrays of rows in memory."""
    arrays = blocks.map_rows(rows, block.project, model, best_kernel(), outputs, outputs=outputs)
    computed: tuple[Any, ...] = blocks.compute(arrays, in_memory=True) if rows.in_memory else arrays
    return computed


def project_to_zarr(
    rows: RowBlocks, model: Model, path: archive.Path, outputs: tuple[Output, ...], *, resume: bool
) -> zarr.Group:
    """Write some outputs of all rows to a Zarr group, whole chunks at a time; see the estimator's method."""
    target, rows, kernel = storage.absolute(path), rows.regular(), best_kernel()
    names = tuple(output.name for output in outputs)
    size = fold_size(rows.X, max(output.row_bytes for output in outputs))
    source = prepare(rows, size)
    n_rows, height = rows.X.shape[0], size * rows.X.chunks[0][0]
    label: dict[str, Any] = {
        "format": "dask_igtm projection",
        "format_version": archive.FORMAT_VERSION,
        "model": archive.digest(archive.pack(model)),
        "kernel": kernel,
        "version": __version__,
        **rows.layout,
        "outputs": list(names),
    }
    if OF_TOP & set(names):
        label["top"] = next(output.width for output in outputs if output.name in OF_TOP)
    found = _label_of(target)
    if found is not None:
        _check(found, label, target, resume=resume)
    storage.create(target, outputs, n_rows, height, {ATTRIBUTE: label | {"complete": False}})
    group = zarr.open_group(target, mode="a")
    missing = source.folds
    if found is not None:
        last = outputs[-1]  # in every part the last to be written
        done = _written(group[last.name], last, height, in_memory=rows.in_memory)
        _check_rows(rows, model, group[last.name], last, done, size)
        missing = tuple(fold for fold, there in zip(source.folds, done, strict=True) if not there)
    logger.info("projecting to %s: %d of %d parts", target, len(missing), len(source.folds))
    sink = functools.partial(storage.write, path=target, names=names)
    blocks.write(source.only(missing), block.project, sink, model, kernel, outputs, label="igtm-project")
    group.attrs[ATTRIBUTE] = label | {"complete": True}
    return zarr.open_group(target, mode="r")


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


def _written(table: Any, output: Output, height: int, *, in_memory: bool) -> list[bool]:
    """Say of each part of `height` rows whether it has been written."""
    stored = da.from_array(table, chunks=(height, *table.shape[1:]))
    counts = tuple((1,) * count for count in stored.numblocks)
    meta = np.empty((0,) * stored.ndim, bool)
    done = stored.map_blocks(_all_written, output, chunks=counts, dtype=bool, meta=meta)
    return list(blocks.compute(done, in_memory=in_memory).ravel().tolist())


def _all_written(rows: Any, output: Output) -> Any:
    return np.full((1,) * rows.ndim, output.written(rows))


def _check_rows(
    rows: RowBlocks, model: Model, table: Any, output: Output, done: list[bool], size: int
) -> None:
    """Project one block that is there again, lest other rows of the same shape are taken for these."""
    if not any(done):
        return
    one = next(itertools.islice(rows.each(), size * done.index(True), None))
    first, last = one.span(0) or (0, 0)
    (again,) = blocks.map_rows(one, block.project, model, best_kernel(), (output,), outputs=(output,))
    if not np.allclose(blocks.compute(again, in_memory=rows.in_memory), table[first:last], rtol=1e-6):
        raise ValueError(
            f"{table.store_path} holds other {output.name} of rows {first}:{last} than X has there, so that "
            "it is the projection of other data; give another path, or remove it."
        )
