"""Pictures of a map as Altair charts, which show in notebooks and can be saved as PNG, SVG or HTML.

Each chart carries its own figures, some thousands at most, however many rows it stands for. Labels, names and
titles are shown as what they are, and do nothing where a chart is saved; see `dask_igtm.plot.shown_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dask_igtm.data.column_names import series_name
from dask_igtm.data.frames import category_order
from dask_igtm.landscape import from_rows
from dask_igtm.landscape.landscape import Landscape
from dask_igtm.plot import node_charts, row_charts
from dask_igtm.plot.row_charts import Look
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
    colors: Any = None,
    domain: Sequence[float] | None = None,
    names_in_map: bool = False,
    tooltip: Any = None,
) -> Any:
    """Draw where rows lie on the map, by their posterior means.

    Up to `max_points` rows are points. More are counted in square bins, in one pass over X, so that
    nothing as long as X leaves the workers. A bin is the paler, the fewer rows it has, by the logarithm of
    their number.

    Parameters
    ----------
    model : IGTM, IGTMClassifier or IGTMRegressor
        Fitted.
    X : as in `IGTM.fit`; shape (n, D)
    y : array or series, in memory or lazy, of shape (n,), optional
        Values that colour the points; a bin has the colour of their mean. Rows that are NaN are left out.
    labels : array or series, in memory or lazy, of shape (n,), optional
        Instead of `y`, labels, each of which has a colour and a shape, and its name in the legend, of which
        60 characters are shown. A bin has the colour of the label that is most frequent there, and is paler
        where its share is smaller. Of more than twenty labels the rarer ones are drawn, and counted, together
        as "other". They follow each other as the categories of a `Categorical`, or else sorted.
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
    colors : str, dict or sequence, optional
        Of y "sequential", "diverging" (about 0, unless there is a domain), "cyclic", or the name of a scheme
        of Vega. Of labels a dict of labels to colours, in the order of the legend, which may leave out those
        to be drawn as "other"; a colour for each, or for each category; or "sequential", "diverging" or
        "cyclic".
    domain : pair of float, optional
        Values of y at the ends of the colours.
    names_in_map : bool, default=False
        Whether the names of labels stand in the map too, beside their rows, where few others are.
    tooltip : data frame or series, dict of names to arrays, in memory or lazy, of n rows, optional
        What the tooltip of a point tells beside its number, or the ids of X where it has such.

    Returns
    -------
    altair.Chart or altair.LayerChart

    Raises
    ------
    ValueError
        If y and labels are both given, there are more than 1,000 labels, a colour is none, `scale` or
        `domain` are given without y, or X, y, labels, weights or tooltip cannot be used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, plot
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard").fit(X)
    >>> chart = plot.projection(igtm, X, labels=load_iris().target_names[y], name="species")
    >>> chart.save("iris.png")  # doctest: +SKIP
    """
    look = Look(title, scale, colors, domain, category_order(labels), names_in_map)
    look.check(y is not None, labels is not None)
    spread = row_charts.spread_of(model, X, y, labels, n_bins, max_points, sample_weight, tooltip)
    canvas = Canvas.of(fitted_map(model).nodes, n_bins, selection)
    return row_charts.draw(spread, canvas, name or series_name(y if labels is None else labels), look)


def landscape(
    landscape: Landscape,
    *,
    columns: Sequence[Any] | None = None,
    name: str | None = None,
    title: str | None = None,
    scale: str | None = None,
    colors: Any = None,
    domain: Sequence[float] | None = None,
    relative_to: str | None = None,
    shared: bool | None = None,
    names_in_map: bool = False,
    selection: Any = None,
) -> Any:
    """Draw a landscape with a square for each node, and a panel for each column.

    Means and probabilities are the paler, the fewer rows there are at a node: colours are full from as many
    on as a typical row has at its node, and go to nothing with the logarithm. In a map of classes a node has
    the colour of the most probable one, and is paler also the less probable that is. Of shares of rows, zero
    is white. The coverage of a reference has a solid outline where the reference has `min_support` rows and
    the other set has fewer, and a dashed one the other way round.

    Parameters
    ----------
    landscape : Landscape
    columns : sequence, optional
        Columns to draw. By default the density, the means, the density of each set, or all classes in one
        panel, of more than twenty the rarer ones together as "other".
    name : str, optional
        What the values are, with a unit, for the legend.
    title : str, optional
    scale : {"linear", "sqrt", "log", "symlog"}, optional
        From values to colours; by default "sqrt" for shares and numbers of rows, "log" for magnifications and
        ratios.
    colors : {"sequential", "amounts", "diverging", "cyclic"}, str, dict or sequence, optional
        "amounts" begins with white at 0, as by default for shares, numbers of rows and probabilities;
        "diverging" has white in the middle, at 0, or at 1 on a log scale, as by default for ratios; "cyclic"
        ends as it begins, for months and angles, of which `domain` is to be a whole turn. Or the name of any
        scheme of Vega, such as "magma"; "sequential" is its "viridis". Of classes in one panel as of labels
        in `projection`.
    domain : (float, float), optional
        Values at which the colours begin and end; by default what is drawn has all of them.
    relative_to : str, optional
        A set of a comparison or coverage, or "reference". The others are drawn as how many times as dense
        they are, after half a row of the smaller one is added to both at each node, on a log scale, and the
        paler, the fewer rows both have.
    shared : bool, optional
        Whether panels have the colours of one scale; by default those of sets and of classes do.
    names_in_map : bool, default=False
        Whether the names of classes stand in the map too, beside their nodes, where few rows are.
    selection : altair.Parameter, optional
        As in `projection`.

    Returns
    -------
    altair.Chart, altair.LayerChart or altair.ConcatChart

    Raises
    ------
    ValueError
        If there is no such column, set, scale or colour, if the domain is none, or if `relative_to` is given
        for what are no sets.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from dask_igtm import IGTM, landscape, plot
    >>> X, y = load_iris(return_X_y=True)
    >>> igtm = IGTM(k=8, scale="standard", solver="em").fit(X)
    >>> kinds = landscape.compare(igtm, {"setosa": X[y == 0], "others": X[y > 0]})
    >>> chart = plot.landscape(kinds, relative_to="others")
    >>> chart.save("setosa.png")  # doctest: +SKIP
    """
    canvas = Canvas.of(landscape.nodes, selection=selection)
    return node_charts.draw(
        landscape,
        canvas,
        columns,
        name,
        title,
        scale,
        colors=colors,
        domain=domain,
        relative_to=relative_to,
        shared=shared,
        names_in_map=names_in_map,
    )


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
