"""The authority inside a daemon: enrols, renews, and publishes its word, while the daemon runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from epost.crypto.sealing import HpkeSealing
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.deputy_watch import DeputyWatch
from epost.daemon.authority.issuing_desk import IssuingDesk
from epost.daemon.authority.keys import ROOT_FILE
from epost.daemon.authority.publishing import LogNotPublished, publish_log
from epost.daemon.authority.service import EnrolmentService
from epost.daemon.authority.world import World
from epost.daemon.config import AuthoritySection, parse_address
from epost.daemon.world import SystemEntropy
from epost.foundation.durations import DAY_MS, DAY_SECONDS
from epost.foundation.errors import (
    ConfigError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from epost.foundation.ids import BlockKind, NodeHandle
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.node.certified_logs import newest_head, records_from
from epost.past.client import Conflict
from epost.past.log_format import LOG_RECORD, open_head
from epost.rings.rekeying import is_rekey_request
from epost.rings.renewal import WARNED_BEFORE_MS
from epost.rings.secret_request import is_secret_request

REFRESH_SECONDS = DAY_SECONDS
"""Members want a fresh issuer block weekly; a day leaves six to notice that it does not come."""
LOOK_SECONDS = 5.0
"""How soon what the command line changed (an enrolment, a revocation) reaches the ring."""
BROUGHT_MAX = 10_000
"""Certificates remembered to be in the ring already; others are inserted again, for nothing."""
NEIGHBOURS_SECONDS_MAX = 120
"""How long a restored authority waits for somebody who knows more; it may be alone."""
NEWS_AWAITED_SECONDS = 5.0
SIGHTING_SECONDS = 3600.0
"""How often it is noted who is in the ring."""


class AuthorityUpkeep:
    """`async with` it for as long as the node runs."""

    def __init__(
        self, section: AuthoritySection, node: Node, observer: Observer, clock: Clock
    ) -> None:
        world = World(clock, SystemEntropy(), HpkeSealing())
        self._node = node
        self._observer = observer
        self._clock = clock
        self._lacks_root_key = False
        self._brought: dict[bytes, None] = {}
        self._authority = Authority.open(Path(section.directory), world)
        self._deputies = DeputyWatch(self._authority, node)
        self._service = EnrolmentService(
            self._authority,
            parse_address(section.listen),
            world,
            observer,
            contacts=self._contacts,
        )
        self._desk = IssuingDesk(node, self._answer, observer)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not self._authority.is_restored:
            await self._open()
        self._task = asyncio.get_running_loop().create_task(self._keep_publishing())
        return self

    async def _open(self) -> None:
        """Serve new members, and those who want to be renewed."""
        await self._service.__aenter__()
        self._desk.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._service.__aexit__(kind, error, traceback)
        self._authority.close()

    def _answer(self, request: bytes) -> bytes:
        if is_secret_request(request):
            return self._authority.secrets.answer(request)
        if is_rekey_request(request):
            return self._authority.keys.answer(request)
        return self._authority.renew(request)

    def _contacts(self) -> Sequence[NodeHandle]:
        return [self._node.me, *self._node.overlay.neighbours()]

    def advice(self) -> list[str]:
        """Say what only whoever holds the root key can mend, weeks before it hurts."""
        days = (self._authority.issuer_ends_ms - self._clock.wall_ms()) // DAY_MS
        if not self._lacks_root_key or days > WARNED_BEFORE_MS // DAY_MS:
            return []
        return [
            f"The authority cannot issue certificates any more in {max(0, days)} days: put its "
            f"{ROOT_FILE} back into its folder for an hour, while this daemon runs."
        ]

    async def _keep_publishing(self) -> None:
        while self._authority.is_restored:
            await self._catch_up()
        loop = asyncio.get_running_loop()
        refresh_at = sight_at = loop.time()
        while True:
            if loop.time() >= refresh_at:
                self._prolong_issuer()
                self._authority.refresh_policy()
                refresh_at = loop.time() + REFRESH_SECONDS
            if loop.time() >= sight_at:
                self._authority.note_seen(self._in_the_ring())
                self._authority.renew_absent_accounts()
                self._authority.names.end_due()
                self._authority.secrets.rotate_if_due()
                self._deputies.look_anew()
                sight_at = loop.time() + SIGHTING_SECONDS
            await self._deputies.look()
            await self._bring_accounts()  # first: who follows on a name, then that another is gone
            log = self._authority.log
            await publish_log(log, self._node, self._observer, waits=self._lacks_keys)
            if self._authority.look_again():
                self._service.greet_anew()
            for block in self._authority.root_blocks:
                self._node.issuers.publish(block)
            self._node.issuers.publish(self._authority.issuer_block)
            self._node.driver.wake()
            await asyncio.sleep(LOOK_SECONDS)

    async def _catch_up(self) -> None:
        """After a restore, learn from the ring what was done since the backup; then serve."""
        for _ in range(NEIGHBOURS_SECONDS_MAX):
            if self._node.overlay.is_ready and self._node.overlay.neighbours():
                break
            await asyncio.sleep(1.0)
        await asyncio.sleep(NEWS_AWAITED_SECONDS)
        issuer = self._authority.trust.issuers[0]
        try:
            head = await self._head_of_the_log(issuer.certified_log_key)
            records: list[bytes] = []
            if head is not None:
                reached = self._authority.log.reached
                found = await records_from(self._node.blocks, open_head(head), reached + 1)
                records = [r for r in found if LOG_RECORD.decode(r).sequence > reached]
            if (root_block := self._node.issuers.root_block) is not None:
                self._authority.deputies.catch_up(root_block)
            block = self._node.issuers.block_of(issuer.issuer_key)
            self._authority.catch_up(block, head, records)
        except (UnavailableError, NotFoundError) as error:
            self._observer.record(LogNotPublished(self._authority.log.reached, str(error)))
            return
        await self._open()

    async def _head_of_the_log(self, log_key: bytes) -> bytes | None:
        """Return the log's head in the ring, which goes as far as the issuer block says."""
        newest = self._node.issuers.newest()
        wanted = newest.certified_log.sequence if newest else 0
        head: bytes | None = None
        for _ in range(NEIGHBOURS_SECONDS_MAX):
            head = await newest_head(self._node.blocks, log_key)
            if head is not None and open_head(head).content.sequence >= wanted:
                break
            await asyncio.sleep(1.0)
        return head

    def _prolong_issuer(self) -> None:
        try:
            self._authority.prolong_issuer()
            self._lacks_root_key = False
        except ConfigError:  # it is kept elsewhere: `advice` asks for it in time
            self._lacks_root_key = True

    def _in_the_ring(self) -> list[bytes]:
        return [node.node_id for node in (self._node.me, *self._node.overlay.neighbours())]

    def _lacks_keys(self) -> bool:
        """Must a certificate of other keys still be brought before the log says that there is one?

        Else the member's machines could not see that it is by her own hand.
        """
        return any(c not in self._brought for c in self._authority.fresh_keys())

    async def _bring_accounts(self) -> None:
        """Bring into the ring what was certified here and no machine of the member may publish."""
        for certificate in self._authority.fresh_accounts():
            if certificate in self._brought:
                continue
            try:
                await self._node.blocks.insert(BlockKind.CERTIFICATE, certificate, mirror=False)
            except Conflict as conflict:  # with a deputy's, of the same keys
                self._authority.adopt_account(conflict.block)
            except (RefusedError, UnavailableError):
                continue
            self._brought[certificate] = None
        while len(self._brought) > BROUGHT_MAX:
            del self._brought[next(iter(self._brought))]
