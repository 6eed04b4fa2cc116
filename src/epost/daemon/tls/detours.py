"""Ways around a link that does not come about: through another node, and for others through us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.dialling import passed
from epost.daemon.tls.frames import Frame
from epost.daemon.tls.relay import Relay
from epost.daemon.tls.relay_frames import parse_step
from epost.daemon.tls.session import Session
from epost.daemon.tls.source_routes import SourceRoutes
from epost.foundation.calls import first_successes
from epost.foundation.errors import MalformedPacket, UnexpectedPacket, Unreachable
from epost.foundation.ids import NodeHandle, NodeId

SEARCH_SECONDS_MAX: Final = 60.0
"""Longer than all tries of one dial and of all relays can take."""


class Detours:
    """Tunnels that end at this node (`SourceRoutes`) and that pass through it (`Relay`)."""

    def __init__(
        self,
        routes: SourceRoutes,
        relay: Relay,
        config: TransportConfig,
    ) -> None:
        self.routes = routes
        self.relay = relay
        self._config = config

    async def find_way(
        self,
        node: NodeHandle,
        dial: Callable[[NodeHandle], Awaitable[None]],
        linked: Callable[[], Sequence[NodeId]],
    ) -> None:
        """Return when a session with a node is up: directly, or through one of those linked.

        A relay is looked for as soon as dialling failed or takes long. Raises Unreachable.
        """
        reasons: list[str] = []
        has_failed = asyncio.Event()

        async def directly() -> None:
            try:
                await dial(node)
            except Unreachable as error:
                reasons.append(str(error))
                has_failed.set()
                raise

        async def around() -> None:
            await passed(has_failed, self._config.relay_after_seconds)
            try:
                await self.routes.reach(node.id, linked())
            except Unreachable as error:
                reasons.append(str(error))
                raise

        if not await first_successes([directly(), around()], 1, timeout_seconds=SEARCH_SECONDS_MAX):
            raise Unreachable("; ".join(reasons))

    def on_frame(self, session: Session, kind: Frame, payload: memoryview) -> None:
        """Take a frame of a tunnel; raises MalformedPacket, LimitExceeded, UnexpectedPacket."""
        if session.way is not None:
            raise UnexpectedPacket("a tunnel through a tunnel")
        step, sender = parse_step(payload), session.peer.node.id
        if step.far == sender:
            raise MalformedPacket("a tunnel from a node to itself")
        if kind is Frame.RELAY:
            self.relay.on_step(sender, step)
        else:
            self.routes.on_step(sender, step)

    def on_down(self, node: NodeId) -> None:
        """The direct link with a node ended, or was replaced by another."""
        self.routes.on_down(node)
        self.relay.on_down(node)

    def on_session_down(self, session: Session, is_harmless: bool) -> None:
        """A session ended by itself: it was one of a tunnel, or tunnels used it."""
        node = session.peer.node.id
        if session.way is None:
            self.on_down(node)
        elif not is_harmless:
            self.routes.shun(node, session.way.relay)

    async def close(self) -> None:
        """End every tunnel."""
        self.relay.close()
        await self.routes.close()
