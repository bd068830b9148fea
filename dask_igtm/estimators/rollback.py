"""Estimators that a failed fit leaves as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def unchanged_on_error(estimator: Any, but: type[BaseException] | tuple[()] = ()) -> Iterator[None]:
    """Take back what was set, if anything fails that is not a `but`.

    Rather than the columns of one X with the model of another.
    """
    before = vars(estimator).copy()
    try:
        yield
    except but:
        raise
    except BaseException:
        estimator.__dict__ = before
        raise
