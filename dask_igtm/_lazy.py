"""Names of a package that are imported when they are first used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

EXTRAS = {
    "altair": "plot",
    "anndata": "cells",
    "vl_convert": "plot",
}  # which of the package's extras has what may be missing


def lazy(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package.

    Parameters
    ----------
    package : str
    homes : mapping of str to str
        The module of each name, from the top of the house; "" where the name is a room.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            if not homes[name]:
                return importlib.import_module(f"dask_igtm.{name}")
            return getattr(importlib.import_module(f"dask_igtm.{homes[name]}"), name)
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            remedy = f"pip install 'dask_igtm[{EXTRAS[error.name]}]'"
            raise ImportError(f"{name} needs {error.name}, which is missing; {remedy}.") from error
        except RuntimeError as error:
            if os.path.isabs(os.path.expanduser("~")):
                raise
            # altair needs a home, if only by name
            raise ImportError(f"{name} cannot be imported: {error} Set HOME to a folder.") from error

    return find
