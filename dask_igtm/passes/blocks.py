"""Neighbouring blocks of rows, and how each is read: by a task of Dask, from a store, or where it is kept."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from dask.sizeof import sizeof
from dask.task_spec import DataNode, Task

from dask_igtm.data.containers import Stored
from dask_igtm.data.csr_rows import CsrRows
from dask_igtm.data.parquet_rows import ParquetRows
from dask_igtm.data.row_blocks import READ_BYTES, row_bytes
from dask_igtm.passes.block_checks import Declared
from dask_igtm.passes.empty_rows import without_empty
from dask_igtm.posterior.tiles import is_sparse

Values = dict[Any, Any]  # of the graph, by their keys
Edges = tuple[int, ...] | tuple[None, ...]  # where blocks begin, and the last one ends; None where unknown


class Block(NamedTuple):
    """What a block is called: its number, its first row and the row after its last, None where unknown."""

    number: int
    rows: tuple[int, int] | None


@dataclass(frozen=True)
class Piece:
    """One block of one array: the task that makes it, or the key under which it already lies."""

    key: Any
    task: Task | DataNode | None

    def needs(self) -> frozenset[Any]:
        """Keys of the graph whose values the call needs."""
        return frozenset((self.key,) if self.task is None else self.task.dependencies)

    def __call__(self, values: Values) -> Any:
        """Return the block."""
        return values[self.key] if self.task is None else self.task(values)


@dataclass(frozen=True)
class Computed:
    """Blocks of an array that tasks make."""

    pieces: tuple[Piece, ...]

    def part(self, start: int, stop: int) -> Computed:
        """Return some of the blocks."""
        return Computed(self.pieces[start:stop])

    def needs(self) -> frozenset[Any]:
        """Keys of the graph whose values the blocks need."""
        return frozenset().union(*(piece.needs() for piece in self.pieces))

    def read(self, values: Values, _edges: Edges) -> Iterator[Any]:
        """Yield one block after the other."""
        return (piece(values) for piece in self.pieces)


@dataclass(frozen=True)
class Cut:
    """Blocks that are cut from a store, which is the value of a key."""

    key: str

    def part(self, _start: int, _stop: int) -> Cut:
        """Return the same: edges say where to cut."""
        return self

    def needs(self) -> frozenset[Any]:
        """Key of the store."""
        return frozenset((self.key,))

    def read(self, values: Values, edges: Edges) -> Iterator[Any]:
        """Yield one block after the other, small ones read several at a time."""
        return _rows_between(values[self.key], edges)  # type: ignore[arg-type] # sizes in a store are known


@dataclass(frozen=True)
class Kept:
    """Blocks that a `Held` has, which is the value of a key: those of an array, from one of its blocks on."""

    key: Any
    array: int
    first: int = 0

    def part(self, start: int, _stop: int) -> Kept:
        """Return the blocks from another one on."""
        return dataclasses.replace(self, first=self.first + start)

    def needs(self) -> frozenset[Any]:
        """Key of what has them."""
        return frozenset((self.key,))

    def read(self, values: Values, _edges: Edges) -> Iterator[Any]:
        """Yield one block after the other."""
        return iter(values[self.key].arrays[self.array][self.first :])


@dataclass(frozen=True)
class Held:
    """Blocks in memory: for each array a tuple of them."""

    arrays: tuple[tuple[Any, ...], ...]

    def __sizeof__(self) -> int:
        """Return the bytes of all blocks, by which workers know how full they are."""
        return sum(_bytes(block) for blocks in self.arrays for block in blocks)


@dataclass(frozen=True)
class Blocks:
    """Neighbouring blocks of rows, not yet read.

    Attributes
    ----------
    arrays : tuple of Computed, Cut, Kept or None
        How to read X, its weights or None, and its values or labels if any.
    declared : tuple of Declared or None
        What each of these says of its blocks.
    first : int
        Number of the first block.
    edges : tuple of int, or of None
        First row of each block, and the row after the last; None where sizes are unknown.
    numbered : bool
        Whether the numbers of the rows are read too.
    skip_empty : bool
        Whether rows in which every entry is NaN are left out.
    view : str or None
        Key of what makes of all that is read what sums are of, see `RowBlocks.view`.
    numbers : Kept or None
        Numbers of rows that are kept as a view has left them.
    """

    arrays: tuple[Computed | Cut | Kept | None, ...]
    declared: tuple[Declared | None, ...]
    first: int
    edges: Edges
    numbered: bool = False
    skip_empty: bool = False
    view: str | None = None
    numbers: Kept | None = None

    def __len__(self) -> int:
        return len(self.edges) - 1

    def part(self, start: int, stop: int) -> Blocks:
        """Return some of the blocks, by their places among these."""
        stop = min(stop, len(self))
        arrays = tuple(array and array.part(start, stop) for array in self.arrays)
        numbers = self.numbers and self.numbers.part(start, stop)
        edges: Any = self.edges[start : stop + 1]
        return dataclasses.replace(
            self, arrays=arrays, first=self.first + start, edges=edges, numbers=numbers
        )

    def needs(self) -> frozenset[Any]:
        """Keys of the graph whose values the blocks need."""
        view = frozenset() if self.view is None else frozenset((self.view,))
        return view.union(*(array.needs() for array in self.arrays if array))

    def read(self, values: Values) -> Iterator[tuple[Block, tuple[Any, ...]]]:
        """Yield each block and what its arrays hold; of rows that are numbered their numbers too.

        Where the sizes of the blocks before are unknown, each block has numbers of its own.

        Raises
        ------
        TypeError or ValueError
            If a block is not what was declared, or weights or values have other rows.
        """
        arrays = [None if array is None else array.read(values, self.edges) for array in self.arrays]
        numbers = None if self.numbers is None else self.numbers.read(values, self.edges)
        view = None if self.view is None else values[self.view]
        for number, (start, stop) in enumerate(itertools.pairwise(self.edges), self.first):
            block = Block(number, None if start is None or stop is None else (start, stop))
            held = self._next(arrays, block, numbers)
            with naming(*block):
                yield block, held if view is None else view(*held)

    def _next(
        self, arrays: Sequence[Iterator[Any] | None], block: Block, numbers: Iterator[Any] | None
    ) -> tuple[Any, ...]:
        with naming(*block):
            held = tuple(None if array is None else next(array) for array in arrays)
            for part, declared in zip(held, self.declared, strict=True):
                if declared is not None:
                    declared.check(part, block.rows if part is held[0] else None)
            sizes = [part.shape[0] for part in held if part is not None]
            if min(sizes) < max(sizes):
                raise ValueError(
                    f"A block of X has {sizes[0]} rows, and its weights or values are {sizes[1:]}; give them "
                    "in the chunks of X."
                )
            if self.numbered and numbers is not None:
                held = (*held, next(numbers))
            elif self.numbered:
                first = block.number << 32 if block.rows is None else block.rows[0]
                held = (*held, np.arange(first, first + sizes[0]))
            return without_empty(held) if self.skip_empty else held


def span(blocks: Sequence[Block]) -> tuple[int, int] | None:
    """First row of some neighbouring blocks, and the row after the last; None where sizes are unknown."""
    first, last = blocks[0].rows, blocks[-1].rows
    return None if first is None or last is None else (first[0], last[1])


@contextmanager
def naming(index: int, rows: tuple[int, int] | None) -> Iterator[None]:
    """Add a block's rows, or its index where they are unknown, to whatever error leaves it without them."""
    try:
        yield
    except Exception as error:
        if not any("of X." in note for note in getattr(error, "__notes__", ())):
            where = f"block {index}" if rows is None else f"rows {rows[0]}:{rows[1]}"
            error.add_note(f"This happened in {where} of X.")
        raise


