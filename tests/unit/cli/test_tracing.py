"""`epost trace`: what people read."""

from __future__ import annotations

import time

import pytest

from epost.cli.tracing import _show

HOUR_MS = 3_600_000


def traced(sent_ms: int) -> dict[str, object]:
    message = {"id": "ab" * 16, "from_device": 1, "sent_ms": sent_ms, "expires_ms": 2 * sent_ms}
    return {"sent": [{**message, "recipients": []}], "received": []}


def test_a_mail_that_is_held_until_later_is_not_called_sent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _show(traced(int(1000 * time.time()) + HOUR_MS))
    said = capsys.readouterr().out
    assert "Held by your machine 1, to leave at" in said
    assert "epost queue --cancel abababab" in said


def test_a_mail_that_has_left_is(capsys: pytest.CaptureFixture[str]) -> None:
    _show(traced(int(1000 * time.time()) - HOUR_MS))
    said = capsys.readouterr().out
    assert "Sent by your machine 1 at" in said
    assert "--cancel" not in said
