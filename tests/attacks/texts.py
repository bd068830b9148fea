"""Labels, names and titles that mean something to a page, a picture or a terminal."""

from attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
