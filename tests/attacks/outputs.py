"""Outputs at places that hold something else, or that the call reads."""

from attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
