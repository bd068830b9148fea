"""One BLAS thread per task, so that a scheduler's threads do not fight over the cores."""

from __future__ import annotations

import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class SingleThreadedBlas:
    """Context manager that limits this process's BLAS to one thread, for tasks to enter.

    The limit is the process's: the first of several concurrent tasks sets it and the last one lifts it.
    One BLAS thread also keeps the bits of a product independent of who computes it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._controller: ThreadpoolController | None = None
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._controller = self._controller or ThreadpoolController()
                self._let_any_thread_decide()
                self._limit = self._controller.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._let_any_thread_decide()
                self._limit.restore_original_limits()
                self._let_any_thread_decide()

    def _let_any_thread_decide(self) -> None:
        """Undo that threadpoolctl >= 3.8 heeds only the first thread that set a limit."""
        for library in self._controller.lib_controllers if self._controller else ():
            clear = getattr(library, "clear_controlling_thread", None)
            if clear is not None:
                clear(force=True)


single_threaded_blas = SingleThreadedBlas()
