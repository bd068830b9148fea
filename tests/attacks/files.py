"""Models, checkpoints and landscapes that are damaged or hostile."""

from attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
