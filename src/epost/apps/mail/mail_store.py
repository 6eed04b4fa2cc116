"""Mails in the message store: cut into skeleton and parts, stored, and put together again.

Each MIME part is a message of its own (paper 4.2, R19): a part that this account has stored before
is not stored again, however it came here. What comes back is the mail to the octet.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol, assert_never

from epost.apps.mail.contents import content_of, resolved
from epost.apps.mail.delivery.notice import PARTS_MAX
from epost.apps.mail.log.records import (
    Content,
    Inline,
    Insert,
    Logged,
    Noticed,
    Stored,
    decode_record,
)
from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.apps.mail.mime.headers import HEADER_BYTES_READ_MAX, read_fields
from epost.apps.mail.mime.skeleton import (
    PART_THRESHOLD_BYTES,
    SKELETON_BYTES_MAX,
    SKELETONS,
    Skeleton,
    SlotWriter,
    SplitMail,
    check,
    join,
    split,
)
from epost.apps.mail.mime.structure import Part
from epost.apps.mail.ports import Offload, work_on
from epost.foundation.codec import encode
from epost.foundation.errors import LimitExceeded, MalformedPacket, MessageTooLarge
from epost.foundation.octets import Octets
from epost.foundation.spool import IN_MEMORY, Spool
from epost.past.durability import Durability
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry
from epost.post.parallel import in_parallel
from epost.post.storage.message_store import Stored as StoredMessage
from epost.post.storage.references import Reference

PARTS_AT_ONCE = 8
IN_MEMORY_BYTES_MAX = 4 * 1024 * 1024
"""Longer mails are put together in the spool."""
SPOOLED_AT_ONCE = 2
"""Mails that are being put together there."""
RECENT_BYTES_MAX = 64 * 1024 * 1024
"""Mails read lately that are kept, in memory; and apart from them, in the spool."""
CONFIDENTIAL = frozenset({"personal", "private", "company-confidential"})
"""Values of Sensitivity: (RFC 2156 5.3.4) that keep a mail's parts out of organisation mode."""


class Messages(Protocol):
    """The message store (paper 3.2)."""

    async def store(self, plaintext: Octets, *, confidential: bool = False) -> StoredMessage:
        """Store a message, or find that it is stored."""
        ...

    async def fetch(self, reference: Reference) -> bytes:
        """Return a message; raises NoSuchBlock, UnavailableError, AuthenticityError, PeerError."""
        ...

    def stream(self, reference: Reference) -> AsyncGenerator[bytes, None]:
        """Yield it piece by piece; raises as `fetch`, perhaps after the last piece."""
        ...


class LogRecords(Protocol):
    """Single records of the logs of this account's devices."""

    async def entry(self, cluster: bytes, sequence: int) -> Entry:
        """Return a record; raises as `Messages.fetch`."""
        ...


@dataclass(frozen=True, slots=True)
class PutMail:
    """Where a mail is now, and how safe it is."""

    content: Stored
    durability: Durability


