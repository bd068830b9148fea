"""Warnings at the line of the user's code that a call into the package stands on."""

from __future__ import annotations

import inspect
import warnings

from dask_igtm.data.plain_text import escaped

# What may stand between that line and the package: wrappers of methods, contexts, pipelines.
BETWEEN = {"dask_igtm", "sklearn", "contextlib", "functools", "joblib", "dask", "distributed"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line that is neither of the package nor of what calls it for the user."""
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(escaped(message), category, stacklevel=level)
