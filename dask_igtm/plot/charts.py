"""Pictures of a map as Altair charts, which show in notebooks and can be saved as PNG, SVG or HTML.

Each chart carries its own figures, some thousands at most, however many rows it stands for. Labels, names and
titles are shown as what they are, and do nothing where a chart is saved; see `dask_igtm.plot.shown_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dask_igtm.data.column_names import series_name
from dask_igtm.landscape import from_rows
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.plot import node_charts, row_charts
from dask_igtm.plot.shown_text import shown_apart
from dask_igtm.plot.style import Canvas
from dask_igtm.projection.columns import column_labels, column_numbers, variation
from dask_igtm.projection.validate import fitted_map

MOST_COMPONENTS = 12  # unless some are asked for


def projection(
    model: Any,
    X: Any,
    *,
    y: Any = None,
    labels: Any = None,
    n_bins: int = 100,
    max_points: int = 5_000,
    name: str | None = None,
    title: str | None = None,
    scale: str = "linear",
    selection: Any = None,
    sample_weight: Any = None,
) -> Any:
    """Draw where rows lie on the map, by their posterior means.

    Up to `max_points` rows are points. More are counted in square bins, in one pass over X, so that
    nothing as long as X leaves the workers.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X : as in `IGTM.fit`; shape (n, D)
    y : array or series, in memory or lazy, of shape (n,), optional
        Values that colour the points; a bin has the colour of their mean. Rows that are NaN are left out.
    labels : array or series, in memory or lazy, of shape (n,), optional
        Instead of `y`, at most ten labels, each of which has a colour and a shape. A bin has the colour of
        the label that is most frequent there, and is the paler the smaller its share.
    n_bins : int, default=100
        Bins along one side of the map, about: it becomes a whole number for each node.
    max_points : int, default=5000
    name : str, optional
        What y or labels are, with a unit, for the legend; by default the name of a series.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, default="linear"
        From y to colours.
    selection : altair.Parameter, optional
        An interval of x1 and x2, outside of which all is faded. Several charts may share it; add it to one of
        them with `add_params`.
    sample_weight : array or dask array of shape (n,), optional
        How often each row counts in bins, and in their means and shares; the area of a point. Rows that weigh
        0 are not drawn.

    Returns
    -------
    altair.Chart or altair.LayerChart

    Raises
    ------
    ValueError
        If y and labels are both given, there are more than ten labels, or X, y, labels or weights cannot be
        used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, plot
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard").fit(X)
    >>> chart = plot.projection(igtm, X, labels=load_iris().target_names[y], name="species")
    >>> chart.save("iris.png")  # doctest: +SKIP
    """
    spread = row_charts.spread_of(model, X, y, labels, n_bins, max_points, sample_weight)
    name = name or series_name(y if labels is None else labels)
    canvas = Canvas.of(fitted_map(model).nodes, n_bins, selection)
    return row_charts.draw(spread, canvas, name, title, scale)


def landscape(
    landscape: Landscape,
    *,
    columns: Sequence[Any] | None = None,
    name: str | None = None,
    title: str | None = None,
    scale: str | None = None,
    selection: Any = None,
) -> Any:
    """Draw a landscape with a square for each node, and a panel for each column.

    A mean is shown by colour, and by the size of the square how many rows it is of. In a map of classes a
    node has the colour of the most probable one, and is the paler the less probable that is.

    Parameters
    ----------
    landscape : Landscape
    columns : sequence, optional
        Columns to draw. By default the density, the means, the density of each set, or up to ten classes in
        one panel.
    name : str, optional
        What the values are, with a unit, for the legend.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, optional
        From values to colours; by default "sqrt" for densities, "log" for magnifications.
    selection : altair.Parameter, optional
        As in `projection`.

    Returns
    -------
    altair.Chart, altair.LayerChart or altair.ConcatChart

    Raises
    ------
    ValueError
        If there is no such column, or if there are more than ten classes and no `columns`.
    """
    canvas = Canvas.of(landscape.nodes, selection=selection)
    return node_charts.draw(landscape, canvas, columns, name, title, scale)


def components(
    model: Any, columns: Sequence[Any] | None = None, *, title: str = "Components", selection: Any = None
) -> Any:
    """Draw what columns are at each node of a map: component planes, which need no data.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    columns : sequence, optional
        Names of columns as in the fit, or their numbers where that knew none. By default the twelve that vary
        most over the map in standard deviations of its noise, in that order.
    title : str, optional
    selection : altair.Parameter, optional
        As in `projection`.

    Returns
    -------
    altair.ConcatChart
        A small map for each column, of its values at the centres of the nodes, in the units of X; each has
        colours of its own.

    Raises
    ------
    ValueError
        If there is no such column, or `columns` is empty.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, plot
    >>> igtm = IGTM(k=8, scale="standard", solver="em").fit(load_iris(as_frame=True).data)
    >>> chart = plot.components(igtm, columns=["sepal length (cm)", "petal width (cm)"])
    >>> chart.save("iris.png")  # doctest: +SKIP
    """
    fitted, labels = fitted_map(model), column_labels(model)
    if columns is None:
        numbers = np.argsort(-variation(fitted.model), kind="stable")[:MOST_COMPONENTS]
    else:
        numbers = np.array(column_numbers(labels, columns))
    values = fitted.centers_in(numbers)
    names = shown_apart(labels[number] for number in numbers)
    return node_charts.components(fitted.nodes, values, names, title, selection)


def magnification(model: Any, *, title: str | None = None, selection: Any = None) -> Any:
    """Draw how much the sheet is stretched at each node: ridges part regions that lie far from each other.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    title, selection
        As in `projection`.

    Returns
    -------
    altair.Chart
    """
    return landscape(from_rows.magnification(model), title=title, selection=selection)
