"""Watches the certified log of the authority for entries about oneself (crypto 3.6).

Once an hour it reads what was added, checks that it continues what was read before and agrees with
the issuer block, and looks for a certificate of the own name, or node id, with a key that is not
the own. What it found is kept in the vault's notes, so it is told once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec

from epost.crypto.certificates import V1, IssuerCert
from epost.crypto.versioned import key_block_handle
from epost.foundation.codec import Format, encode
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    StaleVersion,
    UnavailableError,
)
from epost.foundation.ids import U63, Bytes32
from epost.foundation.ports import Observer, PutNote
from epost.node.assembly import Node
from epost.node.observed import CertifiedLogAlarm
from epost.past.client import BlockStore
from epost.past.log_format import (
    LOG_RECORD,
    NO_RECORD,
    Head,
    Tip,
    follow,
    open_head,
)
from epost.post.log_walk import clusters_back
from epost.rings.certified import is_for, second_keys

NOTES = "node.certified"
ALARMS_KEPT_MAX = 100
CLUSTERS_READ_MAX = 2_000
"""At one look: 100,000 entries. What is older was looked at before, or is from before our time."""
LOOK_SECONDS = 3600.0
FIRST_LOOK_SECONDS = 60.0
_NO_TIP = Tip(0, NO_RECORD)

OnAlarm = Callable[["Alarm"], Awaitable[None]]


class Alarm(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Something in the log that must not be there; `sequence` says where."""

    sequence: U63
    text: str


