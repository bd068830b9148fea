"""Machines without room, rights or a home."""

from attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
