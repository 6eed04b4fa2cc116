"""A large mail is not held several times: how far the daemon grows while it is submitted."""

import re
from pathlib import Path

import pytest

from tests.support.demo import compose, running_demo

MAIL_BYTES = 24 * 1024 * 1024
COPIES_MAX = 2
"""The mail itself and its decoded attachment."""
IN_FLIGHT_MAX = 64 * 1024 * 1024
"""Chunks on their way to the vault and to other machines, whatever the size of the mail."""

pytestmark = [pytest.mark.daemons, pytest.mark.long, pytest.mark.timeout(300)]


def megabytes(pid: int, figure: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(rf"{figure}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


def test_a_daemon_grows_by_little_more_than_mail_and_attachment(tmp_path: Path) -> None:
    with running_demo(tmp_path / "demo", nodes=3, users="alice") as demo:
        node = demo.node("alice")
        _, octets = compose(node["user"], [node["user"]], size=MAIL_BYTES * 74 // 76)
        with demo.smtp("alice") as client:
            before = megabytes(node["pid"], "VmRSS")
            # Held, so that only the submission is measured and not the delivery to oneself.
            client.mail(node["user"], ["HOLDFOR=3600"])
            client.rcpt(node["user"])
            code, text = client.data(octets)
            assert code == 250, text
        growth = megabytes(node["pid"], "VmHWM") - before
        print(f"\nsubmitting {len(octets) >> 20} MB: the daemon grew from {before} by {growth} MB")
        assert growth << 20 < COPIES_MAX * len(octets) + IN_FLIGHT_MAX
