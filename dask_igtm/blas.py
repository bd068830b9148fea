"""One BLAS thread per task, so that a scheduler's threads do not fight over the cores."""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class SingleThreadedBlas:
    """Context manager that limits this process's BLAS to one thread.

    The limit is the process's: the first of several concurrent users sets it and the last one lifts it.
    Workers of a cluster are limited by their nanny.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._controller: ThreadpoolController | None = None
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._controller = self._controller or ThreadpoolController()
                self._limit = self._controller.limit(limits=1, user_api="blas")

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()


single_threaded_blas = SingleThreadedBlas()
