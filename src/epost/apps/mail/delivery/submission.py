"""Submitting mails: from a client's octets to notices for every recipient (paper 4.2, 4.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import msgspec

from epost.apps.mail.delivery.authorship import (
    is_own_name,
    names_of,
    read_checked_header,
    require_own_names,
    require_unreserved,
    without_blind_copies,
)
from epost.apps.mail.delivery.delivery_wishes import (
    NO_WISHES,
    DeliveryWishes,
    Notify,
    canonical_recipients,
    encode_wishes,
)
from epost.apps.mail.delivery.moved_names import MovedNames
from epost.apps.mail.delivery.notice import (
    INLINE_BYTES_MAX,
    INLINE_RECIPIENTS_MAX,
    InNotice,
    InStore,
    NoticeContent,
    make_notice,
)
from epost.apps.mail.folders.writing import promise
from epost.apps.mail.mail_store import MailStore
from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX, Durability
from epost.apps.mail.mime.lines import require_lines
from epost.apps.mail.mime.structure import Part, parse_structure
from epost.apps.mail.ports import Names, Offload, RunStory, Sending, work_on
from epost.crypto.names import canonical
from epost.foundation.errors import (
    AuthenticityError,
    MessageTooLarge,
    NoSuchUser,
    NotPermitted,
    PeerError,
    RefusedError,
    UnavailableError,
)
from epost.foundation.octets import Octets
from epost.foundation.ports import Clock
from epost.past.durability import Durability as Machines
from epost.post.app_ids import AppId

RECIPIENTS_MAX = 1000
LOOKUP_SECONDS_MAX = 3.0
"""A client that names a recipient is not kept longer than this."""


class RecipientVerdict(Enum):
    """What is known about a recipient when its address is named."""

    KNOWN = "known"
    UNKNOWN = "unknown"
    OTHER_DOMAIN = "other domain"  # and nobody carries mail there
    UNRESOLVED = "cannot be looked up now"  # accepted; bounces later if there is nobody


@dataclass(frozen=True, slots=True)
class Renamed:
    """A recipient has this address now; mail to the one that was named still arrives."""

    address: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """What was promised for a mail, and where it stands at this moment."""

    durability: Durability
    machines: int
    machines_wanted: int
    id: str  # to be used with `epost trace`


@dataclass(frozen=True, slots=True)
class Terms:
    """How a mail is to be treated, as its client asked.

    `is_binary`: it may hold bare line ends and NUL where its parts are labelled binary (RFC 3030);
    of other mails the server has made sure that they have none.
    """

    wishes: DeliveryWishes = NO_WISHES
    not_before_ms: int = 0
    is_binary: bool = False


ORDINARY = Terms()


class MailSubmission:
    """Takes mails of this device's account."""

    def __init__(
        self,
        *,
        names: Names,
        store: MailStore,
        sending: Sending,
        moved: MovedNames,
        offload: Offload,
        clock: Clock,
        run_story: RunStory = asyncio.ensure_future,
    ) -> None:
        self._names = names
        self._store = store
        self._sending = sending
        self._moved = moved
        self._run_story = run_story
        self._offload = offload
        self._clock = clock
        self._running: set[asyncio.Task[Submitted]] = set()

    async def check_sender(self, account: str, address: str) -> None:
        """Raise NotPermitted unless the account may send under this address.

        `address` is empty for the null sender of notifications (RFC 5321 section 4.5.5).
        """
        own = self._own_names(account)
        if address and not is_own_name(address, own):
            raise NotPermitted(f"this is not one of your addresses; yours is {self._names.me.name}")

    async def check_recipient(self, account: str, address: str) -> RecipientVerdict | Renamed:
        """Say what becomes of mail to this address; waits a few seconds at most."""
        self._own_names(account)
        try:
            name = canonical(address)
            if not name.endswith("@" + self._own_domain()):
                return RecipientVerdict.OTHER_DOMAIN
            async with asyncio.timeout(LOOKUP_SECONDS_MAX):
                contact = await self._names.resolve(name)
                present = await self._moved.new_name_of(contact)
        except (NoSuchUser, RefusedError):
            return RecipientVerdict.UNKNOWN
        except (TimeoutError, UnavailableError, AuthenticityError, PeerError):
            return RecipientVerdict.UNRESOLVED
        return RecipientVerdict.KNOWN if present is None else Renamed(present)

    async def submit(
        self,
        account: str,
        sender: str,
        recipients: Sequence[str],
        octets: Octets,
        terms: Terms = ORDINARY,
    ) -> Submitted:
        """Return when parts, outbox and notices are durable in the sense of the answer.

        Goes on to its end when the caller has gone.
        Raises NotPermitted for a From field that is not the account's, RefusedError,
        MessageTooLarge, DiskFull, UnavailableError.
        """
        await self.check_sender(account, sender)
        if not sender:  # nobody is told of notifications (RFC 5321 section 4.5.5)
            untold = msgspec.structs.replace(terms.wishes, notify=Notify.NEVER, recipients=())
            terms = replace(terms, wishes=untold)
        task = asyncio.ensure_future(self._submit(recipients, octets, terms))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def stop(self) -> None:
        """Give up what has not come to its end; whoever waits for it is cancelled."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _submit(self, recipients: Sequence[str], octets: Octets, terms: Terms) -> Submitted:
        if len(octets) > MAIL_SIZE_BYTES_MAX:
            raise MessageTooLarge(f"{len(octets)} bytes, at most {MAIL_SIZE_BYTES_MAX}")
        names = self._moved.without_twins(sorted({canonical(name) for name in recipients}))
        if not 1 <= len(names) <= RECIPIENTS_MAX:
            raise RefusedError(f"a mail has 1 to {RECIPIENTS_MAX} recipients")
        mail = await self._structure(octets)
        if terms.is_binary:
            require_lines(octets, mail)
        fields = read_checked_header(octets, mail)
        require_own_names(fields, self._names.me)
        require_unreserved(fields)
        sent_on = without_blind_copies(octets, mail)
        if len(sent_on) != len(octets):
            mail = await self._structure(sent_on)
        content, machines = await self._content(sent_on, mail, len(names))
        sent = await self._sending.send(
            AppId.MAIL,
            make_notice(fields, content),
            names,
            memo=self._memo(terms.wishes),
            not_before_ms=terms.not_before_ms,
        )
        if untold := self._moved.untold(names):
            self._run_story(self._moved.tell_of(untold))
        return _submitted(sent.message_key, sent.durability.combine(*machines))

    def _memo(self, wishes: DeliveryWishes) -> bytes:
        if wishes == NO_WISHES:
            return b""
        return encode_wishes(
            msgspec.structs.replace(
                wishes,
                submitted=self._clock.wall_ms() // 1000,
                recipients=canonical_recipients(wishes.recipients),
            )
        )

    async def _content(
        self, octets: Octets, mail: Part, recipients: int
    ) -> tuple[NoticeContent, Sequence[Machines]]:
        if len(octets) <= INLINE_BYTES_MAX and recipients <= INLINE_RECIPIENTS_MAX:
            return InNotice(octets[:]), ()
        put = await self._store.put(octets, mail)
        stored = InStore(len(octets), put.content.skeleton, put.content.parts)
        return stored, (put.durability,)

    async def _structure(self, octets: Octets) -> Part:
        return await work_on(len(octets), lambda: parse_structure(octets), self._offload)

    def _own_names(self, account: str) -> frozenset[str]:
        own = names_of(self._names.me)
        if not is_own_name(account, own):
            raise NotPermitted("another account")
        return own

    def _own_domain(self) -> str:
        return self._names.me.name.rpartition("@")[2]


def _submitted(message_key: bytes, machines: Machines) -> Submitted:
    return Submitted(
        durability=promise(machines),
        machines=machines.acked,
        machines_wanted=machines.wanted,
        id=message_key.hex(),
    )
