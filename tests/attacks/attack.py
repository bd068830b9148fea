"""An attack: many tries to make the package do wrong, each of which it has to meet well."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

REFUSED = "refused"  # by the error that is promised, in its words
HARMLESS = "harmless"  # done, and rightly

SEED = 21


@dataclass(frozen=True)
class Attack:
    """A kind of attack.

    Attributes
    ----------
    name : str
        What is attacked, and how, for the table.
    tries : callable
        Takes a folder of its own and a generator of random numbers; yields of each try REFUSED, HARMLESS, or
        else, in words, what went wrong.
    seconds : float
        After so many no further try is begun.
    """

    name: str
    tries: Callable[[Path, np.random.Generator], Iterator[str]]
    seconds: float = 60.0


def outcomes(attack: Attack, folder: Path) -> Counter[str]:
    """Return how many tries came to what."""
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    for outcome in attack.tries(folder, np.random.default_rng(SEED)):
        counts[outcome] += 1
        if time.monotonic() - begun > attack.seconds:
            break
    return counts


def faults(counts: Counter[str]) -> dict[str, int]:
    """Return what was not met well."""
    return {outcome: n for outcome, n in counts.items() if outcome not in {REFUSED, HARMLESS}}