class MailStore:
    """Puts mails into the message store and gets them back."""

    def __init__(
        self,
        messages: Messages,
        offload: Offload,
        records: LogRecords | None = None,
        spool: Spool = IN_MEMORY,
    ) -> None:
        """`records` has the mails that are still in the log, `spool` room for large ones."""
        self._messages = messages
        self._records = records
        self._offload = offload
        self._spool = spool
        self._spooling = asyncio.Semaphore(SPOOLED_AT_ONCE)
        self._recent = _RecentMails()
        self._recent_spooled = _RecentMails()

    async def put(self, octets: Octets, structure: Part) -> PutMail:
        """Store a mail; raises MessageTooLarge, DiskFull, UnavailableError."""
        if len(octets) > MAIL_SIZE_BYTES_MAX:
            raise MessageTooLarge(f"{len(octets)} bytes, at most {MAIL_SIZE_BYTES_MAX}")
        mail = await work_on(len(octets), lambda: _split(octets, structure), self._offload)
        is_labelled = _is_confidential(octets, structure)
        # Bodies and headers are small worlds of likely texts: only attachments may be shared.
        stores = [self._messages.store(encode(mail.skeleton), confidential=True)]
        stores += [
            self._messages.store(part.octets, confidential=is_labelled or not part.is_attachment)
            for part in mail.parts
        ]
        skeleton, *parts = await in_parallel(stores, at_once=PARTS_AT_ONCE)
        content = Stored(skeleton.reference, tuple(part.reference for part in parts))
        durability = skeleton.durability.combine(*(part.durability for part in parts))
        return PutMail(content, durability)

    async def get(self, content: Content) -> Octets:
        """Return the exact octets of a mail: a long one lies in the spool, whole and proved.

        Raises NoSuchBlock, UnavailableError; AuthenticityError or PeerError if its sender made it
        wrongly.
        """
        match content:
            case Inline():
                return content.octets
            case Stored():
                return await self._get_stored(content)
            case Logged():
                return await self._get_logged(content)
            case Noticed():
                raise AssertionError("the index resolves notices")
        assert_never(content)

    async def _get_logged(self, content: Logged) -> Octets:
        assert self._records is not None, "only snapshots name records"
        entry = await self._records.entry(content.cluster, content.sequence)
        record = decode_record(entry.payload)
        if entry.app != AppId.MAIL or not isinstance(record, Insert):
            raise MalformedPacket("the record brings no mail")
        inserted = resolved(record.content, content_of)
        return await self.get(inserted)

    async def beginning(self, content: Stored) -> bytes:
        """Return the mail's first octets, without its parts: as a rule, the whole header."""
        return (await self._skeleton(content)).literals[0]

    async def _get_stored(self, content: Stored) -> Octets:
        if known := self._recent.get(content) or self._recent_spooled.get(content):
            return known
        skeleton = await self._skeleton(content)
        check(skeleton)
        if [slot.size for slot in skeleton.slots] != [p.raw_length for p in content.parts]:
            raise MalformedPacket("the parts are not those of the skeleton")
        if skeleton.size > IN_MEMORY_BYTES_MAX:
            return await self._spooled(content, skeleton)
        fetches = [self._messages.fetch(part) for part in content.parts]
        parts = await in_parallel(fetches, at_once=PARTS_AT_ONCE)
        octets = await work_on(skeleton.size, lambda: join(skeleton, parts), self._offload)
        self._recent.keep(content, octets)
        return octets

    async def _spooled(self, content: Stored, skeleton: Skeleton) -> Octets:
        """Put a mail together in the spool, piece by piece."""
        async with self._spooling:
            if known := self._recent_spooled.get(content):  # whoever was before wanted the same
                return known
            writer = self._spool.begin()
            writer.write(skeleton.literals[0])
            rest = zip(skeleton.slots, content.parts, skeleton.literals[1:], strict=True)
            for slot, part, literal in rest:
                written = SlotWriter(slot)
                async with aclosing(self._messages.stream(part)) as pieces:
                    async for piece in pieces:
                        writer.write(written.feed(piece))
                        await writer.drain()
                writer.write(written.finish())
                writer.write(literal)
                await writer.drain()
            octets = await writer.finish()
        self._recent_spooled.keep(content, octets)
        return octets

    async def _skeleton(self, content: Stored) -> Skeleton:
        require_bounded(content)
        return SKELETONS.decode(await self._messages.fetch(content.skeleton))


class _RecentMails:
    """Mails read lately: clients fetch a large one piece by piece. The last one is always kept."""

    def __init__(self) -> None:
        # The whole reference counts: mails that differ in their parts may share a skeleton.
        self._mails: OrderedDict[Stored, Octets] = OrderedDict()
        self._bytes = 0

    def get(self, content: Stored) -> Octets | None:
        if content in self._mails:
            self._mails.move_to_end(content)
        return self._mails.get(content)

    def keep(self, content: Stored, octets: Octets) -> None:
        if content in self._mails:
            return
        self._mails[content] = octets
        self._bytes += len(octets)
        while self._bytes > RECENT_BYTES_MAX and len(self._mails) > 1:
            _, dropped = self._mails.popitem(last=False)
            self._bytes -= len(dropped)


def require_bounded(content: Stored) -> None:
    """Raise LimitExceeded for references to more than a mail may have, before any is fetched."""
    if content.skeleton.raw_length > SKELETON_BYTES_MAX:
        raise LimitExceeded("a skeleton longer than any mail needs")
    if sum(part.raw_length for part in content.parts) > MAIL_SIZE_BYTES_MAX:
        raise LimitExceeded(f"a mail of more than {MAIL_SIZE_BYTES_MAX} bytes")


def _split(octets: Octets, structure: Part) -> SplitMail:
    """Cut a mail into at most PARTS_MAX parts, so that their references fit into a notice."""
    threshold = PART_THRESHOLD_BYTES
    while True:
        mail = split(octets, structure, threshold_bytes=threshold)
        if len(mail.parts) <= PARTS_MAX:
            return mail
        threshold *= 4


def _is_confidential(octets: Octets, structure: Part) -> bool:
    header = structure.header.cut(octets, HEADER_BYTES_READ_MAX)
    sensitivity = read_fields(header).first("sensitivity")
    return (sensitivity or "").strip().lower() in CONFIDENTIAL
