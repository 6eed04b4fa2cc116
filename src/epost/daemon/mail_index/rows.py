"""Values of the mail index as rows of its tables, and back."""

from __future__ import annotations

from functools import lru_cache

import apsw
import msgspec

from epost.apps.mail.index import MailFacts
from epost.apps.mail.log.fold import FLAGS_REMEMBERED, FlagState, Placement
from epost.apps.mail.log.records import Content
from epost.apps.mail.mailbox import MailTime
from epost.foundation.codec import encode


class _Flagged(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The beginning of an encoded `Placement`, as far as its flags; what follows is passed over."""

    name: msgspec.Raw
    email: msgspec.Raw
    folder: msgspec.Raw
    since: msgspec.Raw
    flags: msgspec.Raw = msgspec.Raw(b"\x90")


_flagged = msgspec.msgpack.Decoder(_Flagged)
_flag_states = msgspec.msgpack.Decoder(tuple[FlagState, ...])


def flags_that_are_set(value: bytes) -> frozenset[str]:
    """Return `set_flags` of an encoded `Placement`, at a third of the work."""
    return _flags_of(bytes(_flagged.decode(value).flags))


@lru_cache(maxsize=FLAGS_REMEMBERED)
def _flags_of(states: bytes) -> frozenset[str]:
    return frozenset([flag.name for flag in _flag_states.decode(states) if flag.is_set])


def mail_facts(
    email: bytes,
    size: int,
    seconds: int,
    zone: int,
    sent_seconds: int | None,
    sent_zone: int | None,
    position: int,
) -> MailFacts:
    sent = None if sent_seconds is None else MailTime(sent_seconds, sent_zone or 0)
    return MailFacts(email, size, MailTime(seconds, zone), sent, position)


def mail_row(entry: tuple[MailFacts, Content]) -> tuple[apsw.SQLiteValue, ...]:
    mail, _ = entry
    return mail.position, mail.email, mail.size, mail.date.seconds, mail.date.zone_minutes


def content_row(entry: tuple[MailFacts, Content]) -> tuple[apsw.SQLiteValue, ...]:
    mail, content = entry
    return mail.position, encode(content)


def placement_row(entry: tuple[Placement, int]) -> tuple[apsw.SQLiteValue, ...]:
    placement, modseq = entry
    uid = placement.uid
    return (
        placement.name,
        placement.email,
        placement.folder,
        uid or None,
        placement.is_alive and not uid,
        modseq,
        encode(placement),
    )


def number_row(entry: tuple[Placement, int]) -> tuple[apsw.SQLiteValue, ...]:
    placement, modseq = entry
    uid = placement.uid
    is_waiting = placement.is_alive and not uid
    return uid or None, is_waiting, modseq, encode(placement), placement.name


def flags_row(entry: tuple[Placement, int]) -> tuple[apsw.SQLiteValue, ...]:
    placement, modseq = entry
    return modseq, encode(placement), placement.name
