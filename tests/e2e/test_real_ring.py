"""The short form of benchmarks/real_ring.py: eight daemons, a minute of faults."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real_ring.py"

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(900)]


def test_nothing_ring_durable_is_lost_and_the_ring_is_whole_after_a_minute_of_faults(
    tmp_path: Path,
) -> None:
    command = [sys.executable, str(SCRIPT), "--nodes", "8", "--minutes", "1"]
    done = subprocess.run(
        [*command, "--dir", str(tmp_path)], capture_output=True, text=True, timeout=800, check=False
    )
    found = json.loads(done.stdout)
    assert sum(found["faults"].values()) > 0
    assert found["mails_accepted"] > 0
    assert found["nothing_lost"], done.stdout
    assert found["wrong_leaf_sets"] == [], done.stdout
