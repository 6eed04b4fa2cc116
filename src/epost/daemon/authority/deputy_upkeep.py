"""A deputy inside a daemon: from its appointment to its dismissal it answers who wants renewal."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from epost.crypto.sealing import HpkeSealing
from epost.daemon.authority.deputy import Deputy
from epost.daemon.authority.publishing import publish_log
from epost.daemon.authority.world import World
from epost.daemon.enrolment.listener import EnrolmentRefused
from epost.daemon.world import SystemEntropy
from epost.foundation.errors import EpostError
from epost.foundation.ids import Id, NodeHandle
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node
from epost.rings.renewal import issuing_group

LOOK_SECONDS = 5.0
"""How soon an appointment takes effect, and what was certified is in the published log."""


class DeputyDesk:
    """Answers machines that ask the group of the issuing daemons."""

    def __init__(self, deputy: Deputy, group: Id, observer: Observer) -> None:
        self._deputy = deputy
        self._group = group
        self._observer = observer

    def on_anycast(self, group: Id, origin: NodeHandle, body: bytes, now: float) -> bytes | None:
        """Return the answer; None, so that another is asked, for what is not a deputy's."""
        if group != self._group:
            return None
        try:
            return self._deputy.renew(body)
        except EpostError as error:
            self._observer.record(EnrolmentRefused("the ring", str(error)))
            return None


class DeputyUpkeep:
    """`async with` it for as long as the node runs."""

    def __init__(self, directory: Path, node: Node, observer: Observer, clock: Clock) -> None:
        """Raises ConfigError."""
        self._node = node
        self._observer = observer
        self._deputy = Deputy(directory, node.issuers, World(clock, SystemEntropy(), HpkeSealing()))
        self._group = issuing_group(node.issuers.trust.ring)
        self._is_serving = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._node.scribe.register_taker(DeputyDesk(self._deputy, self._group, self._observer))
        self._task = asyncio.get_running_loop().create_task(self._keep_serving())
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
        self._deputy.close()

    @property
    def is_serving(self) -> bool:
        """Is this machine appointed, and asked by others?"""
        return self._is_serving

    async def _keep_serving(self) -> None:
        while True:
            self._follow_appointment()
            await publish_log(self._deputy.log, self._node, self._observer)
            await asyncio.sleep(LOOK_SECONDS)

    def _follow_appointment(self) -> None:
        is_appointed = self._deputy.certificate is not None
        if is_appointed == self._is_serving:
            return
        if is_appointed:
            self._node.scribe.join(self._group)
        else:
            self._node.scribe.leave(self._group)
        self._is_serving = is_appointed
        self._node.driver.wake()
