"""A deputy inside a daemon: from its appointment to its dismissal it answers who wants renewal."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

from epost.crypto.sealing import HpkeSealing
from epost.daemon.authority.deputy import Deputy
from epost.daemon.authority.issuing_desk import IssuingDesk
from epost.daemon.authority.publishing import publish_log
from epost.daemon.authority.world import World
from epost.daemon.world import SystemEntropy
from epost.foundation.ports import Clock, Observer
from epost.node.assembly import Node

LOOK_SECONDS = 5.0
"""How soon an appointment takes effect, and what was certified is in the published log."""


class DeputyUpkeep:
    """`async with` it for as long as the node runs."""

    def __init__(self, directory: Path, node: Node, observer: Observer, clock: Clock) -> None:
        """Raises ConfigError."""
        self._node = node
        self._observer = observer
        self._deputy = Deputy(directory, node.issuers, World(clock, SystemEntropy(), HpkeSealing()))
        self._desk = IssuingDesk(node, self._deputy.renew, observer)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
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

    async def _keep_serving(self) -> None:
        while True:
            self._follow_appointment()
            await publish_log(self._deputy.log, self._node, self._observer)
            await asyncio.sleep(LOOK_SECONDS)

    def _follow_appointment(self) -> None:
        is_appointed = self._deputy.certificate is not None
        if is_appointed and not self._desk.is_open:
            self._desk.open()
        elif not is_appointed and self._desk.is_open:
            self._desk.close()
