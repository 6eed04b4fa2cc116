"""`epost folder`: how a time is said, and what is shown."""

from __future__ import annotations

import datetime

import pytest

from epost.cli import views
from epost.cli.past import _milliseconds, _show
from epost.foundation.errors import ConfigError


def test_a_time_is_local_unless_it_says_otherwise() -> None:
    assert _milliseconds("2021-11-22T17:30:00+00:00") == 1_637_602_200_000
    local = datetime.datetime(2021, 11, 22, 17, 30).astimezone()
    assert _milliseconds("2021-11-22T17:30") == round(1000 * local.timestamp())
    assert _milliseconds("") > 1_700_000_000_000
    with pytest.raises(ConfigError, match="is no time"):
        _milliseconds("last week")
    with pytest.raises(ConfigError, match="still to come"):
        _milliseconds("9999-01-01T00:00")


def mail(**said: str) -> dict[str, object]:
    known = {"email_id": "ab" * 16, "received_ms": 1000, "size": 2048, "flags": ["\\Seen"]}
    return {**known, "from": "", "subject": "", **said}


@pytest.fixture(autouse=True)
def wide_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views.console, "width", 200)


def test_mails_are_listed_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    mails = [mail(**{"from": "Bob <bob@example.org>"}, subject="Lunch [bold]?"), mail()]
    _show({"folder": "INBOX", "messages": 2, "undated_records": 3, "mails": mails})
    said = capsys.readouterr().out
    assert "2 mails in INBOX then." in said
    assert "Bob <bob@example.org>" in said
    assert "Lunch [bold]?" in said
    assert "ab" * 16 in said, "of what the index does not know, the id is shown"
    assert "2,048" in said
    assert "3 records are of a former version" in said


def test_a_subject_has_no_power_over_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    mails = [mail(subject="a\x1b[2Jb\u202ec\rd")]
    _show({"folder": "INBOX", "messages": 1, "undated_records": 0, "mails": mails})
    said = capsys.readouterr().out
    assert "a [2Jb c d" in said
    assert "1 mail in INBOX then." in said
