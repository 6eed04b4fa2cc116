"""Watches the certified log of the authority for entries about oneself (crypto 3.6).

Once an hour it reads what was added, checks that it continues what was read before and agrees with
the issuer block, and looks for a certificate of the own name, or node id, with a key that is not
the own. What it found is kept in the vault's notes, so it is told once.

Names that the account had are watched like the present one, and for as long as nobody else may have
them: whoever is given a former name too early could be given the mail that is sent to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec

from epost.crypto.certificates import DAY_MS, V1, IssuerCert
from epost.crypto.names import NAME_LENGTH_MAX
from epost.crypto.versioned import key_block_handle
from epost.foundation.codec import Format, encode
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    StaleVersion,
    UnavailableError,
)
from epost.foundation.ids import U32, U63, Bytes32
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
from epost.post.logs.walk import clusters_back
from epost.rings.certified import (
    SECOND_KEY,
    OwnKey,
    OwnKeys,
    is_for,
    second_keys,
    statement,
)

NOTES = "node.certified"
OWN_NOTES = "node.certified.own"
KEYS_NOTES = "node.certified.keys"
OWN_MAX = 64
"""Names, node ids and keys of one's own that are remembered for one log."""
NAME_WATCHED_MS = 400 * DAY_MS
"""For so long after a name was last one's own, nobody else is given it (`epost org rename`)."""
ALARMS_KEPT_MAX = 100
CLUSTERS_READ_MAX = 2_000
"""At one look: 100,000 entries. What is older was looked at before, or is from before our time."""
LOOK_SECONDS = 3600.0
FIRST_LOOK_SECONDS = 60.0

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


class _Mine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key of one's own, under which name, from which entry of the log on, and until when (ms)
    it is watched."""

    subject: Annotated[bytes, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    key: Bytes32
    since: U63
    until: U63


class _Own(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What was one's own when the log was last looked at."""

    format: V1
    mine: Annotated[tuple[_Mine, ...], msgspec.Meta(max_length=OWN_MAX)]


