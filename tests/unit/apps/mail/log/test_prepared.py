"""Renditions that wait for their records: of as many mails as one APPEND brings, within bounds."""

from __future__ import annotations

import pytest

from epost.apps.mail.index import Rendition
from epost.apps.mail.log import prepared as module
from epost.apps.mail.log.prepared import Prepared
from epost.apps.mail.renditions.rendition import make_rendition
from epost.servers.imap.limits import ImapLimits

RENDITION = make_rendition(b"Subject: x\r\n\r\nOctets")
SIZE = len(b"Subject: x\r\n\r\n") + len(RENDITION.header_text) + len(RENDITION.body_text)


def names(prepared: Prepared) -> list[bytes]:
    return list(prepared)


def test_all_mails_of_one_append_fit() -> None:
    assert ImapLimits().literals_per_command_max <= module.PREPARED_MAX


@pytest.mark.parametrize(
    ("limit", "value"),
    [("PREPARED_MAX", 2), ("PREPARED_OCTETS_MAX", 2 * SIZE), ("PREPARED_OCTETS_MAX", 3 * SIZE - 1)],
)
def test_the_oldest_goes_when_there_are_too_many_or_they_are_too_long(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(module, limit, value)
    prepared = Prepared()
    for name in (b"1", b"2"):
        prepared.add(name, RENDITION)
    assert names(prepared) == [b"1", b"2"]
    prepared.add(b"3", RENDITION)
    assert names(prepared) == [b"2", b"3"]


def test_what_was_taken_makes_room_and_the_newest_always_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PREPARED_OCTETS_MAX", SIZE)
    prepared = Prepared()
    prepared.add(b"1", RENDITION)
    prepared.add(b"1", RENDITION)
    prepared.drop(b"1")
    prepared.drop(b"1")
    prepared.add(b"2", RENDITION)
    assert names(prepared) == [b"2"]
    monkeypatch.setattr(module, "PREPARED_OCTETS_MAX", 1)
    prepared.add(b"3", RENDITION)
    assert prepared[b"3"] is RENDITION
    assert names(prepared) == [b"3"]


def test_what_is_to_be_made_later_is_made_once_and_only_if_it_is_asked_for() -> None:
    made: list[None] = []

    def make() -> Rendition:
        made.append(None)
        return RENDITION

    prepared = Prepared()
    prepared.add_later(b"1", make, SIZE)
    prepared.add_later(b"2", make, SIZE)
    prepared.drop(b"2")
    assert names(prepared) == [b"1"]
    assert made == []
    assert prepared[b"1"] is prepared[b"1"] is RENDITION
    assert made == [None]
