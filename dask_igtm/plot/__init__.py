"""Pictures of a map as Altair charts, and of everything about it as one HTML page.

`projection`, `landscape`, `components` and `magnification` return charts of a map, `history`, `search` and
`saturation` of how it was fitted and chosen; they show in notebooks and can be saved as PNG, SVG or HTML.
`dask_igtm.report` writes the page. Each carries its own figures, some thousands at most, however many rows it
stands for. The room takes what a fitted map, its landscapes and searches offer, and imports no estimator; the
command line and users call it. It needs the extra `plot`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_igtm._lazy import lazy

if TYPE_CHECKING:
    from dask_igtm.plot.charts import components, landscape, magnification, projection
    from dask_igtm.plot.fit_charts import history, saturation, search

__all__ = ["components", "history", "landscape", "magnification", "projection", "saturation", "search"]

_of_fits = dict.fromkeys(("history", "saturation", "search"), "plot.fit_charts")

__getattr__ = lazy(__name__, dict.fromkeys(__all__, "plot.charts") | _of_fits)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
