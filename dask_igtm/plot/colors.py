"""The colours of the pictures: of classes, amounts, changes and what goes round.

Classes are as far apart as twenty colours could be found to be, for readers who see all colours and for those
without cones for green, red or blue (deuteranopia, protanopia and tritanopia, simulated by Machado, Oliveira
and Fernandes, 2009, at full severity), and in pages that show light charts on a dark ground by the CSS filter
`invert(.88) hue-rotate(180deg)`. So far apart are at least any two of them, the grey of other classes among
them, by CIEDE2000:

    =============  ======  ============  ==========  ===========  ====
    of             usual   deuteranopia  protanopia  tritanopia   dark
    =============  ======  ============  ==========  ===========  ====
    the first ten  22.4    12.3          11.7        16.3         18.3
    all twenty     15.3    8.4           8.4         8.5          12.7
    =============  ======  ============  ==========  ===========  ====

Amounts, and changes to either side, fall in lightness by even steps, so that every reader sees their order,
in grey too. What goes round has no edge in it, and neither white nor black.
"""

from __future__ import annotations

# Each is the one that is farthest from those before it, the first ten among themselves, which are stronger.
CATEGORIES = (
    *("#036de5", "#dcc02f", "#693400", "#cc0b6f", "#7a7300"),
    *("#37b89e", "#00683f", "#b086cb", "#f47b6a", "#462caa"),
    *("#57ddf0", "#fa96cd", "#9adb90", "#3b9a41", "#91afff"),
    *("#a51d2c", "#685f95", "#5a2d58", "#ff4986", "#91a80d"),
)
OTHER = "#d0d0d0"  # the classes that have no colour of their own

# From nothing, which is the ground itself, by green to a dark violet.
AMOUNTS = [
    *("#ffffff", "#e2ebc2", "#bdd79a", "#91c486", "#5cb07f", "#069b81"),
    *("#008086", "#00658c", "#124988", "#2b2f70", "#2b1751"),
]
# From blue by white, where nothing changes, to orange.
DIVERGING = [
    *("#044494", "#2569b6", "#4d8fd3", "#7bb6ec", "#b5dcfc", "#ffffff"),
    *("#f7d1a5", "#e4a365", "#c37b3d", "#a05415", "#7d2d00"),
]
# Light in the first and last, which are one, dark half way; by green down and by violet up.
CYCLIC = [
    *("#f6b37c", "#dcb770", "#b5b171", "#8da272", "#668d6d", "#3a7867", "#006667", "#00576d", "#004f7c"),
    *("#324e86", "#58558b", "#7b6590", "#9d7899", "#c18ca2", "#e39ca0", "#f8a991", "#f6b37c"),
]
