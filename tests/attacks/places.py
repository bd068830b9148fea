"""Machines without room, rights or a home."""

from tests.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
