"""Workers that come and go, writers that share a place, and commands that are killed."""

from tests.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
