"""Digests of some blocks, by which rows are known again without being read all over."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from dask_igtm.passes.blocks import Block, Blocks, span
from dask_igtm.passes.graph import Source
from dask_igtm.passes.reduce import walk
from dask_igtm.posterior.tiles import csr_of, is_sparse, row_tiles

SAMPLED = 16


def sampled(n_blocks: int) -> list[int]:
    """Return the numbers of up to 16 blocks spread evenly, the first and the last among them."""
    return [round(place) for place in np.linspace(0, n_blocks - 1, min(n_blocks, SAMPLED))]


def digests(source: Source) -> dict[str, str]:
    """Return a digest of each of those blocks under its rows "first:last", which must be known.

    A digest is one of the numbers as float64, however they are stored, laid out or computed; but sparse rows
    are known again as sparse ones alone. Of rows that have values, such as ids, it is one of these too.
    """
    return dict(walk([source.alone(sampled)], _digests, (), "igtm-digest")[0])


def _digests(blocks: Blocks, values: dict[Any, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (_name(block), _digest(X) + "".join(map(_digest_of_values, of_rows)))
        for block, (X, _, *of_rows) in blocks.read(values)
    )


def _name(block: Block) -> str:
    return ":".join(map(str, span([block]) or ()))


def _digest_of_values(values: Any) -> str:
    return hashlib.blake2b(repr(values.tolist()).encode(), digest_size=8).hexdigest()


def _digest(X: Any) -> str:
    total = hashlib.blake2b(repr(X.shape).encode(), digest_size=8)
    if is_sparse(X):
        X = csr_of(X).copy()
        X.eliminate_zeros()
        for part, dtype in ((X.data, np.float64), (X.indices, np.int64), (X.indptr, np.int64)):
            total.update(np.ascontiguousarray(part, dtype).data)
        return total.hexdigest()
    for _, tile in row_tiles(X):
        total.update(np.ascontiguousarray(tile, dtype=np.float64).data)
    return total.hexdigest()
