"""Mails in the message store: cut into skeleton and parts, stored, and put together again.

Each MIME part is a message of its own (paper 4.2, R19): a part that this account has stored before
is not stored again, however it came here. What comes back is the mail to the octet.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, assert_never

from epost.apps.mail.contents import content_of, resolved
from epost.apps.mail.mailbox import MAIL_SIZE_BYTES_MAX
from epost.apps.mail.mime.headers import HEADER_BYTES_READ_MAX, read_fields
from epost.apps.mail.mime.skeleton import (
    PART_THRESHOLD_BYTES,
    SKELETON_BYTES_MAX,
    SKELETONS,
    Skeleton,
    SplitMail,
    join,
    split,
)
from epost.apps.mail.mime.structure import Part
from epost.apps.mail.notice import PARTS_MAX
from epost.apps.mail.ports import Offload, work_on
from epost.apps.mail.records import (
    Content,
    Inline,
    Insert,
    Logged,
    Noticed,
    Stored,
    decode_record,
)
from epost.foundation.codec import encode
from epost.foundation.errors import LimitExceeded, MalformedPacket, MessageTooLarge
from epost.past.durability import Durability
from epost.post.app_ids import AppId
from epost.post.log_records import Entry
from epost.post.message_store import Stored as StoredMessage
from epost.post.parallel import in_parallel
from epost.post.references import Reference

PARTS_AT_ONCE = 8
RECENT_BYTES_MAX = 64 * 1024 * 1024
CONFIDENTIAL = frozenset({"personal", "private", "company-confidential"})
"""Values of Sensitivity: (RFC 2156 5.3.4) that keep a mail's parts out of organisation mode."""


class Messages(Protocol):
    """The message store (paper 3.2)."""

    async def store(self, plaintext: bytes, *, confidential: bool = False) -> StoredMessage:
        """Store a message, or find that it is stored."""
        ...

    async def fetch(self, reference: Reference) -> bytes:
        """Return a message; raises NoSuchBlock, UnavailableError, AuthenticityError, PeerError."""
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
        self, messages: Messages, offload: Offload, records: LogRecords | None = None
    ) -> None:
        """`records` has the mails that are still in the log."""
        self._messages = messages
        self._records = records
        self._offload = offload
        self._recent: OrderedDict[Stored, bytes] = OrderedDict()
        self._recent_bytes = 0

    async def put(self, octets: bytes, structure: Part) -> PutMail:
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

    async def get(self, content: Content) -> bytes:
        """Return the exact octets of a mail.

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

    async def _get_logged(self, content: Logged) -> bytes:
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

    async def _get_stored(self, content: Stored) -> bytes:
        # The whole reference counts: mails that differ in their parts may share a skeleton.
        if content in self._recent:
            self._recent.move_to_end(content)
            return self._recent[content]
        skeleton = await self._skeleton(content)
        if [slot.size for slot in skeleton.slots] != [p.raw_length for p in content.parts]:
            raise MalformedPacket("the parts are not those of the skeleton")
        fetches = [self._messages.fetch(part) for part in content.parts]
        parts = await in_parallel(fetches, at_once=PARTS_AT_ONCE)
        octets = await work_on(skeleton.size, lambda: join(skeleton, parts), self._offload)
        self._remember(content, octets)
        return octets

    async def _skeleton(self, content: Stored) -> Skeleton:
        require_bounded(content)
        return SKELETONS.decode(await self._messages.fetch(content.skeleton))

    def _remember(self, content: Stored, octets: bytes) -> None:
        """Keep mails read lately: clients fetch a large one piece by piece."""
        if content in self._recent:
            return
        self._recent[content] = octets
        self._recent_bytes += len(octets)
        while self._recent_bytes > RECENT_BYTES_MAX:
            _, dropped = self._recent.popitem(last=False)
            self._recent_bytes -= len(dropped)


def require_bounded(content: Stored) -> None:
    """Raise LimitExceeded for references to more than a mail may have, before any is fetched."""
    if content.skeleton.raw_length > SKELETON_BYTES_MAX:
        raise LimitExceeded("a skeleton longer than any mail needs")
    if sum(part.raw_length for part in content.parts) > MAIL_SIZE_BYTES_MAX:
        raise LimitExceeded(f"a mail of more than {MAIL_SIZE_BYTES_MAX} bytes")


def _split(octets: bytes, structure: Part) -> SplitMail:
    """Cut a mail into at most PARTS_MAX parts, so that their references fit into a notice."""
    threshold = PART_THRESHOLD_BYTES
    while True:
        mail = split(octets, structure, threshold_bytes=threshold)
        if len(mail.parts) <= PARTS_MAX:
            return mail
        threshold *= 4


def _is_confidential(octets: bytes, structure: Part) -> bool:
    header = structure.header.cut(octets)[:HEADER_BYTES_READ_MAX]
    sensitivity = read_fields(header).first("sensitivity")
    return (sensitivity or "").strip().lower() in CONFIDENTIAL
