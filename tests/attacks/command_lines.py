"""What a command line is given that it cannot do."""

from attacks.attack import Attack

ATTACKS: tuple[Attack, ...] = ()
