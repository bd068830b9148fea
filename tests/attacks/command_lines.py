"""What a command line is given that it cannot do."""

from tests.attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
