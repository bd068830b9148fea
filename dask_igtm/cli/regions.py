"""A region of a map as it is typed: nodes, a box, or a polygon."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import click

# Whatever takes long to import is imported by what needs it.

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"
NODES = re.compile(r"\d{1,7}(?:-\d{1,7})?(?:,\d{1,7}(?:-\d{1,7})?)*")
BOX = re.compile(f"({NUMBER}):({NUMBER}),({NUMBER}):({NUMBER})", re.IGNORECASE)
POLYGON = re.compile(f"{NUMBER},{NUMBER}(?: {NUMBER},{NUMBER}){{2,}}", re.IGNORECASE)
KINDS = (
    'nodes such as 3,4,9-12, a box such as -1:0,-0.5:1 (x1 from -1 to 0, x2 from -0.5 to 1), or "x1,x2 x1,x2 '
    'x1,x2", the corners of a polygon'
)


@dataclass(frozen=True)
class Region:
    """A region, `given` as `node_mask` takes it, and the text that said so."""

    text: str
    given: Any

    def mask(self, nodes: Any) -> Any:
        """Return which nodes of a map, (K, 2), lie in it.

        Raises
        ------
        ValueError
            If none do, or there is no such node.
        """
        from dask_igtm.landscape.regions import node_mask

        try:
            return node_mask(nodes, self.given)
        except ValueError:
            raise ValueError(
                f"--region {self.text!r} is none of this map, whose nodes are 0 to {len(nodes) - 1} and lie "
                f"between -1 and 1; give {KINDS}."
            ) from None


def read_region(_context: click.Context, _option: click.Parameter, text: str) -> Region:
    """Return the region that a text says; raise click.BadParameter if it says none."""
    plain = " ".join(re.sub(r"\s*([,:])\s*", r"\1", text).split())
    given = _nodes(plain) or _box(plain) or _polygon(plain)
    if given is None:
        raise click.BadParameter(f"{text!r} is no region; give {KINDS}.")
    return Region(text, given)


def _nodes(text: str) -> list[int] | None:
    if not NODES.fullmatch(text):
        return None
    ends = [[int(number) for number in part.split("-")] for part in text.split(",")]
    if any(part[0] > part[-1] for part in ends):
        return None
    return sorted({number for part in ends for number in range(part[0], part[-1] + 1)})


def _box(text: str) -> list[float] | None:
    found = BOX.fullmatch(text)
    return [float(number) for number in found.groups()] if found else None


def _polygon(text: str) -> list[list[float]] | None:
    if not POLYGON.fullmatch(text):
        return None
    return [[float(number) for number in corner.split(",")] for corner in text.split(" ")]
