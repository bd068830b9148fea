"""All attacks, and the table of what they came to.

    cd tests && python -m attacks.table

makes every attack and puts the table of docs/faults.md in the place of the one before; with words after it,
it makes those whose names have one of them, and leaves the other lines. `make slow` makes all of them too,
and fails where one is not met well.
"""

import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from attacks import command_lines, concurrency, files, outputs, places, texts
from attacks.attack import HARMLESS, REFUSED, Attack, faults, outcomes

KINDS = (files, outputs, texts, command_lines, concurrency, places)
ATTACKS = tuple(attack for kind in KINDS for attack in kind.ATTACKS)

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- attacks -->", "<!-- end of attacks -->"
HEAD = ("| attack | tries | refused | harmless | else |", "| --- | --- | --- | --- | --- |")


def row(attack: Attack, counts: Counter[str]) -> str:
    """Return the line of an attack."""
    tries, wrong = sum(counts.values()), sum(faults(counts).values())
    return f"| {attack.name} | {tries:,} | {counts[REFUSED]:,} | {counts[HARMLESS]:,} | {wrong:,} |"


def with_table(page: str, rows: list[str]) -> str:
    """Return a page with these rows between its marks."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return "\n".join([before + BEGIN, *HEAD, *rows, END]) + after


def main(words: list[str]) -> int:
    """Make attacks, write the table, and tell what was not met well."""
    told = PAGE.read_text().splitlines()
    rows, wrong = [], {}
    for attack in ATTACKS:
        before = next((line for line in told if line.startswith(f"| {attack.name} |")), None)
        if before and words and not any(word in attack.name for word in words):
            rows.append(before)
            continue
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            counts = outcomes(attack, Path(folder))
        wrong[attack.name] = faults(counts)
        rows.append(row(attack, counts))
        print(f"{rows[-1]} {time.monotonic() - begun:.0f} s", *wrong[attack.name], sep="\n  ", flush=True)
    PAGE.write_text(with_table(PAGE.read_text(), rows))
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
