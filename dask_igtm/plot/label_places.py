"""Where the names of classes stand in a square map: near what they name, never over the densest cells.

What lies beneath a name comes from tables of sums over the pixels of the map, so that a few subtractions tell
of every place in it at once.
"""

from __future__ import annotations

import math
import unicodedata

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Place = tuple[float, float]  # x, y
Size = tuple[int, int]  # width, height
Corner = tuple[int, int]  # the row and column of a pixel
Box = tuple[Corner, Size]

DENSEST = 0.5  # share of the mass that stays bare
GAP = 3  # pixels between two names
SEEN = 1e-6  # pixels of a dense cell; less comes from rounding
LINE = 1.3  # height of a line by its size: from the accent of a capital to below a g
# How wide the characters of bold sans-serif are by their size, at most. Of the usual fonts, DejaVu Sans is
# the widest, but for a few characters of Verdana.
WIDTHS = {
    0.48: " !',.:;ijl|\xa0¡·",
    0.62: '"()-[]`IJ_frt¦¨ª¯°²³\xb4\xb8¹º¿',
    1.15: "@MWmw©®¼½¾æÆœŉжмшщыфюљњ—…™",
    1.4: "%ŒЖМФШЩЫЮЉЊ",
}
WIDTH_OF = {character: width for width, characters in WIDTHS.items() for character in characters}
ASCII_SMALL, ASCII, SMALL, CAPITAL, EAST_ASIAN, ANY = 0.73, 0.88, 0.92, 1.12, 1.05, 1.9


def places_of(anchors: Array, boxes: Array, mass: Array, side: int) -> list[Place | None]:
    """Return where names stand in a map.

    No name covers any of the densest cells, those that together hold half of the mass and are denser than the
    mean; names lie within the map, and keep three pixels from each other. Of the places which that leaves, a
    name has the one that costs least: the pixels from its anchor to its middle, and as many as the share of
    the mass beneath it is of the side. The first name chooses first; once all stand, none could be moved to a
    place that costs it less.

    Parameters
    ----------
    anchors : ndarray of shape (C, 2)
        What the names are to be near to, in pixels: x to the right, y as the rows of `mass` go.
    boxes : ndarray of shape (C, 2)
        Width and height of each name in pixels; see `text_box`.
    mass : ndarray of shape (B, B)
        What lies in each cell of the map, y first.
    side : int
        Of the map in pixels.

    Returns
    -------
    list of (x, y) or None
        The middle of each name; None where there is no room for it.

    Examples
    --------
    >>> import numpy as np
    >>> mass = np.array([[9.0, 1.0], [1.0, 1.0]])
    >>> places_of(np.array([[75.0, 50.0], [75.0, 75.0]]), np.array([[40.0, 10.0], [90.0, 70.0]]), mass, 100)
    [(75.0, 50.0), None]
    """
    sizes = [(max(1, math.ceil(width)), max(1, math.ceil(height))) for width, height in boxes.tolist()]
    dense = _sums(_densest(mass) * np.float64((side / len(mass)) ** 2), side)
    shares = _sums(mass / max(mass.sum(), np.finfo(float).tiny), side)
    standing: list[Box] = []
    places: list[Place | None] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        corner = _cheapest(_costs(anchor, size, dense, shares), size, standing)
        if corner is None:
            places.append(None)
        else:
            standing.append((corner, size))
            places.append((corner[1] + size[0] / 2, corner[0] + size[1] / 2))
    return places


def text_box(text: str, size: float) -> tuple[float, float]:
    """Return the width and height of a line of bold sans-serif, at most, in any of the usual fonts.

    Parameters
    ----------
    text : str
    size : float
        Of the font in pixels.

    Returns
    -------
    (width, height) : tuple of float
        In pixels.

    Examples
    --------
    >>> text_box("B cells", 12)
    (54.12, 15.6)
    """
    width = sum(map(_width, unicodedata.normalize("NFC", text)))
    return round(width * size, 3), round(LINE * size, 3)


def _densest(mass: Array) -> NDArray[np.bool_]:
    """Return which cells hold half of the mass, the densest first; none that is no denser than the mean."""
    descending = np.sort(mass, axis=None)[::-1]
    sums = np.cumsum(descending)
    last = descending[np.searchsorted(sums, DENSEST * sums[-1])]
    return np.asarray((mass >= last) & (mass > mass.mean() * (1 + 1e-9)))


def _sums(cells: Array, side: int) -> Array:
    """Return what lies above and left of each corner of a pixel, where cells are alike all over."""
    sums = np.pad(cells.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    corners = np.linspace(0, len(cells), side + 1)
    between = np.maximum(0, 1 - np.abs(corners[:, None] - np.arange(len(sums))))  # linear from edge to edge
    return np.asarray(between @ sums @ between.T)


def _beneath(sums: Array, size: Size) -> Array:
    """Return what lies beneath a box with its corner at any pixel from which it stays within the map."""
    width, height = size
    rows = sums[height:] - sums[:-height]
    return np.asarray(rows[:, width:] - rows[:, :-width])


def _costs(anchor: Array, size: Size, dense: Array, shares: Array) -> Array:
    """Return what each corner costs a name."""
    covered = _beneath(shares, size)
    x = np.arange(covered.shape[1]) + size[0] / 2 - anchor[0]
    y = np.arange(covered.shape[0]) + size[1] / 2 - anchor[1]
    cost = np.sqrt(y[:, None] ** 2 + x**2) + covered * (len(shares) - 1)
    return np.where(_beneath(dense, size) > SEEN, np.inf, cost)


def _cheapest(cost: Array, size: Size, standing: list[Box]) -> Corner | None:
    """Return the corner that costs least beside the boxes that stand, whose own costs become infinite."""
    for (row, column), (width, height) in standing:
        top, left = row - size[1] - GAP + 1, column - size[0] - GAP + 1
        cost[max(0, top) : row + height + GAP, max(0, left) : column + width + GAP] = np.inf
    if not np.isfinite(cost).any():
        return None
    row, column = divmod(int(cost.argmin()), cost.shape[1])
    return row, column


def _width(character: str) -> float:
    """Return the width of a character by the size of its font, at most."""
    character = unicodedata.normalize("NFD", character)[0]  # without its accents, which add nothing
    if character in WIDTH_OF:
        return WIDTH_OF[character]
    kind = unicodedata.category(character)
    if kind in ("Mn", "Cf"):  # further accents, and what is not seen
        return 0.0
    if character.isascii():
        return ASCII_SMALL if kind in ("Ll", "Nd") else ASCII
    if kind in ("Lo", "Lm") and unicodedata.east_asian_width(character) in "WFH":
        return EAST_ASIAN
    european = character < "\u0180" or "\u0370" <= character < "\u0460"
    return {"Ll": SMALL, "Lu": CAPITAL}.get(kind, ANY) if european else ANY