class _Key(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Of a key of one's own: which in a row it is, and whether the log has it."""

    subject: Annotated[bytes, msgspec.Meta(max_length=NAME_LENGTH_MAX)]
    key: Bytes32
    generation: U32
    is_entered: bool


class _Keys(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is known of those of `_Own` beyond the first version."""

    format: V1
    keys: Annotated[tuple[_Key, ...], msgspec.Meta(max_length=OWN_MAX)]


_SEEN: Format[_Seen] = Format(_Seen, size_max=1024 * 1024)
_OWN: Format[_Own] = Format(_Own, size_max=64 * 1024)
_KEYS: Format[_Keys] = Format(_Keys, size_max=64 * 1024)


@dataclass(frozen=True, slots=True)
class Certified:
    """A certificate of one's own: for whom, which key, and where whose log has it.

    That of a former name is not here (`is_former`): its place is not before `sequence`.
    """

    subject: bytes
    key: bytes
    issuer: int
    sequence: int
    is_former: bool = False
    generation: int = 0


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


@dataclass(frozen=True, slots=True)
class _Watched:
    """A key of one's own, as the two notes have it."""

    subject: bytes
    key: bytes
    since: int
    until: int
    generation: int
    is_entered: bool


async def _none() -> Sequence[Certified]:
    return ()


class CertifiedWatch:
    """The story of one node, for as long as that runs."""

    def __init__(
        self,
        node: Node,
        own: Callable[[], Sequence[Certified]],
        observer: Observer,
        *,
        keys_in_ring: Callable[[], Awaitable[Sequence[Certified]]] = _none,
        on_alarm: OnAlarm,
        wall_ms: Callable[[], int],
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`own` are the certificates of this machine and its user; `on_alarm` tells the user.

        `keys_in_ring` are all keys of the user's account, if hers is proven to be one of them:
        asked when one is certified that this machine does not know.
        """
        self._keys_in_ring = keys_in_ring
        self._wall_ms = wall_ms
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
            mine = self._mine(issuer)
            found = self._judge(issuer, seen, records, mine)
            if any(text == SECOND_KEY for _, text in found):
                # By her own hand, on another machine of hers?
                mine = self._mine(issuer, await self._keys_in_ring())
                found = self._judge(issuer, seen, records, mine)
        except (AuthenticityError, PeerError) as error:
            rewritten = (seen.sequence, f"the log was rewritten: {error}")
            await self._keep(issuer, seen, self._mine(issuer), [rewritten])
            return
        newest = _Seen(1, head.content.sequence, head.content.tip, seen.alarms)
        entered = {record.sealed for record in map(LOG_RECORD.decode, records)}
        await self._keep(issuer, newest, _with_entered(mine, entered), found)

    def _judge(
        self, issuer: IssuerCert, seen: _Seen, records: Sequence[bytes], mine: Sequence[_Watched]
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
        return [*found, *self._about_us(issuer, entries, mine)]

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

    def _about_us(
        self, issuer: IssuerCert, entries: Mapping[int, bytes], mine: Sequence[_Watched]
    ) -> list[tuple[int, str]]:
        found = [
            (c.sequence, "your certificate is not the one that the authority's log has there")
            for c in self._own()
            if c.issuer == issuer.serial
            and not c.is_former
            and c.sequence in entries
            and not is_for(entries[c.sequence], c.subject, c.key)
        ]
        first = min((m.since for m in mine), default=1)
        from_us_on = [(n, e) for n, e in sorted(entries.items()) if n >= first]
        return [*found, *second_keys(from_us_on, _keys_by_subject(mine))]

    def _mine(self, issuer: IssuerCert, found: Sequence[Certified] = ()) -> Sequence[_Watched]:
        """Return what is one's own in a log now, and what was not long ago.

        A name counts from when it was first seen to be one's own: it may have been somebody else's
        before; what is certified between two looks does not escape.
        """
        now = self._wall_ms()
        known = self._known(issuer.certified_log_key)
        mine = {(m.subject, m.key): m for m in known if now < m.until}
        for c in (*found, *self._own()):
            since, is_entered = c.sequence if c.issuer == issuer.serial else 1, False
            if (before := mine.get((c.subject, c.key))) is not None:
                since, is_entered = min(since, before.since), before.is_entered
            until = now + NAME_WATCHED_MS
            mine[c.subject, c.key] = _Watched(
                c.subject, c.key, since, until, c.generation, is_entered
            )
        newest_first = sorted(mine.values(), key=lambda m: m.until, reverse=True)
        return newest_first[:OWN_MAX]

    def _known(self, log_key: bytes) -> Sequence[_Watched]:
        """Return what was one's own when a log was last looked at."""
        data = dict(self._node.vault.notes(OWN_NOTES)).get(log_key)
        known = _OWN.decode(data).mine if data else ()
        data = dict(self._node.vault.notes(KEYS_NOTES)).get(log_key)
        keys = {(k.subject, k.key): k for k in (_KEYS.decode(data).keys if data else ())}
        return [_watched(m, keys.get((m.subject, m.key))) for m in known]

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
        self,
        issuer: IssuerCert,
        seen: _Seen,
        mine: Sequence[_Watched],
        found: Sequence[tuple[int, str]],
    ) -> None:
        known = {(alarm.sequence, alarm.text) for alarm in seen.alarms}
        fresh = [Alarm(n, text) for n, text in dict.fromkeys(found) if (n, text) not in known]
        kept = (*seen.alarms, *fresh)[:ALARMS_KEPT_MAX]
        note = msgspec.structs.replace(seen, alarms=kept)
        own = _Own(1, tuple(_Mine(m.subject, m.key, m.since, m.until) for m in mine))
        keys = _Keys(1, tuple(_Key(m.subject, m.key, m.generation, m.is_entered) for m in mine))
        tables = (NOTES, note), (OWN_NOTES, own), (KEYS_NOTES, keys)
        log_key = issuer.certified_log_key
        await self._node.driver.durable([PutNote(t, log_key, encode(v)) for t, v in tables])
        for alarm in fresh:
            self._observer.record(CertifiedLogAlarm(alarm.sequence, alarm.text))
            await self._on_alarm(alarm)


def _keys_by_subject(mine: Sequence[_Watched]) -> Mapping[bytes, OwnKeys]:
    keys: dict[bytes, OwnKeys] = {}
    for m in mine:
        known = keys.get(m.subject, OwnKeys((), m.since))
        own = OwnKey(m.key, m.generation, m.is_entered)
        keys[m.subject] = OwnKeys((*known.keys, own), min(known.since, m.since))
    return keys


def _with_entered(mine: Sequence[_Watched], entered: Collection[bytes]) -> Sequence[_Watched]:
    """Return the keys with it noted which of them are entered now."""
    return [
        replace(m, is_entered=m.is_entered or statement(m.subject, m.key) in entered) for m in mine
    ]


def _watched(mine: _Mine, key: _Key | None) -> _Watched:
    generation, is_entered = (key.generation, key.is_entered) if key else (0, False)
    return _Watched(mine.subject, mine.key, mine.since, mine.until, generation, is_entered)
