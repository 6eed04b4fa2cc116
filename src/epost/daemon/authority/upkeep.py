"""The authority inside a daemon: serves enrolment and renews the policy, while the daemon runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from epost.crypto.sealing import HpkeSealing
from epost.daemon.authority.authority import Authority
from epost.daemon.authority.service import EnrolmentService
from epost.daemon.authority.world import World
from epost.daemon.config import AuthoritySection, parse_address
from epost.daemon.world import SystemEntropy
from epost.foundation.ids import NodeHandle
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node

REFRESH_SECONDS = 24 * 3600.0
"""Members want a fresh issuer block weekly; a day leaves six to notice that it does not come."""
LOOK_SECONDS = 5.0
"""How soon what the command line changed (an enrolment, a revocation) reaches the ring."""


class AuthorityUpkeep:
    """`async with` it for as long as the node runs."""

    def __init__(
        self, section: AuthoritySection, node: Node, observer: Observer, clock: Clock
    ) -> None:
        world = World(clock, SystemEntropy(), HpkeSealing())
        self._node = node
        self._authority = Authority.open(Path(section.directory), world)
        self._service = EnrolmentService(
            self._authority,
            parse_address(section.listen),
            world,
            observer,
            contacts=self._contacts,
        )
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._service.__aenter__()
        self._task = asyncio.get_running_loop().create_task(self._keep_publishing())
        return self

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

    def _contacts(self) -> Sequence[NodeHandle]:
        return [self._node.me, *self._node.overlay.neighbours()]

    async def _keep_publishing(self) -> None:
        loop = asyncio.get_running_loop()
        refresh_at = loop.time()
        while True:
            if loop.time() >= refresh_at:
                self._authority.refresh_policy()
                refresh_at = loop.time() + REFRESH_SECONDS
            self._node.issuers.publish(self._authority.issuer_block)
            self._node.driver.wake()
            await asyncio.sleep(LOOK_SECONDS)
