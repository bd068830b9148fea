"""What is at a path, and what a fitted map or atlas has come to, as facts for words and JSON."""

from __future__ import annotations

import contextlib
from typing import Any

from dask_igtm.cli.fitted import is_atlas

Facts = dict[str, Any]

# Whatever takes long to import is imported by what needs it.


def at(path: str) -> Facts:
    """Say what is at a path of a table or projection, and warn of nothing in it."""
    import warnings

    from dask_igtm.data.csv_files import CsvTable
    from dask_igtm.data.parquet_rows import ParquetRows
    from dask_igtm.data.table_files import open_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = open_path(path)
    if isinstance(found, CsvTable):
        return {"columns": found.columns}
    return _parquet(path, found) if isinstance(found, ParquetRows) else of_store(found)


def _parquet(path: str, rows: Any) -> Facts:
    from dask_igtm.data.parquet_parts import ParquetParts

    label: Any = {}
    with contextlib.suppress(FileExistsError):  # of what is no projection
        label = ParquetParts(path, {}).label() or {}
    ids = list(rows.ids) or label.get("ids", [])
    columns = [name for name in rows.columns if name not in ids]
    facts = {
        "shape": [rows.shape[0], len(columns)],
        "dtype": str(rows.dtype),
        "row_groups": len(rows.row_groups.groups),
        "columns": columns,
    }
    return facts | ({"ids": ids} if ids else {}) | _certificate(label)


def of_store(found: Any) -> Facts:
    """Say what an array, CSR group, table or projection holds."""
    from dask_igtm.data.encodings import BY_ROWS, encoding_of
    from dask_igtm.data.stored_tables import ids_of, rows_in

    ids = ids_of(found)
    if ids is not None:
        return of_store(rows_in(found)) | {"ids": ids}
    if not hasattr(found, "members"):
        return _array(found)
    return _csr(found) if encoding_of(found) == BY_ROWS else _group(found)


def _csr(group: Any) -> Facts:
    from dask_igtm.data.csr_rows import csr_rows

    rows = csr_rows(group, "X")
    return {
        "shape": list(rows.shape),
        "dtype": str(rows.dtype),
        "entries": rows.nnz,
        "entries_a_row": rows.nnz / max(rows.shape[0], 1),
        **_columns(group),
    }


def _array(array: Any) -> Facts:
    facts = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "chunks": list(array.shards or array.chunks),
    }
    return facts | _columns(array)


def _columns(table: Any) -> Facts:
    return {name: table.attrs[name] for name in ("columns",) if name in table.attrs}


def _group(group: Any) -> Facts:
    label = dict(group.attrs.get("dask_igtm", {}))
    facts = {name: list(array.shape) for name, array in sorted(group.arrays())}
    return facts | _certificate(label)


def _certificate(label: Any) -> Facts:
    """Say what a projection is, by its label."""
    return {name: label[name] for name in ("complete", "model", "kernel", "version") if name in label}


def of_fitted(found: Any) -> Facts:
    """Say what a fitted map or atlas has come to."""
    return of_atlas(found) if is_atlas(found) else of_map(found)


def of_atlas(atlas: Any) -> Facts:
    """Say what a fitted atlas has come to, and what became of each map that was tried."""
    tree, parameters = atlas.tree_, atlas.get_params(deep=False)
    of_maps = {name: parameters.pop(name) for name in ("estimator", "child")}
    return {
        "maps": len(tree),
        "depth": max(map(tree.depth, range(len(tree)))),
        "columns": _columns_of_fit(atlas),
        "parameters": parameters,
        **{name: igtm.get_params() for name, igtm in of_maps.items() if igtm is not None},
        "table": _tried(atlas),
    }


def _tried(atlas: Any) -> list[Facts]:
    """Say of each map that was tried what `IGTMAtlas.table` does; its name says of which region it is one."""
    numbers = {name: number for number, name in enumerate(atlas.tree_.names)}
    return [
        {
            "map": trial.name,
            "number": numbers.get(trial.name, -1),
            "rows": trial.n_rows,
            "passes": trial.n_passes,
            "gain": trial.gain,
            "gain_error": trial.gain_error,
            "outcome": trial.outcome,
        }
        for trial in atlas.trials_
    ]


def of_map(igtm: Any) -> Facts:
    """Say what a fitted map has come to."""
    return {
        "nodes": len(igtm.nodes_),
        "columns": _columns_of_fit(igtm),
        "rows": float(igtm.n_samples_seen_),
        "log_likelihood": igtm.log_likelihood_,
        "converged": igtm.converged_,
        "stopped_by": igtm.stopped_by_,
        "iterations": igtm.n_iter_,
        "passes": igtm.n_passes_,
        "noise": igtm.noise,
        "noise_variance": float(igtm.noise_variance_.mean()),
        "beta_inv": getattr(igtm.beta_inv_, "mean", lambda: igtm.beta_inv_)(),
        "regul": igtm.regul_,
        "kernel": igtm.kernel_,
        "parameters": igtm.get_params(),
    }


def _columns_of_fit(found: Any) -> Any:
    names = getattr(found, "feature_names_in_", None)
    return found.n_features_in_ if names is None else list(names)
