"""docs/threats.md names only tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_attack_of_the_document_is_made_in_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs/threats.md").read_text())
    assert len(named) > 50
    for path, test in named:
        source = (ROOT / path).read_text()
        assert not test or re.search(rf"def {test}\(", source), f"{path} has no {test}"
