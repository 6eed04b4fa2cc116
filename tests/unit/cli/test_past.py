"""`epost folder`: how a time is said, and what is shown."""

from __future__ import annotations

import datetime

import pytest

from epost.cli.past import _milliseconds, _show
from epost.foundation.errors import ConfigError


def test_a_time_is_local_unless_it_says_otherwise() -> None:
    assert _milliseconds("2026-11-22T17:30:00+00:00") == 1_795_368_600_000
    local = datetime.datetime(2026, 11, 22, 17, 30).astimezone()
    assert _milliseconds("2026-11-22T17:30") == round(1000 * local.timestamp())
    assert _milliseconds("") > 1_700_000_000_000
    with pytest.raises(ConfigError, match="is no time"):
        _milliseconds("last week")


def test_mails_are_listed_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    mail = {"email_id": "ab" * 16, "received_ms": 1000, "size": 2048, "flags": ["\\Seen"]}
    _show({"folder": "INBOX", "messages": 1, "undated_records": 3, "mails": [mail]})
    said = capsys.readouterr().out
    assert "1 mails in INBOX then." in said
    assert "2,048" in said
    assert "3 records are of a former version" in said
