"""What is worked out of a value once, and kept while the value lives."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from dask_igtm.model.forks import after_fork

T = TypeVar("T")


def remembered(function: Callable[..., T]) -> Callable[..., T]:
    """Make a function of a value, told by its identity, and of hashable arguments work once for each of them.

    What it returns travels with no pickle of the value.
    """
    known: WeakKeyDictionary[Any, dict[tuple[Any, ...], T]] = WeakKeyDictionary()
    lock = threading.Lock()  # one thread works, the others wait for it

    def renew() -> None:
        nonlocal lock
        lock = threading.Lock()

    after_fork(renew)

    @functools.wraps(function)
    def remembering(value: Any, *arguments: Any) -> T:
        with lock:
            of_value = known.setdefault(value, {})
            if arguments not in of_value:
                of_value[arguments] = function(value, *arguments)
            return of_value[arguments]

    return remembering
