"""Values at the nodes of a map, as a table that prints, goes to pandas, and is saved without pickle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data import npz_io
from dask_igtm.data.frames import frame
from dask_igtm.data.html_text import html_table, html_text
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.whole_outputs import Path
from dask_igtm.landscape.notebook_picture import notebook_picture
from dask_igtm.model import stored
from dask_igtm.model.arrays import nodes_of

Array = NDArray[np.float64]

SHOWN_COLUMNS = 10
EXTREMES = ("least", "largest", "at x1, x2")
KINDS = ("density", "property", "classes", "coverage", "compare", "magnification")
# What some kinds say of everything that they show, in the order of their columns.
PARTS = {"density": ("density", "support"), "property": ("mean", "std", "support")}


@dataclass(frozen=True, eq=False, repr=False)
class Landscape:
    """Values at the nodes of a map.

    Attributes
    ----------
    kind : {"density", "property", "classes", "coverage", "compare", "magnification"}
    nodes : ndarray of shape (K, 2)
        Coordinates x1, x2 of the nodes in [-1, 1]^2, x1 slowest.
    columns : tuple of length C
        What the columns of `values` are: names, or the labels of classes as the user gave them.
    values : ndarray of shape (K, C)
    support : ndarray of shape (K,) or None
        How many rows lie at each node: the sum of their responsibilities, times their weights.
    summary : dict of str to float
        Figures of the whole map.
    """

    kind: str
    nodes: Array
    columns: tuple[Any, ...]
    values: Array
    support: Array | None = None
    summary: dict[str, float] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the columns that repeat for each thing shown, such as mean, std, support."""
        return PARTS.get(self.kind, ("value",))

    def part(self, name: str) -> Array:
        """Return the values of one part of each thing shown, (K, T): "mean", say, of T properties."""
        return self.values[:, self._first(name) :: len(self.parts)]

    def columns_of(self, part: str) -> tuple[Any, ...]:
        """Return the columns that hold one part."""
        return self.columns[self._first(part) :: len(self.parts)]

    def _first(self, part: str) -> int:
        if part not in self.parts:
            raise ValueError(f"part={part!r}; give one of {self.parts}.")
        return self.parts.index(part)

    def __repr__(self) -> str:
        """Return a table with one line a column: where it is least and largest on the map."""
        rows = self._extremes()
        width = max((len(label) for label, *_ in rows), default=0)
        lines = [self._what(), *(f"  {line}" for line in self._figures())]
        lines += [
            f"  {label:{width}}  {least:>10}  {largest:>10}  {place}".rstrip()
            for label, least, largest, place in [("", *EXTREMES), *rows]
        ]
        return "\n".join([*lines, *(f"  {line}" for line in self._further())])

    def _repr_html_(self) -> str:
        """Return what notebooks show: a picture, with the extra `plot`, and the table."""
        lines = "<br>".join(map(html_text, [self._what(), *self._figures()]))
        further = "".join(f"<p>{html_text(line)}</p>" for line in self._further())
        table = html_table(self._extremes(), ("", *EXTREMES))
        return f"<div><p>{lines}</p>{notebook_picture(self)}{table}{further}</div>"

    def _what(self) -> str:
        return f"{self.kind} on {len(self.nodes)} nodes"

    def _figures(self) -> list[str]:
        return [f"{escaped(name)}: {figure:.6g}" for name, figure in self.summary.items()]

    def _extremes(self) -> list[tuple[str, str, str, str]]:
        """Return the name of each column that is shown, its least and largest value, and where that is."""
        labels = [escaped(column) for column in self.columns[:SHOWN_COLUMNS]]
        return [
            (label, *self._extremes_of(values)) for label, values in zip(labels, self.values.T, strict=False)
        ]

    def _extremes_of(self, values: Array) -> tuple[str, str, str]:
        if np.isnan(values).all():
            return "nan", "nan", ""
        x1, x2 = self.nodes[np.nanargmax(values)]
        return f"{np.nanmin(values):.4g}", f"{np.nanmax(values):.4g}", f"{x1:5.2f}, {x2:5.2f}"

    def _further(self) -> list[str]:
        n_more = len(self.columns) - SHOWN_COLUMNS
        return [f"and {n_more} more columns"] if n_more > 0 else []

    def to_frame(self) -> Any:
        """Return a pandas.DataFrame with one row a node: x1, x2, then the columns.

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return frame(np.hstack([self.nodes, self.values]), ["x1", "x2", *self.columns])

    def to_xarray(self) -> Any:
        """Return an xarray.Dataset on the grid of the map, with coordinates x1 and x2.

        Its variables are the columns, and "support" where there is one; its attributes `kind` and `summary`,
        each figure by its name.

        Raises
        ------
        ImportError
            If xarray is not installed.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from dask_igtm import IGTM, landscape
        >>> X = load_iris().data
        >>> found = landscape.density(IGTM(k=8, scale="standard").fit(X), X).to_xarray()
        >>> dict(found.sizes)
        {'x1': 8, 'x2': 8}
        """
        try:
            import xarray as xr  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise ImportError(
                "A Dataset needs xarray, which is not installed; pip install 'dask_igtm[xarray]'."
            ) from error
        axis = np.unique(self.nodes[:, 0])
        columns = dict(zip(map(str, self.columns), self.values.T, strict=True))
        if self.support is not None:
            columns.setdefault("support", self.support)
        k = len(axis)
        variables = {name: (("x1", "x2"), values.reshape(k, k)) for name, values in columns.items()}
        return xr.Dataset(variables, {"x1": axis, "x2": axis}, {"kind": self.kind, **self.summary})

    def save(self, path: Path) -> None:
        """Write the landscape to one file, without pickle; `load_landscape` reads it.

        Raises
        ------
        OSError
            If the folder is not there, or there is something at `path` that is no file.
        TypeError
            If class labels are neither strings, numbers nor bools of one type.
        """
        npz_io.write(path, npz_io.LANDSCAPE, *self.pack())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the landscape that `save` wrote, exact to the bit; raises as `dask_igtm.load` does."""
        header, arrays = npz_io.read(path, npz_io.LANDSCAPE)
        with npz_io.understood(path):
            return cls.unpack(header, arrays)

    def pack(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what a file holds: a header for JSON, and named arrays."""
        columns = npz_io.pack_labels(self.columns)
        arrays = {"nodes": self.nodes, "columns": columns, "values": self.values}
        if self.support is not None:
            arrays["support"] = self.support
        return {"kind": self.kind, "summary": self.summary}, arrays

    @classmethod
    def unpack(cls, header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        """Return the landscape of which `pack` made these.

        Raises ValueError if they are none of a landscape.
        """
        kind, summary = header["kind"], header["summary"]
        if kind not in KINDS:
            raise ValueError(f"kind is {kind!r}, and none of {KINDS}")
        nodes, columns = nodes_of(arrays), tuple(arrays["columns"].tolist())
        if arrays["columns"].ndim != 1 or not columns or len(columns) % len(PARTS.get(kind, ("value",))):
            raise ValueError(f"columns has shape {arrays['columns'].shape}, and is none of {kind}")
        values = stored.floats(arrays, "values", len(nodes), len(columns), finite=False)
        support = stored.floats(arrays, "support", len(nodes)) if "support" in arrays else None
        figures = {name: math.nan if value is None else float(value) for name, value in summary.items()}
        return cls(kind, nodes, columns, values, support, figures)


def load_landscape(path: Path) -> Landscape:
    """Return the landscape that `Landscape.save` wrote, exact to the bit; raises as `dask_igtm.load` does."""
    return Landscape.load(path)
