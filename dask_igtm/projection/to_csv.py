"""Projections to CSV: one file, which is whole or not there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from dask.system import CPU_COUNT

from dask_igtm.data.parquet_parts import schema_of, table_of
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.whole_outputs import whole_file
from dask_igtm.passes.map_rows import compute
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.projection.fitted_tree import Fitted

BLOCKS = 4 * CPU_COUNT  # computed at a time


def project_to_csv(
    fitted: Fitted,
    rows: RowBlocks,
    path: str,
    outputs: tuple[Output, ...],
    columns: Mapping[str, Any],
    *,
    overwrite: bool,
) -> None:
    """Write the values of the rows, which are records, and some outputs as one file, some blocks at a time.

    Raises
    ------
    FileExistsError
        If something is there that is not to be replaced, or has come there meanwhile.
    """
    from pyarrow import csv  # noqa: PLC0415 - an extra

    arrays = (rows.y, *fitted.project(rows, outputs))
    edges = [*rows.starts[::BLOCKS], rows.X.shape[0]]  # type: ignore[index] # sizes are known
    with (
        whole_file(path, overwrite=overwrite) as partial,
        csv.CSVWriter(partial, schema_of(columns)) as writer,
    ):
        for start, stop in itertools.pairwise(edges):
            part = compute(tuple(array[start:stop] for array in arrays), in_memory=rows.in_memory)
            writer.write_table(table_of(columns, part))
