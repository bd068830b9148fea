"""Paths and groups at which there is no array: what to give instead."""

from __future__ import annotations

from typing import Any

from dask_igtm.data.encodings import BY_COLUMNS, BY_ROWS, encoding_of
from dask_igtm.data.plain_text import escaped, listed

Shapes = dict[str, tuple[int, ...]]

SHOWN = 8  # arrays of a group

# Endings of files that `convert` writes as Zarr, of which CSV and Parquet are opened as they are,
NPY, CSV, PARQUET = (".npy",), (".csv", ".csv.gz"), (".parquet", ".pq")
NPZ, MTX, H5AD = (".npz",), (".mtx", ".mtx.gz"), (".h5ad",)
CONVERTED = NPY + CSV + PARQUET + NPZ + MTX + H5AD
# and what else reads these, and others.
READERS = {
    ".npy": "numpy.load({0}, mmap_mode='r')",
    ".npz": "scipy.sparse.load_npz({0}), or an array of numpy.load({0})",
    ".mtx": "scipy.io.mmread({0})",
    ".mtx.gz": "scipy.io.mmread({0})",
    ".h5ad": "anndata.read_h5ad({0}, backed='r').X",
    ".h5": "a dataset of h5py.File({0})",
    ".hdf5": "a dataset of h5py.File({0})",
    ".nc": "an array of xarray.open_dataset({0})",
}


def nothing_there(path: str) -> str:
    """Say that there is no Zarr at a path, and what reads a file of its ending."""
    reader = next((read for ending, read in READERS.items() if path.lower().endswith(ending)), None)
    instead = reader.format(repr(path)) if reader else "the path or URL of one"
    if path.lower().endswith(CONVERTED):
        instead += ", or write it as Zarr by dask_igtm.convert"
    return f"There is no Zarr array at {path!r}; give {instead}."


def zarr_group(group: Any, name: str, *, table: bool) -> str:
    """Say what to give instead of a Zarr group that is given as `name`; it reads what is in the group."""
    shapes = _shapes(dict(group.members(max_depth=None)))
    what = f"{name} is the Zarr group {escaped(group.store_path)}"
    return _message(what, "give the path of one of its arrays: ", shapes, group, table)


def hdf5_group(group: Any, name: str, *, table: bool) -> str:
    """Say what to give instead of a group or file of h5py that is given as `name`."""
    members: dict[str, Any] = {}
    group.visititems(members.__setitem__)
    what, give = f"{name} is the HDF5 group {escaped(group.name)}", "give one of its datasets by its path: "
    return _message(what, give, _shapes(members), group, table)


def _shapes(members: dict[str, Any]) -> Shapes:
    """Return the shapes of arrays, and of sparse matrices instead of their parts."""
    sparse = {
        path: tuple(map(int, member.attrs["shape"]))
        for path, member in members.items()
        if encoding_of(member) == BY_ROWS and "shape" in member.attrs
    }
    arrays = {
        path: member.shape
        for path, member in members.items()
        if hasattr(member, "shape") and path.rpartition("/")[0] not in sparse
    }
    return arrays | sparse


def _message(what: str, give: str, shapes: Shapes, group: Any, table: bool) -> str:
    if encoding_of(group) == BY_COLUMNS:
        return (
            f"{what}, a sparse matrix stored by columns, of which no rows can be read; store it by rows, "
            "with anndata.io.write_elem(parent, key, anndata.io.read_elem(group).tocsr()), or "
            "dask_igtm.convert what it came from."
        )
    if encoding_of(group) == BY_ROWS:
        return f"{what}, a sparse matrix and no values of rows; give anndata.io.read_elem(group).toarray()."
    fitting = [path for path, shape in sorted(shapes.items()) if len(shape) in ({2} if table else {1, 2})]
    if fitting:
        return f"{what}; {give}{listed(fitting, SHOWN)}."
    there = listed([f"{path} of shape {shape}" for path, shape in sorted(shapes.items())], SHOWN)
    return f"{what}, and none of its arrays {'is 2D' if table else 'is 1D or 2D'}: {there or 'it has none'}."
