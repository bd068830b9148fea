"""Rows that come in blocks, in pieces of one height."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Columns = tuple[Any, ...]  # arrays with one row for each row of a block


def rechunk(blocks: Iterable[Columns], n_rows: int) -> Iterator[Columns]:
    """Yield the rows of blocks in pieces of `n_rows` rows, the last one of what is left."""
    held: Columns = ()
    for block in blocks:
        held = tuple(map(_joined, held, block)) if held else block
        while len(held[0]) >= n_rows:
            yield tuple(rows[:n_rows] for rows in held)
            held = tuple(rows[n_rows:] for rows in held)
    if held and len(held[0]):
        yield held


def _joined(one: Any, other: Any) -> Any:
    return np.concatenate([one, other])
