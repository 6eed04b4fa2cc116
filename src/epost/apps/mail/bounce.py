"""Bounces: what the sender is told about mails that do not arrive (RFC 3464, RFC 5321 6.1)."""

from __future__ import annotations

import email.utils
import re
from collections.abc import Sequence
from typing import Literal

from epost.apps.mail.fold import INBOX_ID
from epost.apps.mail.ledger import Ledger
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mime.structure import parse_structure
from epost.apps.mail.notice import INLINE_BYTES_MAX, InNotice, MailNotice, read_notice
from epost.apps.mail.ports import Names
from epost.apps.mail.records import Inline, Insert, Stored, encode_record
from epost.apps.mail.rendition import make_rendition
from epost.crypto.hashing import digest
from epost.foundation.errors import EpostError
from epost.foundation.ports import Clock
from epost.post.app_ids import AppId
from epost.post.log_records import Entry

HEADERS_QUOTED_MAX = 8 * 1024
REASON_LENGTH_MAX = 500
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")

Action = Literal["failed", "delayed"]

_EXPLANATIONS = {
    "failed": "Your mail could not be delivered to this recipient, and is not tried any more:",
    "delayed": "Your mail has not reached this recipient yet. You need not send it again:\r\n"
    "it is kept, and delivered as soon as the recipient's device can be reached.",
}
_SUBJECTS = {"failed": "Mail not delivered", "delayed": "Mail delayed"}
_STATUSES = {"failed": "5.0.0", "delayed": "4.4.1"}


class Bounces:
    """Writes delivery status notifications into this account's own inbox."""

    def __init__(self, *, names: Names, store: MailStore, ledger: Ledger, clock: Clock) -> None:
        self._names = names
        self._store = store
        self._ledger = ledger
        self._clock = clock

    async def failed(
        self, message_key: bytes, content: bytes, recipient: str, reason: str
    ) -> Sequence[Entry]:
        """Return the log entries of the notification that a mail will never arrive."""
        return await self._entries("failed", message_key, content, recipient, reason)

    async def delayed(
        self, message_key: bytes, content: bytes, recipient: str, reason: str
    ) -> Sequence[Entry]:
        """Return the log entries of the notification that a mail takes its time."""
        return await self._entries("delayed", message_key, content, recipient, reason)

    async def _entries(
        self, action: Action, message_key: bytes, content: bytes, recipient: str, reason: str
    ) -> Sequence[Entry]:
        notice = read_notice(content)
        # Told twice, after a crash, it is still one mail.
        name = digest("mail/bounce", message_key, recipient.encode(), action.encode())
        octets = _report(
            action,
            me=self._names.me.name,
            recipient=recipient,
            reason=_printable(reason)[:REASON_LENGTH_MAX],
            seconds=self._clock.wall_ms() // 1000,
            boundary=name.hex(),
            quoted=await self._header(notice),
        )
        assert len(octets) <= INLINE_BYTES_MAX
        self._ledger.prepare(name[:16], make_rendition(octets))
        record = Insert(
            email=name[:16],
            folder=INBOX_ID,
            flags=(),
            seconds=self._clock.wall_ms() // 1000,
            zone_minutes=0,
            size=len(octets),
            content=Inline(octets),
        )
        return [Entry(AppId.MAIL, encode_record(record))]

    async def _header(self, notice: MailNotice) -> bytes:
        """Return the header of the mail, or its basics if the mail cannot be read now."""
        content = notice.content
        try:
            if isinstance(content, InNotice):
                octets = content.octets
            else:
                octets = await self._store.beginning(Stored(content.skeleton, content.parts))
        except EpostError:
            return _basics(notice)
        beginning = octets[: HEADERS_QUOTED_MAX + 1]
        header = parse_structure(beginning).header.cut(beginning)
        return header if len(header) <= HEADERS_QUOTED_MAX else _basics(notice)


def _report(
    action: Action,
    *,
    me: str,
    recipient: str,
    reason: str,
    seconds: int,
    boundary: str,
    quoted: bytes,
) -> bytes:
    date = email.utils.formatdate(seconds)
    domain = me.rpartition("@")[2]
    lines = [
        f"From: Mail delivery <postmaster@{domain}>",
        f"To: {me}",
        f"Subject: {_SUBJECTS[action]}: {recipient}",
        f"Date: {date}",
        f"Message-ID: <{boundary}@{domain}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        _EXPLANATIONS[action],
        "",
        f"    {recipient}",
        f"    {reason}",
        "",
        f"--{boundary}",
        "Content-Type: message/delivery-status",
        "",
        f"Reporting-MTA: dns; {domain}",
        f"Arrival-Date: {date}",
        "",
        f"Final-Recipient: rfc822; {recipient}",
        f"Action: {action}",
        f"Status: {_STATUSES[action]}",
        f"Diagnostic-Code: X-ePOST; {reason}",
        "",
        f"--{boundary}",
        "Content-Type: text/rfc822-headers",
        "",
        "",
    ]
    end = f"\r\n--{boundary}--\r\n".encode("ascii")
    return "\r\n".join(lines).encode("ascii") + quoted + end


def _basics(notice: MailNotice) -> bytes:
    lines = [
        f"From: {_printable(notice.sender)}",
        f"To: {', '.join(map(_printable, notice.to))}",
        f"Subject: {_printable(notice.subject)}",
        f"Message-ID: {_printable(notice.message_id)}",
        f"Date: {email.utils.formatdate(notice.date_seconds)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
