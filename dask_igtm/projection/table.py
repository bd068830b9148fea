"""A table of what a fitted map says of each row, with the names of the rows, in the kind of frame X is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import dask
import numpy as np
from dask.core import flatten
from dask.task_spec import List, Task, TaskRef

from dask_igtm.data.frames import arrow_frame, frame, is_dask_frame, is_pandas_frame, numbers_in
from dask_igtm.data.planning import planned
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.row_names import NUMBER, Names, id_columns, split_names
from dask_igtm.data.table_columns import check_distinct
from dask_igtm.data.table_ids import opened_with_ids
from dask_igtm.passes.map_rows import Call, call_of, map_blocks
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.projection.fitted_tree import Fitted
from dask_igtm.projection.labelled_results import as_dataset, is_labelled
from dask_igtm.projection.validate import fitted_map, names_of_fit, rows_of

Columns = dict[str, Any]
Outputs = tuple[Output, ...]


def table(estimator: Any, X: Any, outputs: Sequence[str], *, top: int = 5, ids: Any = None) -> Any:
    """Return a frame with a row for each row of X, and its name; see `IGTM.table`.

    Parameters
    ----------
    estimator : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X, outputs, top, ids
        As in `IGTM.table`.
    """
    fitted = fitted_map(estimator)
    chosen = fitted.outputs(outputs, top)
    rest, names = split_names(opened_with_ids(X, ids, names_of_fit(estimator)), ids)
    names = names or {}
    check_distinct((*names, *(name for output in chosen for name in output.columns)), "The table")
    rows = rows_of(estimator, rest)
    if is_labelled(X):  # whose coordinates say already which row is which
        given = {} if ids is None else {name: names[name] for name in names if name not in X.coords}
        return as_dataset(X, given | _columns(chosen, fitted.project(rows, chosen)))
    if rows.in_memory:
        columns = _columns(chosen, fitted.project(rows, chosen))
        return _in_kind(X, ids, names, columns)
    if is_dask_frame(X) and (ids is None or id_columns(X, ids)):
        return _of_partitions(fitted, rows, X, rest.columns, names, chosen)
    return _of_blocks(fitted, rows, names, chosen)


def _columns(outputs: Outputs, arrays: Sequence[Any]) -> Columns:
    """Return the columns of outputs by their names."""
    columns: Columns = {}
    for output, array in zip(outputs, arrays, strict=True):
        columns |= zip(output.columns, [array] if output.width is None else array.T, strict=True)
    return columns


def _in_kind(X: Any, ids: Any, names: Names, columns: Columns) -> Any:
    """Return columns as a frame of the kind of X where that is in memory and one, or else of pandas."""
    held = arrow_frame(X)
    if held is None:
        return _indexed(names, columns, X.index if is_pandas_frame(X) and ids is None else None)
    import narwhals as nw  # noqa: PLC0415 - an extra, which has made `held`

    own = (
        {} if ids is None else {name: held[name].to_native() for name in id_columns(X, ids)}
    )  # of their own types
    numbers = {} if names else {NUMBER: np.arange(len(held))}
    return nw.from_dict({**numbers, **names, **own, **columns}, backend=held.implementation).to_native()


def _indexed(names: Names, columns: Columns, index: Any = None) -> Any:
    """Return a frame of pandas with an index, or with names as its index."""
    if index is None:
        result = frame({**names, **columns}, None)
        return result.set_index(list(names)) if names else result
    result = frame(columns, None)
    result.index = index
    return result


def _part(names: Names, columns: Columns, index: Any) -> Any:
    """Return a part of a frame of Dask, which knows no index of several levels: several names are columns."""
    return _indexed(names, columns) if len(names) == 1 else _indexed({}, {**names, **columns}, index)


def _nothing(outputs: Outputs) -> tuple[Any, ...]:
    return tuple(np.empty(output.shape(0), output.dtype) for output in outputs)


def _of_partitions(
    fitted: Fitted, rows: RowBlocks, X: Any, features: Any, names: Names, outputs: Outputs
) -> Any:
    """Return a frame of Dask with the partitions of another one, each read once, and its index or columns."""
    taken = set(X.columns) - set(features)
    ids = [name for name in names if name in taken]  # and not levels of the index
    call = call_of(rows, fitted.projector, fitted.model, fitted.kernel, outputs, outputs=outputs)
    return X.map_partitions(
        _of_partition,
        dask.delayed(call, traverse=False, pure=False),
        list(features),
        ids,
        outputs,
        meta=_part(
            {name: X._meta[name] for name in ids}, _columns(outputs, _nothing(outputs)), X._meta.index
        ),
        enforce_metadata=False,
        clear_divisions=len(ids) == 1,
    )


def _of_partition(
    part: Any, call: Call, features: list[Any], ids: list[str], outputs: Outputs, partition_info: Any = None
) -> Any:
    numbers = numbers_in(part[features], "X")
    arrays = call(numbers, partition_info["number"] if partition_info else 0)
    return _part({name: part[name].array for name in ids}, _columns(outputs, arrays), part.index)


def _of_blocks(fitted: Fitted, rows: RowBlocks, names: Names, outputs: Outputs) -> Any:
    """Return a frame of Dask with a partition for each block of rows, which are numbered without a name."""
    nothing = [np.empty(0, array.dtype) for array in names.values()]
    meta = _of_block([_nothing(outputs), *nothing], tuple(names), outputs, 0)
    from dask.dataframe import from_graph  # noqa: PLC0415 - an extra, which `meta` has asked for

    call = call_of(rows, fitted.projector, fitted.model, fitted.kernel, outputs, outputs=outputs)
    arrays = [map_blocks(rows, call), *names.values()]
    if not planned(arrays[0]):
        arrays = list(dask.optimize(*arrays))
    graph: dict[Any, Any] = {}
    for array in arrays:
        graph |= dict(array.__dask_graph__())
    starts, name = rows.starts or (), f"igtm-table-{uuid.uuid4().hex}"
    keys = [(name, number) for number in range(arrays[0].numblocks[0])]
    blocks = zip(*(flatten(array.__dask_keys__()) for array in arrays), strict=True)
    for key, parts in zip(keys, blocks, strict=True):
        first = starts[key[1]] if starts else 0
        graph[key] = Task(key, _of_block, List(*map(TaskRef, parts)), tuple(names), outputs, first)
    return from_graph(graph, meta, _divisions(starts, len(keys), names), keys, "igtm-table")


def _of_block(parts: Sequence[Any], names: Sequence[str], outputs: Outputs, first: int) -> Any:
    arrays, *ids = parts
    columns = _columns(outputs, arrays)
    index = frame(columns, None).index + first
    return _part(dict(zip(names, ids, strict=True)), columns, index)


def _divisions(starts: Sequence[int], n_parts: int, names: Names) -> tuple[int | None, ...]:
    """Return the row numbers at which partitions begin, and the last one, if they are the index and known."""
    if len(names) == 1 or not starts or len(set(starts)) < len(starts):
        return (None,) * (n_parts + 1)
    return (*starts[:-1], starts[-1] - 1)
