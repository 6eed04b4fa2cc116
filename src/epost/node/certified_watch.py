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

import msgspec

from epost.crypto.certificates import IssuerCert
from epost.foundation.durations import DAY_MS
from epost.foundation.errors import (
    AuthenticityError,
    NotFoundError,
    PeerError,
    UnavailableError,
)
from epost.foundation.ports import Observer
from epost.node.assembly import Node
from epost.node.certified_logs import newest_head, records_from
from epost.node.certified_notes import (
    ALARMS_KEPT_MAX,
    OWN_MAX,
    Alarm,
    CertifiedNotes,
    Seen,
    Watched,
    notes_of,
)
from epost.node.observed import CertifiedLogAlarm
from epost.past.log_format import (
    LOG_RECORD,
    Tip,
    follow,
    open_head,
)
from epost.rings.certified import (
    SECOND_KEY,
    OwnKey,
    OwnKeys,
    is_for,
    second_keys,
    statement,
)

NAME_WATCHED_MS = 400 * DAY_MS
"""For so long after a name was last one's own, nobody else is given it (`epost org rename`)."""
LOOK_SECONDS = 3600.0
FIRST_LOOK_SECONDS = 60.0

OnAlarm = Callable[[Alarm], Awaitable[None]]


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
        self.notes = CertifiedNotes(node.vault)
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
        return [alarm for key in sorted(set(keys)) for alarm in self.notes.seen(key).alarms]

    async def _look_at(self, issuer: IssuerCert) -> None:
        seen = self.notes.seen(issuer.certified_log_key)
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
        newest = Seen(1, head.content.sequence, head.content.tip, seen.alarms)
        entered = {record.sealed for record in map(LOG_RECORD.decode, records)}
        await self._keep(issuer, newest, _with_entered(mine, entered), found)

    def _judge(
        self, issuer: IssuerCert, seen: Seen, records: Sequence[bytes], mine: Sequence[Watched]
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
        self, issuer: IssuerCert, entries: Mapping[int, bytes], mine: Sequence[Watched]
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

    def _mine(self, issuer: IssuerCert, found: Sequence[Certified] = ()) -> Sequence[Watched]:
        """Return what is one's own in a log now, and what was not long ago.

        A name counts from when it was first seen to be one's own: it may have been somebody else's
        before; what is certified between two looks does not escape.
        """
        now = self._wall_ms()
        known = self.notes.watched(issuer.certified_log_key)
        mine = {(m.subject, m.key): m for m in known if now < m.until}
        for c in (*found, *self._own()):
            since, is_entered = c.sequence if c.issuer == issuer.serial else 1, False
            if (before := mine.get((c.subject, c.key))) is not None:
                since, is_entered = min(since, before.since), before.is_entered
            until = now + NAME_WATCHED_MS
            mine[c.subject, c.key] = Watched(
                c.subject, c.key, since, until, c.generation, is_entered
            )
        newest_first = sorted(mine.values(), key=lambda m: m.until, reverse=True)
        return newest_first[:OWN_MAX]

    def _first_own(self, issuer: IssuerCert) -> int:
        """Return where our own time begins in a log: a name may have been somebody else's before.

        In the log of an issuer by whom one has nothing, at its beginning.
        """
        own = (c.sequence for c in self._own() if c.issuer == issuer.serial)
        return min(own, default=1)

    async def _keep(
        self,
        issuer: IssuerCert,
        seen: Seen,
        mine: Sequence[Watched],
        found: Sequence[tuple[int, str]],
    ) -> None:
        known = {(alarm.sequence, alarm.text) for alarm in seen.alarms}
        fresh = [Alarm(n, text) for n, text in dict.fromkeys(found) if (n, text) not in known]
        kept = (*seen.alarms, *fresh)[:ALARMS_KEPT_MAX]
        note = msgspec.structs.replace(seen, alarms=kept)
        await self._node.driver.durable(notes_of(issuer.certified_log_key, note, mine))
        for alarm in fresh:
            self._observer.record(CertifiedLogAlarm(alarm.sequence, alarm.text))
            await self._on_alarm(alarm)


def _keys_by_subject(mine: Sequence[Watched]) -> Mapping[bytes, OwnKeys]:
    keys: dict[bytes, OwnKeys] = {}
    for m in mine:
        known = keys.get(m.subject, OwnKeys((), m.since))
        own = OwnKey(m.key, m.generation, m.is_entered)
        keys[m.subject] = OwnKeys((*known.keys, own), min(known.since, m.since))
    return keys


def _with_entered(mine: Sequence[Watched], entered: Collection[bytes]) -> Sequence[Watched]:
    """Return the keys with it noted which of them are entered now."""
    return [
        replace(m, is_entered=m.is_entered or statement(m.subject, m.key) in entered) for m in mine
    ]
