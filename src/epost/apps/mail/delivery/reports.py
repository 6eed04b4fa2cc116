"""Reports: what the sender is told about mails that arrive late, never, or as asked (RFC 3461).

They are written by the sender's own device into the sender's own inbox. That a mail was delivered
is said only on the receipt that the recipient's device signed.
"""

from __future__ import annotations

import email.utils
from collections.abc import Sequence

from epost.apps.mail.delivery.delivery_wishes import Notify, read_wishes
from epost.apps.mail.delivery.notice import INLINE_BYTES_MAX, InNotice, MailNotice, read_notice
from epost.apps.mail.delivery.report_text import Action, Report, header_of, printable
from epost.apps.mail.log.arrival import arrival
from epost.apps.mail.log.fold import INBOX_ID
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import Content, Inline, Insert, Stored
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.ports import Names, Offload
from epost.apps.mail.renditions.rendition import read_mail
from epost.crypto.hashing import digest
from epost.foundation.errors import EpostError
from epost.foundation.ports import Clock
from epost.post.logs.entries import Entry
from epost.post.notification.handlers import Dispatched

HEADERS_QUOTED_MAX = 8 * 1024
RETURNED_BYTES_MAX = 4 * 1024 * 1024
"""Longer mails are not returned whole, whatever RET says; the sender has them."""
_ASKED_BY = {"delivered": Notify.SUCCESS, "failed": Notify.FAILURE, "delayed": Notify.DELAY}


class DeliveryReports:
    """Writes delivery status notifications into this account's own inbox."""

    def __init__(
        self,
        *,
        names: Names,
        store: MailStore,
        ledger: Ledger,
        clock: Clock,
        offload: Offload,
    ) -> None:
        self._names = names
        self._store = store
        self._ledger = ledger
        self._clock = clock
        self._offload = offload

    async def entries(self, action: Action, notice: Dispatched) -> Sequence[Entry]:
        """Return the log entries of a report; none if its sender does not want to be told."""
        wishes = read_wishes(notice.memo)
        if not Notify(wishes.of(notice.recipient).notify) & _ASKED_BY[action]:
            return ()
        # Told twice, after a crash, it is still one mail.
        name = digest("mail/bounce", notice.message_key, notice.recipient.encode(), action.encode())
        report = Report(
            action,
            me=self._names.me.name,
            recipient=notice.recipient,
            reason=notice.reason,
            wishes=wishes,
            receipt=notice.receipt,
            submitted=notice.sent_at_ms // 1000,
            now=self._clock.wall_ms() // 1000,
            name=name.hex(),
        )
        returns_full = wishes.returns_full and action == "failed"  # RFC 3461 section 4.3
        record = await self._record(name[:16], report, read_notice(notice.content), returns_full)
        return arrival(record, self._clock)

    async def _record(
        self, email_id: bytes, report: Report, notice: MailNotice, returns_full: bool
    ) -> Insert:
        if returns_full and notice.content.size <= RETURNED_BYTES_MAX:
            try:
                octets = report.octets(await self._mail(notice), is_whole=True)
                return await self._insertion(email_id, octets)
            except EpostError:
                pass  # a report without the mail is better than none
        octets = report.octets(await self._header(notice), is_whole=False)
        assert len(octets) <= INLINE_BYTES_MAX
        return await self._insertion(email_id, octets)

    async def _insertion(self, email_id: bytes, octets: bytes) -> Insert:
        structure, rendition = await read_mail(octets, self._offload)
        content: Content
        if len(octets) <= INLINE_BYTES_MAX:
            content = Inline(octets)
        else:
            content = (await self._store.put(octets, structure)).content
        self._ledger.prepare(email_id, rendition)
        return Insert(
            email=email_id,
            folder=INBOX_ID,
            flags=(),
            seconds=self._clock.wall_ms() // 1000,
            zone_minutes=0,
            size=len(octets),
            content=content,
        )

    async def _mail(self, notice: MailNotice) -> bytes:
        content = notice.content
        if isinstance(content, InNotice):
            return content.octets
        octets = await self._store.get(Stored(content.skeleton, content.parts))
        return octets[:RETURNED_BYTES_MAX]

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
        header = header_of(octets[: HEADERS_QUOTED_MAX + 1])
        return header if len(header) <= HEADERS_QUOTED_MAX else _basics(notice)


def _basics(notice: MailNotice) -> bytes:
    lines = [
        f"From: {printable(notice.sender)}",
        f"To: {', '.join(map(printable, notice.to))}",
        f"Subject: {printable(notice.subject)}",
        f"Message-ID: {printable(notice.message_id)}",
        f"Date: {email.utils.formatdate(notice.date_seconds)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode("ascii")
