"""The inbox: takes notices of mails from other accounts (paper 4.3, 4.4).

A notice is accepted when the mail is here whole: every part has been fetched, and so lies in this
device's mirror. The insertion record keeps the sender's signed notice verbatim (R21).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from epost.apps.mail.delivery.authorship import read_checked_header, require_own_names
from epost.apps.mail.delivery.notice import InNotice, MailNotice, read_notice
from epost.apps.mail.delivery.reports import DeliveryReports
from epost.apps.mail.log.arrival import arrival
from epost.apps.mail.log.fold import INBOX_ID, JUNK_ID
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import (
    SIGNED_NOTICE_BYTES_MAX,
    Inline,
    Insert,
    Noticed,
    Stored,
)
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.observed import MailArrived, MailDeferred, MailRefused
from epost.apps.mail.ports import Names, Offload
from epost.apps.mail.renditions.rendition import begin_to_read
from epost.crypto.certificates import AccountCert
from epost.crypto.hashing import digest
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    NotPermitted,
    PeerError,
    UnavailableError,
)
from epost.foundation.octets import Octets
from epost.foundation.ports import Clock, Observer
from epost.post.logs.entries import Entry
from epost.post.notification.handlers import (
    Accepted,
    Answer,
    Deferred,
    Dispatched,
    Notification,
    Refused,
)

UNVOUCHED = "$Unvouched"
"""Keyword of mails whose sending device was revoked after it sent them."""
ACCEPTING_AT_ONCE = 4
"""Notices handled at the same time: what each holds in memory is bounded, not small."""
ACCEPT_SECONDS_MAX = 120.0
"""A mail that cannot be fetched in this time is deferred; what came of it is kept."""
SLOWEST_BYTES_PER_SECOND = 1024 * 1024
"""A large mail is given more time."""


class MailInbox:
    """Handles the notifications of the mail application."""

    def __init__(
        self,
        *,
        names: Names,
        store: MailStore,
        ledger: Ledger,
        reports: DeliveryReports,
        offload: Offload,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._names = names
        self._store = store
        self._ledger = ledger
        self._reports = reports
        self._offload = offload
        self._clock = clock
        self._observer = observer
        self._slots = asyncio.Semaphore(ACCEPTING_AT_ONCE)

    async def accept(self, notification: Notification) -> Answer:
        """Decide about a notice whose signature has been verified."""
        try:
            notice = _notice_of(notification)
            async with self._slots, asyncio.timeout(_patience(notice)):
                record = await self._insertion(notification, notice)
        except (PeerError, AuthenticityError, NotPermitted) as error:
            self._observer.record(MailRefused(str(error)))
            return Refused(str(error))
        except (UnavailableError, NotFoundError) as error:
            self._observer.record(MailDeferred(error))
            return Deferred()
        except TimeoutError:
            self._observer.record(MailDeferred(UnavailableError("it takes too long to fetch")))
            return Deferred()
        self._observer.record(MailArrived(record.size))
        entries = arrival(record, self._clock)
        return Accepted(entries, tag=record.email, when_shown=self._ledger.when_shown)

    async def delivered(self, notice: Dispatched) -> Sequence[Entry]:
        """Return the report that a mail has arrived, if its sender asked for it."""
        return await self._reports.entries("delivered", notice)

    async def undeliverable(self, notice: Dispatched) -> Sequence[Entry]:
        """Return the bounce that goes into this account's own inbox."""
        return await self._reports.entries("failed", notice)

    async def delayed(self, notice: Dispatched) -> Sequence[Entry]:
        """Return the warning that a mail has not arrived yet and is offered again and again."""
        return await self._reports.entries("delayed", notice)

    async def _insertion(self, notification: Notification, notice: MailNotice) -> Insert:
        octets = await self._octets(notice)
        structure, make = await begin_to_read(octets, self._offload)
        fields = read_checked_header(octets, structure)
        require_own_names(fields, await self._sender(notification))
        email = email_id(notification)
        self._ledger.prepare_later(email, partial(make, fields), len(octets))
        return Insert(
            email=email,
            # What a device wrote that is known to be stolen now is kept apart, never dropped.
            folder=INBOX_ID if notification.is_vouched else JUNK_ID,
            flags=() if notification.is_vouched else (UNVOUCHED,),
            # Signed, so equal on all devices: when the sender's device let go of it.
            seconds=notification.sent_at_ms // 1000,
            zone_minutes=0,
            size=len(octets),
            content=Noticed(notification.signed),
        )

    async def _octets(self, notice: MailNotice) -> Octets:
        content = notice.content
        if isinstance(content, InNotice):
            return await self._store.get(Inline(content.octets))
        octets = await self._store.get(Stored(content.skeleton, content.parts))
        if len(octets) != content.size:
            raise NotPermitted("the mail has another size than its notice says")
        return octets

    async def _sender(self, notification: Notification) -> AccountCert:
        try:
            contact = await self._names.resolve(notification.sender_name)
        except (AuthenticityError, PeerError) as error:
            # The notice was verified; what is wrong with the directory now may be right later.
            raise UnavailableError(f"the sender cannot be looked up: {error}") from error
        if contact.account.account_id != notification.sender_account:
            raise NotPermitted("the sender's name is another account's")
        return contact.account


def _notice_of(notification: Notification) -> MailNotice:
    """Return what a notice tells of a mail; raises PeerError, NotPermitted."""
    if len(notification.signed) > SIGNED_NOTICE_BYTES_MAX:
        raise NotPermitted("a notice with certificates longer than any")
    return read_notice(notification.content)


def _patience(notice: MailNotice) -> float:
    """Return how many seconds fetching and reading a mail may take."""
    return ACCEPT_SECONDS_MAX + notice.content.size / SLOWEST_BYTES_PER_SECOND


def email_id(notification: Notification) -> bytes:
    """Return the id of a received mail: equal on all devices, whoever of them was told first.

    The content is part of it: a sender who gives two mails one notice id cannot make devices
    differ about which it was.
    """
    of = (notification.sender_account, notification.id, notification.content)
    return digest("mail/email", *of)[:16]
