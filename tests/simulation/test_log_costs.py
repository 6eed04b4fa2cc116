"""The short form of benchmarks/log_costs.py: a snapshot spares a new machine most of a log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "log_costs.py"


def test_with_a_snapshot_a_new_machine_reads_a_tenth_of_the_log() -> None:
    options = ["--records", "2200", "--cluster", "50", "--appends", "2"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    appends = {
        line[:20].strip(): [float(number) for number in line[20:].split()[:3]]
        for line in done.stdout.splitlines()[1:4]
    }
    messages, octets, round_trips = appends["tail in the head"]
    assert messages < 14
    assert octets < 20_000
    assert round_trips < 3
    assert appends["cluster, then head"][2] < 4
    assert appends["together"][0] < 0.5, "messages of one of 2,000"
    rows = [line.split() for line in done.stdout.splitlines()]
    costs = {row[3]: row for row in rows if len(row) == 9 and row[0] == "2200"}
    assert int(costs["without"][-1]) == 2200
    assert int(costs["with"][-1]) < 220
    assert int(costs["with"][4]) < int(costs["without"][4]), "messages"
    assert 2 * int(costs["with"][5]) < int(costs["without"][5]), "octets"
