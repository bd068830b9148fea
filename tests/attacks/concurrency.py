"""Workers that come and go, writers that share a place, and commands that are killed."""

from attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
