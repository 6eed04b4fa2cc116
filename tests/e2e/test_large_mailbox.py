"""The short form of benchmarks/mail/large_mailbox.py: imported, restarted, listed, synchronised."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "mail" / "large_mailbox.py"
MEGABYTES_MAX = 400
"""Of the daemon's memory, whatever is imported: 4 GB take less than half of it."""

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(600)]


def test_an_import_keeps_within_memory_and_all_of_it_is_listed_after_a_restart(
    tmp_path: Path,
) -> None:
    report = tmp_path / "report.json"
    options = ["--gigabytes", "0.03", "--folders", "40", "--json", str(report)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(report.read_text())
    assert max(row.get("megabytes", 0) for row in rows.values()) < MEGABYTES_MAX
    imported = rows["import by APPEND"]
    assert rows["login and LIST with counters, first"]["mails"] >= imported["mails"]
    assert imported["mails"] > 300
