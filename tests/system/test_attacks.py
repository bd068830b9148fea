"""Every attack is met well, and the table of docs/faults.md tells of each."""

import pytest
from attacks.attack import faults, outcomes
from attacks.table import ATTACKS, BEGIN, END, PAGE


@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_met_well(attack, tmp_path):
    counts = outcomes(attack, tmp_path)
    if not counts:
        pytest.skip("this machine lets nothing of it be tried, as where nothing may be mounted")
    assert not faults(counts)


def test_the_table_tells_of_every_attack():
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    told = [line.split(" | ") for line in table.strip().splitlines()[2:]]
    assert [cells[0].removeprefix("| ") for cells in told] == [attack.name for attack in ATTACKS]
    assert all(cells[1] != "0" and cells[-1] == "0 |" for cells in told)
