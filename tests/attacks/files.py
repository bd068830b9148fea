"""Models, checkpoints and landscapes that are damaged or hostile."""

from tests.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
