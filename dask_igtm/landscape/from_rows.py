"""Landscapes from rows: what data say at each node of a fitted map, from one pass over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.column_names import column_names
from dask_igtm.data.containers import opened
from dask_igtm.data.cubes import is_dataset
from dask_igtm.data.frames import category_order
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.landscape import node_values
from dask_igtm.landscape.landscape import PARTS, Landscape
from dask_igtm.model.checks import check_number
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT
from dask_igtm.projection.fitted_map import FittedMap
from dask_igtm.projection.fitted_tree import FittedTree
from dask_igtm.projection.labelled_rows import rows_with_labels, rows_with_values
from dask_igtm.projection.validate import fitted_map, fitted_maps, rows_of
from dask_igtm.statistics.node_sums import ClassTotals, NodeTotals, class_totals, node_weights, value_totals

Array = NDArray[np.float64]

LABEL = "igtm-landscape"  # of tasks
RESERVED = ("reference", "n_rows", "min_support")


class NoRowCountsError(ValueError):
    """No row counts on a map."""


def density(model: Any, X: Any, sample_weight: Any = None) -> Any:
    """How the rows of X are spread over the map.

    Parameters
    ----------
    model : IGTM, IGTMClassifier, IGTMRegressor or IGTMAtlas
        Fitted.
    X : as in `IGTM.fit`; shape (n, D)
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts.

    Returns
    -------
    Landscape, or of an atlas a dict of such by the names of its maps
        Of a map of an atlas, rows count by the probabilities of `IGTMAtlas.decision_path`; maps without rows
        are left out. Columns "density", the share of all rows, which sums to 1, and "support", in rows.

    Raises
    ------
    ValueError
        If X has other columns than in `fit`, or X or the weights hold what cannot be used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, landscape
    >>> X = load_iris().data
    >>> landscape.density(IGTM(k=8, scale="standard").fit(X), X).values.sum(axis=0).round(6)
    array([  1., 150.])
    """
    return _of_each_map(model, rows_of(model, X, sample_weight), node_weights, density_of)


def density_of(fitted: FittedMap, g: Array) -> Landscape:
    """Return the density of rows that weigh so much at each node, (K,)."""
    _check_weight(g)
    values = np.column_stack([node_values.share_of_rows(g), g])
    return Landscape("density", fitted.nodes, PARTS["density"], values, g, {"n_rows": g.sum()})


def property(model: Any, X: Any, y: Any, sample_weight: Any = None) -> Any:  # noqa: A001
    """Mean and standard deviation of values at each node.

    Parameters
    ----------
    model, X, sample_weight
        As in `density`.
    y : array, series or frame, in memory or lazy, of shape (n,) or (n, T)
        Values of the rows. A row that is NaN in a column does not count there.

    Returns
    -------
    Landscape, or of an atlas a dict of such, as in `density`
        Columns "mean", "std" and "support" (how many rows with a value). Of several columns of y,
        "<name>_mean" and so on, with their names in a frame, or y0, y1...; `support` is then the largest of
        theirs. "mean" is that of ugtm 2.3, which adds 1e-7 to all responsibilities.

    Raises
    ------
    ValueError
        As `density`, and if y holds infinity or what is not a number.
    TypeError
        If y is sparse or masked.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, landscape
    >>> X = load_iris().data
    >>> landscape.property(IGTM(k=8, scale="standard").fit(X), X, X[:, 0]).columns
    ('mean', 'std', 'support')
    """
    y = opened(y)
    rows = rows_with_values(model, X, y, sample_weight)
    return _of_each_map(model, rows, value_totals, property_of, names_of_values(X, y))


def names_of_values(X: Any, y: Any) -> Sequence[str] | None:
    """Return what the columns of the values of rows are called, if they say it."""
    return None if is_dataset(X) else column_names(y)


def of_values(fitted: FittedMap, rows: RowBlocks, names: Sequence[str] | None = None) -> Landscape:
    """Return what `property` does, of rows with values that are checked and may have names."""
    return property_of(fitted, fitted.reduce(rows, value_totals, label=LABEL), names)


def property_of(fitted: FittedMap, totals: NodeTotals, names: Sequence[str] | None = None) -> Landscape:
    """Return the landscape of values with these totals."""
    _check_weight(totals.weight)
    names = names or [f"y{i}" for i in range(totals.mean.shape[1])]
    prefixes = [""] if len(names) == 1 else [f"{name}_" for name in names]
    columns = tuple(prefix + word for prefix in prefixes for word in PARTS["property"])
    parts = np.stack([*node_values.mean_and_std(totals), totals.weight], axis=-1)
    values = parts.reshape(len(parts), -1)
    summary = {f"{prefix}n_rows": n for prefix, n in zip(prefixes, totals.weight.sum(axis=0), strict=True)}
    return Landscape("property", fitted.nodes, columns, values, totals.weight.max(axis=1), summary)


def classes(
    model: Any, X: Any, labels: Any, prior: str | Mapping[Any, float] = "estimated", sample_weight: Any = None
) -> Any:
    """Probability of each class at each node.

    Parameters
    ----------
    model, X, sample_weight
        As in `density`.
    labels : array or series, in memory or lazy, of shape (n,)
        Strings, bytes, whole numbers or bools, all of one kind. A row whose label is missing (None, NaN, NaT
        or NA) does not count. Those of shape (n, 1) are taken with a warning, as by scikit-learn.
    prior : {"estimated", "equiprobable"} or dict, default="estimated"
        Probability of a class before one knows the node: its share of the rows; the same for all; or a
        number for each label.

    Returns
    -------
    Landscape, or of an atlas a dict of such, as in `density`
        A column for each class, in the order of the sorted labels, or of the categories of a Categorical of
        pandas or Dask or an Enum of polars: P(class | node), which is uniform at a node without rows.

    Raises
    ------
    ValueError
        As `density`, and if labels are fractions or of several types, if there are more than 10,000 of
        them, or if the prior does not fit them.
    TypeError
        If they are sparse or masked.

    References
    ----------
    H. A. Gaspar et al. (2015). GTM-based QSAR models and their applicability domains. Molecular
    Informatics 34, 348-356.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, landscape
    >>> X, y = load_iris(return_X_y=True)
    >>> landscape.classes(IGTM(k=8, scale="standard").fit(X), X, load_iris().target_names[y]).columns
    ('setosa', 'versicolor', 'virginica')
    """
    node_values.check_prior(prior)
    rows = rows_with_labels(model, X, labels, sample_weight)
    return _of_each_map(model, rows, class_totals, classes_of, prior, category_order(labels))


def of_labels(fitted: FittedMap, rows: RowBlocks, prior: str | Mapping[Any, float]) -> Landscape:
    """Return what `classes` does, sorted, of rows with labels that are checked."""
    return classes_of(fitted, fitted.reduce(rows, class_totals, label=LABEL), prior)


def classes_of(
    fitted: FittedMap,
    totals: ClassTotals,
    prior: str | Mapping[Any, float],
    order: Sequence[Any] | None = None,
) -> Landscape:
    """Return the landscape of classes with these totals, in an order if they have one."""
    _check_weight(totals.sums)
    places = {label: place for place, label in enumerate(totals.labels.tolist())}
    columns = tuple(places if order is None else filter(places.__contains__, order))
    values = node_values.class_posterior(totals, prior)[:, [places[label] for label in columns]]
    support = totals.sums.sum(axis=1)
    return Landscape("classes", fitted.nodes, columns, values, support, {"n_rows": support.sum()})


def coverage(
    model: Any,
    X_reference: Any,
    X_query: Any,
    *,
    min_support: float = 1.0,
    sample_weight: Mapping[str, Any] | None = None,
) -> Landscape:
    """How much of one or more sets of rows lies where a reference has rows; one pass over all of them.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X_reference : as in `IGTM.fit`; shape (n, D)
    X_query : the same, or a dict of names to such
    min_support : float, default=1.0
        How many rows of the reference a node needs, in sums of responsibilities, to be supported.
    sample_weight : dict of names to arrays or dask arrays of shape (n,), optional
        How often each row counts of "reference", and of the queries by their names ("query" where there are
        none); rows of what is not in it count once.

    Returns
    -------
    Landscape
        A column for each query ("query" where there are no names), its density, and "reference", that of the
        reference, whose rows are `support`. `summary` has for each query the share of its rows on supported
        nodes, and "<name>_n_rows", how many they are; "n_rows" are those of the reference, and "min_support"
        is what was given.

    Raises
    ------
    ValueError
        As `density`, and if `min_support` is no number >= 0, weights are of a set that is not there, or the
        name of a query is that of a figure.
    TypeError
        If `sample_weight` is no dict.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, landscape
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard", solver="em").fit(X)
    >>> weight = {"reference": [2.0] * 100}
    >>> covered = landscape.coverage(igtm, X[y > 0], X[y == 0], sample_weight=weight)
    >>> round(covered.summary["n_rows"], 6)
    200.0
    """
    check_number("min_support", min_support)
    fitted = fitted_map(model)
    queries = _named_sets(X_query if _are_named(X_query) else {"query": X_query})
    for name in queries:
        if f"{name}_n_rows" in queries:
            raise ValueError(f"A set is called '{name}_n_rows', as are the rows of {name!r}; rename one.")
    tables = {"reference": X_reference, **queries}
    reference, *found = _weights(fitted, model, tables, sample_weight)
    shares = {
        name: node_values.covered(g, reference, min_support) for name, g in zip(queries, found, strict=True)
    }
    values = np.column_stack([node_values.share_of_rows(g) for g in (*found, reference)])
    n_rows = {f"{name}_n_rows": float(g.sum()) for name, g in zip(queries, found, strict=True)}
    summary = {"n_rows": float(reference.sum()), "min_support": float(min_support), **shares, **n_rows}
    return Landscape("coverage", fitted.nodes, (*queries, "reference"), values, reference, summary)


def compare(
    model: Any, tables: Mapping[str, Any], sample_weight: Mapping[str, Any] | None = None
) -> Landscape:
    """How several sets of rows are spread over the map; one pass over all of them.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    tables : dict of names to tables as in `IGTM.fit`; each of shape (n, D)
    sample_weight : dict of the same names to arrays or dask arrays of shape (n,), optional
        How often each row counts; rows of a set that is not in it count once.

    Returns
    -------
    Landscape
        A column for each set, its density. `summary` has their numbers of rows, `support` counts the rows of
        all of them.

    Raises
    ------
    ValueError
        As `density`, and if weights are of a set that is not there.
    TypeError
        If `tables` or `sample_weight` is no dict.
    """
    fitted = fitted_map(model)
    named = _named_sets(tables)
    found = _weights(fitted, model, named, sample_weight)
    values = np.column_stack([node_values.share_of_rows(g) for g in found])
    summary = {name: float(g.sum()) for name, g in zip(named, found, strict=True)}
    return Landscape("compare", fitted.nodes, tuple(named), values, np.sum(found, axis=0), summary)


def magnification(model: Any) -> Landscape:
    """How much the sheet is stretched at each node; needs no data.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.

    Returns
    -------
    Landscape
        Column "magnification": area in data space, in squared units of X, per area of the map. Ridges of
        large values part regions that lie far from each other.

    References
    ----------
    C. M. Bishop, M. Svensén, C. K. I. Williams (1997). Magnification factors for the GTM algorithm. IEE
    Fifth International Conference on Artificial Neural Networks, 64-69.
    """
    fitted = fitted_map(model)
    values = node_values.magnification(fitted.model)[:, None]
    return Landscape("magnification", fitted.nodes, ("magnification",), values)


def _of_each_map(
    model: Any, rows: RowBlocks, function: Callable[..., Any], make: Callable[..., Landscape], *arguments: Any
) -> Landscape | dict[str, Landscape]:
    """Return what `make` makes of a map and the sums on it; of an atlas by the names of its maps.

    Maps of an atlas on which no row counts are left out.
    """
    fitted = fitted_maps(model)
    found = fitted.reduce(rows, function, label=LABEL)
    if not isinstance(fitted, FittedTree):
        return make(fitted, found, *arguments)
    landscapes: dict[str, Landscape] = {}
    for name, one, sums in zip(fitted.model.names, fitted.maps, _alike(found), strict=True):
        try:
            landscapes[name] = make(one, sums, *arguments)
        except NoRowCountsError:
            if not landscapes:  # on the root
                raise
    return landscapes


def _alike(found: Sequence[Any]) -> Sequence[Any]:
    """Return sums on the maps of an atlas, of which all have the classes of the root."""
    if not isinstance(found[0], ClassTotals):
        return found
    labels = found[0].labels
    return [one + ClassTotals(labels, np.zeros((len(one.sums), len(labels)))) for one in found]


def _weights(
    fitted: FittedMap, model: Any, tables: dict[str, Any], sample_weight: Mapping[str, Any] | None
) -> list[Array]:
    """Return the weights of the nodes for each table, in one pass over all of them."""
    weights = _named_weights(tables, sample_weight)
    rows = [rows_of(model, X, weights.get(name)) for name, X in tables.items()]
    found: list[Array] = fitted.reduce_each(rows, node_weights, label=LABEL)
    for g in found:
        _check_weight(g)
    return found


def _named_weights(tables: dict[str, Any], sample_weight: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if sample_weight is None:
        return {}
    if not isinstance(sample_weight, Mapping):
        raise TypeError(
            f"sample_weight is of type {type(sample_weight).__name__}; give a dict of the names "
            f"{list(tables)} to the weights of their rows."
        )
    unknown = [name for name in sample_weight if name not in tables]
    if unknown:
        raise ValueError(f"sample_weight has weights of {unknown}; there are rows of {list(tables)}.")
    return sample_weight


def _are_named(tables: Any) -> bool:
    return isinstance(tables, Mapping) and not is_dataset(tables)  # which is a mapping, of its variables


def _named_sets(tables: Mapping[str, Any]) -> dict[str, Any]:
    if not _are_named(tables) or not tables:
        raise TypeError("Give a dict of names to tables, with at least one of them.")
    for name in tables:
        if not isinstance(name, str) or name in RESERVED:
            raise ValueError(f"A set is called {name!r}; give each a string that is none of {RESERVED}.")
    return dict(tables)


def _check_weight(totals: Array) -> None:
    if not totals.sum() >= LEAST_WEIGHT:
        raise NoRowCountsError(
            "No row counts: all weights are zero or next to it, or all rows, values or labels are missing."
        )
