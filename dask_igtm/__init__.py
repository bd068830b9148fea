"""Generative Topographic Mapping of data sets that outgrow one machine's memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_igtm._lazy import lazy
from dask_igtm._version import __version__ as __version__

if TYPE_CHECKING:
    from dask_igtm import landscape
    from dask_igtm import plot as plot
    from dask_igtm import tl as tl
    from dask_igtm.data.convert import convert
    from dask_igtm.data.table_files import open_table
    from dask_igtm.estimators.atlas import IGTMAtlas
    from dask_igtm.estimators.classifier import IGTMClassifier
    from dask_igtm.estimators.igtm import IGTM
    from dask_igtm.estimators.load import load
    from dask_igtm.estimators.regressor import IGTMRegressor
    from dask_igtm.estimators.saturation import Saturation, saturation
    from dask_igtm.estimators.search import IGTMSearch
    from dask_igtm.estimators.ugtm import eIGTM, runIGTM
    from dask_igtm.fitting.cost import Estimate
    from dask_igtm.fitting.progress import IterationEvent, PassEvent
    from dask_igtm.plot.report import report as report
    from dask_igtm.projection.quality import Quality, quality
    from dask_igtm.projection.ugtm_names import OptimizedGTM

__all__ = [
    "IGTM",
    "Estimate",
    "IGTMAtlas",
    "IGTMClassifier",
    "IGTMRegressor",
    "IGTMSearch",
    "IterationEvent",
    "OptimizedGTM",
    "PassEvent",
    "Quality",
    "Saturation",
    "convert",
    "eIGTM",
    "landscape",
    "load",
    "open_table",
    "quality",
    "runIGTM",
    "saturation",
]

# Imported on first use: the core needs neither dask nor scikit-learn, and both are slow to import.
_HOMES = {
    "IGTM": "estimators.igtm",
    "Estimate": "fitting.cost",
    "IGTMAtlas": "estimators.atlas",
    "IGTMClassifier": "estimators.classifier",
    "IGTMRegressor": "estimators.regressor",
    "IGTMSearch": "estimators.search",
    "IterationEvent": "fitting.progress",
    "OptimizedGTM": "projection.ugtm_names",
    "PassEvent": "fitting.progress",
    "Quality": "projection.quality",
    "Saturation": "estimators.saturation",
    "convert": "data.convert",
    "eIGTM": "estimators.ugtm",
    "landscape": "",
    "load": "estimators.load",
    "open_table": "data.table_files",
    "plot": "",  # not in __all__, as `report` and `tl`: they need an extra
    "quality": "projection.quality",
    "report": "plot.report",
    "runIGTM": "estimators.ugtm",
    "saturation": "estimators.saturation",
    "tl": "",
}
__getattr__ = lazy(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