class _Seen(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How far one issuer's log was read, and what was found in it."""

    format: V1
    sequence: U63
    tip: Bytes32
    alarms: Annotated[tuple[Alarm, ...], msgspec.Meta(max_length=ALARMS_KEPT_MAX)]


_SEEN: Format[_Seen] = Format(_Seen, size_max=1024 * 1024)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate of one's own: for whom, which key, and where whose log has it."""

    subject: bytes
    key: bytes
    issuer: int
    sequence: int


async def newest_head(blocks: BlockStore, log_key: bytes) -> bytes | None:
    """Return the head of a certified log, None if there is none; raises UnavailableError."""
    try:
        reading = await blocks.lookup_latest(key_block_handle(log_key))
    except StaleVersion:
        return None  # replicas that went back; the others will say the newest
    return reading.block


async def records_from(blocks: BlockStore, head: Head, start: int) -> list[bytes]:
    """Return the records from the cluster with `start` on; raises PeerError, NotFoundError."""
    found: list[list[bytes]] = []
    async for cluster in clusters_back(blocks, head.content.cluster, CLUSTERS_READ_MAX):
        found.append(cluster.records)
        if cluster.head.first_sequence <= start:
            break
    return [record for records in reversed(found) for record in records]


class CertifiedWatch:
    """The story of one node, for as long as that runs."""

    def __init__(
        self,
        node: Node,
        own: Callable[[], Sequence[Certified]],
        observer: Observer,
        *,
        on_alarm: OnAlarm,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`own` are the certificates of this machine and its user; `on_alarm` tells the user."""
        self._node = node
        self._own = own
        self._observer = observer
        self._on_alarm = on_alarm
        self._look_seconds = look_seconds

    async def keep_watching(self) -> None:
        """Look now and then; an unreachable ring is no news."""
        await asyncio.sleep(min(FIRST_LOOK_SECONDS, self._look_seconds))
        while True:
            await self.look()
            await asyncio.sleep(self._look_seconds)

    async def look(self) -> None:
        """Read what the issuers' logs have more, and raise an alarm if something is wrong."""
        for issuer in self._node.issuers.trust.issuers:
            try:
                await self._look_at(issuer)
            except (UnavailableError, NotFoundError):
                continue  # next time

    def alarms(self) -> Sequence[Alarm]:
        """Return everything that was ever found."""
        keys = [i.certified_log_key for i in self._node.issuers.trust.issuers]
        return [alarm for key in sorted(set(keys)) for alarm in self._seen(key).alarms]

    async def _look_at(self, issuer: IssuerCert) -> None:
        seen = self._seen(issuer.certified_log_key)
        start = seen.sequence + 1 if seen.sequence else self._first_own(issuer)
        try:
            data = await newest_head(self._node.blocks, issuer.certified_log_key)
            head = open_head(data) if data is not None else None
            if head is None or (head.content.sequence, head.content.tip) == (
                seen.sequence,
                seen.tip,
            ):
                return
            records = await records_from(self._node.blocks, head, start)
            found = self._judge(issuer, seen, records)
        except (AuthenticityError, PeerError) as error:
            place = seen.sequence
            await self._keep(issuer, seen, [(place, f"the log was rewritten: {error}")])
            return
        newest = _Seen(1, head.content.sequence, head.content.tip, seen.alarms)
        await self._keep(issuer, newest, found)

    def _judge(
        self, issuer: IssuerCert, seen: _Seen, records: Sequence[bytes]
    ) -> list[tuple[int, str]]:
        """Return what is wrong; raises MalformedPacket if the records continue nothing known."""
        opened = [LOG_RECORD.decode(record) for record in records]
        fresh = [
            (data, record)
            for data, record in zip(records, opened, strict=True)
            if record.sequence > seen.sequence
        ]
        if not fresh:
            return [(seen.sequence, "the log is shorter than it was, or was rewritten")]
        first = fresh[0][1]
        before = Tip(first.sequence - 1, first.previous)
        if seen.sequence:
            before = Tip(seen.sequence, seen.tip)
        tips = follow(issuer.certified_log_key, before, [data for data, _ in fresh])
        found = self._against_the_issuer_block(issuer, tips)
        entries = {record.sequence: record.sealed for _, record in fresh}
        return [*found, *self._about_us(issuer, entries)]

    def _against_the_issuer_block(
        self, issuer: IssuerCert, tips: Sequence[Tip]
    ) -> list[tuple[int, str]]:
        newest = self._node.issuers.content_of(issuer.issuer_key)
        if newest is None:
            return []  # a deputy publishes none
        said = newest.certified_log
        if any(t.sequence == said.sequence and t.hash != said.tip for t in tips):
            return [(said.sequence, "the authority shows different logs to different machines")]
        return []

    def _about_us(self, issuer: IssuerCert, entries: Mapping[int, bytes]) -> list[tuple[int, str]]:
        own = self._own()
        found = [
            (c.sequence, "your certificate is not the one that the authority's log has there")
            for c in own
            if c.issuer == issuer.serial
            and c.sequence in entries
            and not is_for(entries[c.sequence], c.subject, c.key)
        ]
        ours = {c.subject: c.key for c in own}
        from_us_on = [(n, e) for n, e in sorted(entries.items()) if n >= self._first_own(issuer)]
        return [*found, *second_keys(from_us_on, ours)]

    def _first_own(self, issuer: IssuerCert) -> int:
        """Return where our own time begins in a log: a name may have been somebody else's before.

        In the log of an issuer by whom one has nothing, at its beginning.
        """
        own = (c.sequence for c in self._own() if c.issuer == issuer.serial)
        return min(own, default=1)

    def _seen(self, log_key: bytes) -> _Seen:
        data = dict(self._node.vault.notes(NOTES)).get(log_key)
        return _SEEN.decode(data) if data else _Seen(1, 0, NO_RECORD, ())

    async def _keep(
        self, issuer: IssuerCert, seen: _Seen, found: Sequence[tuple[int, str]]
    ) -> None:
        known = {(alarm.sequence, alarm.text) for alarm in seen.alarms}
        fresh = [Alarm(n, text) for n, text in dict.fromkeys(found) if (n, text) not in known]
        kept = (*seen.alarms, *fresh)[:ALARMS_KEPT_MAX]
        note = msgspec.structs.replace(seen, alarms=kept)
        await self._node.driver.durable([PutNote(NOTES, issuer.certified_log_key, encode(note))])
        for alarm in fresh:
            self._observer.record(CertifiedLogAlarm(alarm.sequence, alarm.text))
            await self._on_alarm(alarm)
