"""Ctrl-C that waits for what must not be cut."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")

END = object()


class _Waiting:
    """A handler of Ctrl-C that notes that it came, and what handled it before."""

    def __init__(self, before: Any) -> None:
        self.before, self.came = before, False

    def __call__(self, *_: Any) -> None:
        self.came = True

    def let_go(self) -> None:
        """Handle Ctrl-C as before, and now if it has come."""
        signal.signal(signal.SIGINT, self.before)
        if self.came:
            self.came = False
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the end of this, or until `heeding` asks for it.

    An interrupt does not stop the threads by which others write for us: what is removed then comes back.
    """
    before = signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()  # the only one that is interrupted
    if not in_main or before is None or isinstance(before, _Waiting):
        yield
        return
    waiting = _Waiting(before)
    signal.signal(signal.SIGINT, waiting)
    try:
        yield
    finally:
        waiting.let_go()


def heeding(blocks: Iterator[T]) -> Iterator[T]:
    """Yield blocks, and heed Ctrl-C while they are made, also within `uninterrupted`."""
    while (block := _heeding(blocks)) is not END:
        yield block


def _heeding(blocks: Iterator[T]) -> Any:
    waiting = signal.getsignal(signal.SIGINT)
    if not isinstance(waiting, _Waiting) or threading.current_thread() is not threading.main_thread():
        return next(blocks, END)
    waiting.let_go()
    try:
        return next(blocks, END)
    finally:
        signal.signal(signal.SIGINT, waiting)
