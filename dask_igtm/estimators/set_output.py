"""`set_output` of scikit-learn, for results that are tables in memory and have no labels of xarray."""

from __future__ import annotations

import functools
from typing import Any

from sklearn.base import TransformerMixin

from dask_igtm.data.containers import is_lazy
from dask_igtm.projection.labelled_results import is_labelled


class FramesForMemoryOnlyMixin(TransformerMixin):  # type: ignore[misc]
    """Keep `set_output` from results that are no tables, or are lazy: it would pull them into memory.

    Nor does it take those for rows of xarray, which have dimensions and coordinates.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in {"transform", "fit_transform"} & vars(cls).keys():
            setattr(cls, name, _frames_for_memory_only(vars(cls)[name]))


def _frames_for_memory_only(wrapped: Any) -> Any:
    bare = wrapped.__wrapped__  # without what scikit-learn put around it

    @functools.wraps(wrapped)
    def method(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        tabular = self.model != "complete" and not is_lazy(X) and not is_labelled(X)
        return (wrapped if tabular else bare)(self, X, *args, **kwargs)

    return method
