"""Maps of cells, scanpy's way: an AnnData goes in, and what the map says of its cells is written into it.

Cells in memory, backed and lazy ones are read as `IGTM` reads them, and a few numbers a cell come back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import dask.array as da
import numpy as np
from anndata import AnnData
from anndata.abc import CSCDataset, CSRDataset
from numpy.typing import NDArray

from dask_igtm.data.containers import is_lazy
from dask_igtm.data.json_text import dumps, loads
from dask_igtm.data.npz_io import FORMAT_VERSION, check_version, understood
from dask_igtm.data.row_blocks import RowBlocks, row_blocks
from dask_igtm.estimators import saving
from dask_igtm.estimators.igtm import IGTM
from dask_igtm.passes.map_rows import compute
from dask_igtm.projection.validate import fitted_map, rows_of

__all__ = ["gtm", "load", "project"]

MEANS, OF_CELLS = "means", ("node", "entropy", "log_likelihood")  # outputs of `IGTM.describe`
SHOWN = 5  # genes in a message
MAP = {"params", "header", "arrays"}  # what `uns` has of a map

Names = tuple[str, ...]


def gtm(
    adata: AnnData,
    *,
    use_rep: str | None = None,
    layer: str | None = None,
    mask_var: str | NDArray[np.bool_] | Any | None = None,
    key_added: str | None = None,
    copy: bool = False,
    **settings: Any,
) -> AnnData | None:
    """Fit a map to cells, and write where each of them lies on it.

    Parameters
    ----------
    adata : AnnData of shape (n, D)
        In memory, backed or lazy; dense, or sparse by rows (CSR). Of a backed or lazy one nothing but the
        results is held in memory.
    use_rep : str, optional
        What to map: a key of `adata.obsm`, such as "X_pca", or "X". By default X, or `layer`.
    layer : str, optional
        Map this one of `adata.layers` instead of X.
    mask_var : str or array of bool of shape (D,), optional
        Which genes of X or the layer count: a column of `adata.var`, such as "highly_variable", or a mask.
        By default all.
    key_added : str, optional
        Where results go; see below.
    copy : bool, default=False
        Write into a copy, and return it.
    **settings
        Parameters of `IGTM`.

    Returns
    -------
    AnnData or None
        The copy, or None. These are written:

        - `obsm["X_gtm"]`, or `obsm[key_added]`, (n, 2): the posterior mean on the map, in [-1, 1];
        - `uns["gtm"]`, or `uns[key_added]`: the map as arrays, numbers and text, for `load` and `project`;
          its "params" are what was mapped, and `settings`;
        - `obs["gtm_node"]`, or `obs[f"{key_added}_node"]`: the node with the largest responsibility;
        - `obs["gtm_entropy"]`, likewise: of the responsibilities, in nats;
        - `obs["gtm_log_likelihood"]`, likewise: ln p of the cell, a density in the units of what was mapped.

    Raises
    ------
    TypeError
        If `adata` is none, or a setting is no parameter of `IGTM` or cannot be stored.
    ValueError
        If what to map is not there or contradictory, if names of genes are not unique, if `adata` cannot be
        written to, or where `IGTM.fit` raises one.

    See Also
    --------
    project : other cells onto the same map.
    load : the map as an `IGTM`.

    Examples
    --------
    >>> import numpy as np
    >>> from anndata import AnnData
    >>> from dask_igtm import tl
    >>> cells = AnnData(np.random.default_rng(0).normal(size=(100, 5)))
    >>> tl.gtm(cells, k=5, m=2, scale="standard")
    >>> cells.obsm["X_gtm"].shape
    (100, 2)
    """
    igtm = IGTM(**settings)
    checked = igtm._settings()
    dumps(igtm.get_params())  # what could not be stored after the fit is refused before it
    adata = _target(adata, "adata", copy)
    columns = None if mask_var is None else _masked(adata, mask_var)
    X = _table(adata, "adata", use_rep, layer, columns)
    genes = _genes(adata, columns) if _of_genes(use_rep) else None
    rows = rows_of(igtm, X, n_blocks=igtm.n_blocks, reset=True, names=genes)
    igtm._fit(rows, checked)
    mask = mask_var if isinstance(mask_var, str) else None
    params = {"use_rep": use_rep, "layer": layer, "mask_var": mask, **settings}
    params = {name: value for name, value in params.items() if value is not None}
    _write(adata, _Keys.of(key_added), igtm, rows, params)
    return adata if copy else None


def project(
    adata_new: AnnData, adata: AnnData, *, key: str | None = None, copy: bool = False
) -> AnnData | None:
    """Write into other cells where they lie on a map that is stored already.

    What is mapped is what `gtm` mapped of `adata`: the same layer, or the same genes of X, which are found by
    name, so that `adata_new` may have others besides, in any order; or the same representation, which must
    have been made by the same transformation, as `sc.tl.ingest` makes "X_pca".

    Parameters
    ----------
    adata_new : AnnData
        The cells to project.
    adata : AnnData
        With the map in its `uns`. Nothing is written into it, and nothing else read from it.
    key : str, optional
        The `key_added` of the map.
    copy : bool, default=False
        Write into a copy of `adata_new`, and return it.

    Returns
    -------
    AnnData or None
        The copy, or None. What `gtm` writes is written under the same names, the map too.

    Raises
    ------
    TypeError
        If one of both is no AnnData.
    ValueError
        If there is no such map, if `adata_new` lacks genes or what was mapped, if its names of genes are not
        unique, or where `IGTM.transform` raises one.
    """
    igtm = load(adata, key)
    keys = _Keys.of(key)
    params = dict(adata.uns[keys.uns]["params"])
    use_rep, layer = params.get("use_rep"), params.get("layer")
    adata_new = _target(adata_new, "adata_new", copy)
    genes = tuple(igtm.feature_names_in_) if _of_genes(use_rep) else None
    columns = None if genes is None else _found(adata_new, genes)
    X = _table(adata_new, "adata_new", use_rep, layer, columns)
    _write(adata_new, keys, igtm, rows_of(igtm, X, names=genes), params)
    return adata_new if copy else None


def load(adata: AnnData, key: str | None = None) -> IGTM:
    """Return the map that `gtm` stored in `adata.uns`, exact to the bit.

    Parameters
    ----------
    adata : AnnData
    key : str, optional
        The `key_added` of the map.

    Returns
    -------
    IGTM
        Fitted, to the genes in its `feature_names_in_`, or to columns of a representation.

    Raises
    ------
    TypeError
        If `adata` is none.
    ValueError
        If there is no such map, or one of a newer format.
    """
    _check_anndata(adata, "adata")
    name = _Keys.of(key).uns
    stored = adata.uns.get(name)
    if not isinstance(stored, Mapping) or not MAP.issubset(stored):
        given = "" if key is None else f", key_added={key!r}"
        raise ValueError(f"adata.uns has no map at {name!r}; call dask_igtm.tl.gtm(adata{given}) first.")
    place = f"adata.uns[{name!r}]"
    with understood(place):
        header = loads(str(stored["header"]))
    check_version(header, place)
    with understood(place):
        arrays = {name: _as_saved(array) for name, array in stored["arrays"].items()}
        igtm: IGTM = saving.unpack(IGTM, header, arrays)
        return igtm


@dataclass(frozen=True)
class _Keys:
    """Where results are, by the rule of `sc.tl.umap`."""

    obsm: str
    uns: str

    @classmethod
    def of(cls, key: str | None) -> Self:
        return cls("X_gtm", "gtm") if key is None else cls(key, key)


def _check_anndata(adata: Any, name: str) -> None:
    if not isinstance(adata, AnnData):
        raise TypeError(
            f"{name} is of type {type(adata).__name__}; give an AnnData, or a table to IGTM().fit."
        )


def _target(adata: Any, name: str, copy: bool) -> AnnData:
    """Return what is written to; raise TypeError or ValueError if it takes nothing."""
    _check_anndata(adata, name)
    if adata.isbacked and adata.is_view and not copy:
        raise ValueError(
            f"{name} is a view of a backed AnnData, which takes no results; give {name}.to_memory(), or "
            f"what {name}.copy(filename) returns."
        )
    return adata.copy() if copy else adata


def _of_genes(use_rep: str | None) -> bool:
    return use_rep is None or use_rep == "X"


def _genes(adata: AnnData, columns: NDArray[np.intp] | None) -> Names:
    _check_unique(adata, "adata")
    return tuple(map(str, adata.var_names if columns is None else adata.var_names[columns]))


def _check_unique(adata: AnnData, name: str) -> None:
    if not adata.var_names.is_unique:
        twice = adata.var_names[adata.var_names.duplicated()].unique()
        raise ValueError(
            f"{name} has several genes {_listed(twice)}, and a map knows genes by name; call "
            f"{name}.var_names_make_unique() first."
        )


def _masked(adata: AnnData, mask_var: Any) -> NDArray[np.intp]:
    """Return the numbers of the genes that a mask leaves."""
    name = "mask_var"
    if isinstance(mask_var, str):
        name = f"adata.var[{mask_var!r}]"
        if mask_var not in adata.var.columns:
            raise ValueError(f"There is no {name}; give one of {list(adata.var.columns)}, or a mask.")
        mask_var = adata.var[mask_var]
    elif hasattr(mask_var, "reindex") and not mask_var.index.equals(adata.var_names):
        raise ValueError(
            "mask_var has another index than adata.var_names; give mask_var.reindex(adata.var_names), or "
            "mask_var.to_numpy() to go by position."
        )
    mask = mask_var.to_numpy() if hasattr(mask_var, "to_numpy") else np.asarray(mask_var)
    if mask.dtype != bool or mask.shape != (adata.n_vars,):
        raise ValueError(
            f"{name} has dtype {mask.dtype} and shape {mask.shape}; give a bool for each of the "
            f"{adata.n_vars} genes."
        )
    if not mask.any():
        raise ValueError(f"{name} leaves no gene; give one that is True for the genes to map.")
    return np.flatnonzero(mask)


def _found(adata: AnnData, genes: Names) -> NDArray[np.intp] | None:
    """Return where the genes of a map are, or None where they are all that there are, in this order."""
    _check_unique(adata, "adata_new")
    columns = adata.var_names.get_indexer(genes)
    lacking = [gene for gene, column in zip(genes, columns, strict=True) if column < 0]
    if lacking:
        raise ValueError(
            f"adata_new lacks {len(lacking)} of the {len(genes)} genes of the map: {_listed(lacking)}; give "
            "cells in which they were measured under these names, or fit a map to the genes that both have."
        )
    return None if np.array_equal(columns, np.arange(adata.n_vars)) else columns


def _listed(genes: Sequence[str]) -> str:
    more = f" and {len(genes) - SHOWN} more" if len(genes) > SHOWN else ""
    return ", ".join(map(repr, genes[:SHOWN])) + more


def _table(
    adata: AnnData, name: str, use_rep: str | None, layer: str | None, columns: NDArray[np.intp] | None
) -> Any:
    """Return what is mapped, as a table that `IGTM` takes; `columns` are those of genes."""
    if use_rep is not None and layer is not None:
        raise ValueError(f"use_rep={use_rep!r} and layer={layer!r} are two tables; give one of them.")
    if columns is not None and not _of_genes(use_rep):
        raise ValueError(
            f"mask_var chooses genes, and use_rep={use_rep!r} has none; give no mask_var, or no use_rep."
        )
    if layer is not None:
        X, name = _member(adata.layers, f"{name}.layers", layer)
    elif not _of_genes(use_rep):
        X, name = _member(adata.obsm, f"{name}.obsm", use_rep)
    else:
        X, name = adata.X, f"{name}.X"
    if X is None:
        raise ValueError(f"{name} is None; give a layer or use_rep.")
    X = _by_rows(X, name)
    if columns is None:
        return X
    return _taken(row_blocks(X).X, columns) if is_lazy(X) else X[:, columns]


def _member(members: Any, name: str, key: str | None) -> tuple[Any, str]:
    """Return what is at a key, and what it is called in messages."""
    if key not in members:
        there = ", ".join(map(repr, members)) or "nothing"
        raise ValueError(f"{name} lacks {key!r}, which is to be mapped; it has {there}.")
    return members[key], f"{name}[{key!r}]"


def _by_rows(X: Any, name: str) -> Any:
    """Return what is stored by rows as what `IGTM` opens; raise ValueError for what is stored by columns."""
    lazy_columns = isinstance(X, da.Array) and X.numblocks[1] > 1 and getattr(X._meta, "format", "") == "csc"
    if lazy_columns or isinstance(X, CSCDataset):
        raise ValueError(
            f"{name} is stored by columns (CSC), and every block of cells would read all of it; write it by "
            f"rows once: adata = adata.to_memory(); {name} = {name}.tocsr(); adata.write_h5ad(path)."
        )
    return X.group if isinstance(X, CSRDataset) else X  # whose path and name travel to workers


def _taken(X: da.Array, columns: NDArray[np.intp]) -> da.Array:
    """Take columns within each block, whatever kind it is."""
    chunks = (X.chunks[0], (len(columns),))
    return X.map_blocks(_columns_of, columns=columns, dtype=X.dtype, chunks=chunks, meta=X._meta)


def _columns_of(block: Any, columns: NDArray[np.intp]) -> Any:
    return block[:, columns]


def _packed(igtm: IGTM) -> dict[str, Any]:
    """Return a map as `uns` can hold it in every format of AnnData."""
    header, arrays = saving.pack(igtm)
    return {
        "header": dumps({"format_version": FORMAT_VERSION, **header}),
        "arrays": {name: array.item() if array.ndim == 0 else array for name, array in arrays.items()},
    }


def _as_saved(array: Any) -> NDArray[Any]:
    """Return an array of `uns`, lazy or not, as it was stored: AnnData has words as objects."""
    found = np.asarray(array)
    return np.array(found.tolist(), dtype=str) if found.dtype.kind in "OT" else found


def _write(adata: AnnData, keys: _Keys, igtm: IGTM, rows: RowBlocks, params: dict[str, Any]) -> None:
    fitted = fitted_map(igtm)
    arrays = fitted.project(rows, fitted.outputs((MEANS, *OF_CELLS)))
    means, *of_cells = compute(arrays, in_memory=rows.in_memory)
    adata.obsm[keys.obsm] = means  # first, for it makes a view an AnnData of its own
    adata.uns[keys.uns] = {"params": params, **_packed(igtm)}
    for name, values in zip(OF_CELLS, of_cells, strict=True):
        adata.obs[f"{keys.uns}_{name}"] = values
