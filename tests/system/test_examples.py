"""No example may be left out of the checks, or of the list of examples."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKS = ROOT / ".ci" / "run"


@pytest.mark.skipif(not CHECKS.exists(), reason="the checks are not part of a source archive")
@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "examples").glob("*.py")))
def test_every_example_is_run_and_listed(example):
    assert f"examples/{example} " in CHECKS.read_text().replace("\n", " ")
    assert f"[{example}]({example})" in (ROOT / "examples" / "README.md").read_text()