def _rows_between(stored: Stored, edges: tuple[int, ...]) -> Iterator[Any]:
    """Yield the rows of a store between neighbouring edges."""
    if isinstance(stored, CsrRows | ParquetRows):
        yield from stored.walk(edges)
        return
    most = READ_BYTES // row_bytes(stored)
    first = 0
    while first < len(edges) - 1:
        last = first + 1
        while last < len(edges) - 1 and edges[last + 1] - edges[first] <= most:
            last += 1
        yield from _read_at_once(stored, edges[first : last + 1])
        first = last


def _read_at_once(stored: Any, edges: tuple[int, ...]) -> Iterator[Any]:
    """Yield the rows between neighbouring edges; where they cannot be read at once each block by itself.

    So an error has the name of the block that it belongs to.
    """
    columns = [slice(0, n) for n in stored.shape[1:]]
    try:
        rows = stored[(slice(edges[0], edges[-1]), *columns)]
    except Exception:
        if len(edges) == 2:
            raise
        for start, stop in itertools.pairwise(edges):
            yield stored[(slice(start, stop), *columns)]
        return
    for start, stop in itertools.pairwise(edges):
        yield rows[start - edges[0] : stop - edges[0]]


def _bytes(block: Any) -> int:
    """Return the bytes of an array, which Dask does not know of sparse ones."""
    parts = vars(block).values() if is_sparse(block) else (block,)
    return sum(map(sizeof, parts))
