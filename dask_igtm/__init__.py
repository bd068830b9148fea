"""Generative Topographic Mapping of data sets that outgrow one machine's memory."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dask_igtm import landscape
    from dask_igtm import plot as plot
    from dask_igtm.assess import quality
    from dask_igtm.estimator import IGTM
    from dask_igtm.functional import runIGTM
    from dask_igtm.learning import saturation
    from dask_igtm.loading import load
    from dask_igtm.progress import IterationEvent
    from dask_igtm.search import IGTMSearch
    from dask_igtm.supervised import IGTMClassifier, IGTMRegressor

    eIGTM = IGTM

__version__ = "0.1.0"
__all__ = [
    "IGTM",
    "IGTMClassifier",
    "IGTMRegressor",
    "IGTMSearch",
    "IterationEvent",
    "eIGTM",
    "landscape",
    "load",
    "quality",
    "runIGTM",
    "saturation",
]

_HOMES: dict[str, tuple[str, str | None]] = {
    "IGTM": ("dask_igtm.estimator", "IGTM"),
    "IGTMClassifier": ("dask_igtm.supervised", "IGTMClassifier"),
    "IGTMRegressor": ("dask_igtm.supervised", "IGTMRegressor"),
    "IGTMSearch": ("dask_igtm.search", "IGTMSearch"),
    "IterationEvent": ("dask_igtm.progress", "IterationEvent"),
    "eIGTM": ("dask_igtm.estimator", "IGTM"),
    "landscape": ("dask_igtm.landscape", None),
    "load": ("dask_igtm.loading", "load"),
    "plot": ("dask_igtm.plot", None),  # not in __all__: it needs an extra
    "quality": ("dask_igtm.assess", "quality"),
    "runIGTM": ("dask_igtm.functional", "runIGTM"),
    "saturation": ("dask_igtm.learning", "saturation"),
}


def __getattr__(name: str) -> Any:
    # Imported on first use: the core needs neither dask nor scikit-learn, and both are slow to import.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    path, attribute = _HOMES[name]
    module = importlib.import_module(path)
    return module if attribute is None else getattr(module, attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
