"""Projections to Zarr: whole chunks of an array for each output, and of one for each id of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.stored_tables import TEXT, as_text, id_type
from dask_igtm.data.whole_outputs import Path, absolute
from dask_igtm.data.zarr_labels import Label, check_run, claim, label_of, set_label
from dask_igtm.data.zarr_tables import Table, create, missing_chunks, write_rows
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.projection.fitted_tree import Fitted
from dask_igtm.projection.parts import write_parts

FILLS = {"f": np.nan, "i": -1, "u": 0, "b": 0}  # of ids, by the kind of their type


@dataclass(frozen=True)
class ZarrParts:
    """A group of Zarr whose arrays are written in chunks of whole rows, a part being one of each.

    Attributes
    ----------
    path : str
    n_rows : int
    outputs : tuple of Output
    ids : dict of str to numpy.dtype
        Names and types of the ids of the rows.
    """

    path: str
    n_rows: int
    outputs: tuple[Output, ...]
    ids: dict[str, Any]

    def label(self) -> Label | None:
        """Return the label of the group."""
        return label_of(self.path)

    def claim(self, label: Label) -> bool:
        """Make the group."""
        return claim(self.path, label)

    def set_label(self, label: Label) -> None:
        """Label the group anew."""
        set_label(self.path, label)

    def create(self, height: int) -> None:
        """Make the arrays that are not there."""
        create(self.path, self._tables(height))

    def missing(self, _n_parts: int, height: int) -> set[int]:
        """Return the numbers of the chunks that some array lacks."""
        return missing_chunks(self.path, self._tables(height))

    def write(self, first_row: int, arrays: tuple[Any, ...], height: int, run: str) -> None:
        """Write a chunk of each array."""
        outputs = arrays[: len(self.outputs)]
        ids = [_storable(records[name]) for records in arrays[len(outputs) :] for name in self.ids]
        write_rows(first_row, (*outputs, *ids), self.path, tuple(self._tables(height)), run)

    def check_run(self, run: str) -> None:
        """Raise FileExistsError unless the group belongs to a run."""
        check_run(zarr.open_group(self.path, mode="r"), self.path, run)

    def _tables(self, height: int) -> dict[str, Table]:
        tables = {o.name: Table(o.shape(self.n_rows), o.dtype, o.fill, height) for o in self.outputs}
        return tables | {name: _table(self.n_rows, dtype, height) for name, dtype in self.ids.items()}


def _table(n_rows: int, dtype: Any, height: int) -> Table:
    kind = id_type(dtype)
    return Table((n_rows,), kind, "" if kind == TEXT else FILLS[np.dtype(kind).kind], height)


def _storable(values: Any) -> Any:
    return as_text(values) if id_type(values.dtype) == TEXT else values


def project_to_zarr(
    fitted: Fitted, rows: RowBlocks, path: Path, outputs: tuple[Output, ...], *, resume: bool
) -> zarr.Group:
    """Write some outputs of all rows to a Zarr group; see the estimator's method."""
    rows = rows.regular()
    target = ZarrParts(absolute(path), rows.X.shape[0], outputs, {})
    write_parts(fitted, rows, outputs, target, resume=resume)
    return zarr.open_group(target.path, mode="r")
