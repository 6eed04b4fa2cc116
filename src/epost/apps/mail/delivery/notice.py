"""The mail notice: what a sender tells each recipient of a mail (paper 4.3, R20).

Header basics for people and filters, then either the octets themselves or references to skeleton
and parts in the message store. It is the same for every recipient, so it must say nothing of Bcc.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Annotated

import msgspec

from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.apps.mail.mime.addresses import mailboxes
from epost.apps.mail.mime.headers import HeaderFields, decode_words, read_date
from epost.crypto.certificates import V1
from epost.foundation.codec import Format, encode, require_nfc
from epost.post.storage.references import Reference

INLINE_BYTES_MAX = 16 * 1024
INLINE_RECIPIENTS_MAX = 10
"""Mails up to that size to that many recipients ride inside the notice (design 7)."""
NOTICE_BYTES_MAX = 20 * 1024
PARTS_MAX = 128
SUBJECT_BYTES_MAX = 512
ADDRESS_BYTES_MAX = 256
ADDRESSES_LISTED_MAX = 4
MESSAGE_ID_BYTES_MAX = 256

Seconds = Annotated[int, msgspec.Meta(ge=-(10**12), le=10**12)]
ZoneMinutes = Annotated[int, msgspec.Meta(gt=-24 * 60, lt=24 * 60)]
Address = Annotated[str, msgspec.Meta(max_length=ADDRESS_BYTES_MAX)]
Addresses = Annotated[tuple[Address, ...], msgspec.Meta(max_length=ADDRESSES_LISTED_MAX)]
Size = Annotated[int, msgspec.Meta(ge=0, le=MAIL_SIZE_BYTES_MAX)]


class InNotice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """The mail itself."""

    octets: Annotated[bytes, msgspec.Meta(max_length=INLINE_BYTES_MAX)]

    @property
    def size(self) -> int:
        """Octets of the mail."""
        return len(self.octets)


class InStore(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=2):
    """Where the mail is: its size, its skeleton and the parts that fill it."""

    size: Size
    skeleton: Reference
    parts: Annotated[tuple[Reference, ...], msgspec.Meta(max_length=PARTS_MAX)]


NoticeContent = InNotice | InStore


class MailNotice(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Basics of the header, cut to size, and the mail or where it is."""

    format: V1
    date_seconds: Seconds
    """The Date: field, seconds since 1970; 0 if there is none that can be read."""
    date_zone_minutes: ZoneMinutes
    sender: Address
    to: Addresses
    """The first few addresses of To:, for people; the recipients are not taken from here."""
    cc: Addresses
    subject: Annotated[str, msgspec.Meta(max_length=SUBJECT_BYTES_MAX)]
    message_id: Annotated[str, msgspec.Meta(max_length=MESSAGE_ID_BYTES_MAX)]
    content: NoticeContent


_FORMAT: Format[MailNotice] = Format(MailNotice, size_max=NOTICE_BYTES_MAX)


def make_notice(fields: HeaderFields, content: NoticeContent) -> bytes:
    """Return the content of the notification of a mail with these header fields."""
    date = read_date(fields.first("date") or "")
    notice = MailNotice(
        format=1,
        date_seconds=date.seconds if date else 0,
        date_zone_minutes=date.zone_minutes if date else 0,
        sender=next(_addresses(fields, "from"), ""),
        to=_first_addresses(fields, "to"),
        cc=_first_addresses(fields, "cc"),
        subject=_cut(decode_words(fields.first("subject") or ""), SUBJECT_BYTES_MAX),
        message_id=_cut(fields.first("message-id") or "", MESSAGE_ID_BYTES_MAX),
        content=content,
    )
    encoded = encode(notice)
    assert len(encoded) <= NOTICE_BYTES_MAX
    return encoded


def read_notice(content: bytes) -> MailNotice:
    """Read the content of a notification; raises MalformedPacket, LimitExceeded."""
    notice = _FORMAT.decode(content)
    for text in (notice.sender, *notice.to, *notice.cc, notice.subject, notice.message_id):
        require_nfc(text)
    return notice


def _first_addresses(fields: HeaderFields, name: str) -> tuple[str, ...]:
    listed = _addresses(fields, name)
    return tuple(address for address, _ in zip(listed, range(ADDRESSES_LISTED_MAX), strict=False))


def _addresses(fields: HeaderFields, name: str) -> Iterator[str]:
    for value in fields.every(name):
        for mailbox in mailboxes(value):
            yield _cut(f"{mailbox.local_part}@{mailbox.domain}", ADDRESS_BYTES_MAX)


def _cut(text: str, bytes_max: int) -> str:
    """Return the beginning of a text in normal form C, without octets that are no text."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    # Cut first, too: strangers write subjects, and the normal form costs the square of the length.
    encoded = unicodedata.normalize("NFC", valid[:bytes_max]).encode()[:bytes_max]
    return encoded.decode("utf-8", "ignore")  # half a character at the end goes
