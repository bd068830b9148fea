"""Tables of rows, with what a map says of each and what each is called: of every estimator that has a map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dask_igtm.data.whole_outputs import Path
from dask_igtm.projection.table import table
from dask_igtm.projection.written import write_table


class RowTablesMixin:
    """The methods that make and write such tables."""

    def _with_map(self) -> Any:
        """Return the estimator whose map it is."""
        return self

    def table(
        self,
        X: Any,
        outputs: Sequence[str] = ("means", "node", "entropy", "log_likelihood"),
        *,
        top: int = 5,
        ids: Any = None,
    ) -> Any:
        """Return what `describe` does as a table that says which row is which.

        Parameters
        ----------
        X : as in `fit`; shape (n, D) without columns that are ids
        outputs, top
            As in `describe`.
        ids : str, sequence of str, or array or series of n, optional
            Columns of X that name the rows and are no data, or a name for each row. By default the index of
            a frame, the ids that a table in a file keeps, or the coordinates of xarray; row numbers else.

        Returns
        -------
        frame with n rows
            Columns "x1", "x2" of means, "mode_x1", "mode_x2" of modes, "node", "entropy", "top_node_1"... A
            frame of pandas, Dask, polars, or a pyarrow.Table where X is one; an xarray.Dataset for xarray; of
            pandas for anything else in memory, and a lazy one of Dask for anything else. Names of the rows
            are the index of a frame that has one, and else its first columns. Of Dask several names are
            columns, and rows without names are numbered; within each block where chunk sizes are unknown.

        Raises
        ------
        ImportError
            If pandas, or what else the frame needs, is not installed.
        ValueError
            As `describe`; if X has no such columns, or there is not one id a row; or if an id has the name of
            a column of the table.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from dask_igtm import IGTM
        >>> X = load_iris(as_frame=True).data.rename_axis("flower")
        >>> flowers = IGTM(k=8, scale="standard", solver="em").fit(X).table(X, ["node", "entropy"])
        >>> flowers.index.name, list(flowers.columns)
        ('flower', ['node', 'entropy'])
        """
        return table(self._with_map(), X, outputs, top=top, ids=ids)

    def write_table(
        self,
        X: Any,
        path: Path,
        outputs: Sequence[str] = ("means", "modes", "log_likelihood"),
        *,
        top: int = 5,
        ids: Any = None,
        resume: bool = True,
        overwrite: bool = False,
    ) -> None:
        """Write what `table` says of each row, as Parquet, CSV or Zarr by the ending of the path.

        Parameters
        ----------
        X : as in `table`
            Blocks of several sizes are divided anew; where their sizes are unknown, as those of CSV, they are
            computed once more to be counted.
        path : path or URL
            `.parquet` or `.pq`: a folder of Parquet, which goes on where it was cut, and belongs to one run
            at a time, as a projection to Zarr does. Until it is complete, one of its files is no Parquet, so
            that others refuse to read it. `.zarr`: what `project_to_zarr` writes, with the ids beside it.
            `.csv`: one file, written anew each time, that is whole or not there. Every worker must see it.
        outputs, top, ids
            As in `table`. Rows without ids are numbered in a column "row" of Parquet and CSV.
        resume : bool, default=True
            As in `project_to_zarr`.
        overwrite : bool, default=False
            Replace what is there: a CSV file once the new one is whole, and a projection at once; nothing
            else. Of a symbolic link what it leads to is replaced.

        Raises
        ------
        FileExistsError
            If something is at `path` that is not to be replaced or gone on with, or another run takes over.
        ImportError
            If pyarrow, which writes Parquet and CSV, is not installed.
        ValueError
            If the ending is unknown, `path` is that of X, in it or around it, or else as `table` and
            `project_to_zarr`.
        """
        write_table(self._with_map(), X, path, outputs, top=top, ids=ids, resume=resume, overwrite=overwrite)
