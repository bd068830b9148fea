"""What a forked process has to begin anew: the threads of its parent are gone, and what they held is held."""

from __future__ import annotations

import os
from collections.abc import Callable


def after_fork(renew: Callable[[], None]) -> None:
    """Call `renew` in every child that this process forks, where processes can fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)
