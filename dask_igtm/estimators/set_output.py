"""`set_output` of scikit-learn, for results that are tables in memory only."""

from __future__ import annotations

import functools
from typing import Any

from sklearn.base import TransformerMixin

from dask_igtm.data.containers import is_lazy


class FramesForMemoryOnlyMixin(TransformerMixin):  # type: ignore[misc]
    """Keep `set_output` from results that are no tables, or are lazy: it would pull them into memory."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in {"transform", "fit_transform"} & vars(cls).keys():
            setattr(cls, name, _frames_for_memory_only(vars(cls)[name]))


def _frames_for_memory_only(wrapped: Any) -> Any:
    bare = wrapped.__wrapped__  # without what scikit-learn put around it

    @functools.wraps(wrapped)
    def method(self: Any, X: Any, *args: Any, **kwargs: Any) -> Any:
        tabular = self.model != "complete" and not is_lazy(X)
        return (wrapped if tabular else bare)(self, X, *args, **kwargs)

    return method
