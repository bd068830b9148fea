"""What AnnData, which need not be installed, says of the sparse matrices that it stores as groups."""

from __future__ import annotations

from typing import Any

BY_ROWS, BY_COLUMNS = "csr_matrix", "csc_matrix"
VERSION = "0.1.0"


def encoding_of(group: Any) -> str:
    """Return what a group of Zarr or HDF5 is said to hold; nothing where nothing is said."""
    found = group.attrs.get("encoding-type", "")
    return found.decode() if isinstance(found, bytes) else str(found)


def is_backed(X: Any) -> bool:
    """Whether `X` is a sparse matrix that AnnData has not loaded, which has its group."""
    kinds = ((cls.__module__.partition(".")[0], cls.__name__) for cls in type(X).__mro__)
    return ("anndata", "BaseCompressedSparseDataset") in kinds
