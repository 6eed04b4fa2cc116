"""Reaching nodes through another one where no direct link comes about: one hop, never two.

The relay is a neighbour of both: among the nodes linked with, those next to the wanted one on the
ring. What passes through it is TLS between the two ends (`relayed_link`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.frames import Frame
from epost.daemon.tls.observed import LinkRefused
from epost.daemon.tls.relay import Carry
from epost.daemon.tls.relay_frames import Step, TunnelStep, Way
from epost.daemon.tls.relayed_link import RelayedLink
from epost.daemon.tls.session import Session
from epost.foundation.errors import EpostError, Overloaded, Unreachable
from epost.foundation.ids import NodeId, number
from epost.foundation.ports import Entropy, Observer
from epost.pastry.routing import distance

SHUNNED_MAX: Final = 1000

Begin = Callable[[RelayedLink, NodeId | None], Session]


class SourceRoutes:
    """The tunnels that end at this node, at most `relayed_links_max`.

    A relay can bring a part of them only: it might invent those in whose name it opens them.
    """

    def __init__(
        self,
        contexts: tuple[ssl.SSLContext, ssl.SSLContext],
        config: TransportConfig,
        entropy: Entropy,
        observer: Observer,
        carry: Carry,
        begin: Begin,
    ) -> None:
        """`contexts` accept and dial; `begin(link, dialled)` starts the session of a link."""
        self._loop = asyncio.get_running_loop()
        self._accepting, self._dialling = contexts
        self._config = config
        self._entropy = entropy
        self._observer = observer
        self._carry = carry
        self._begin = begin
        self._links: dict[Way, RelayedLink] = {}
        self._welcomes: dict[asyncio.Task[None], None] = {}
        self._shunned: OrderedDict[tuple[NodeId, NodeId], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._links)

    async def reach(self, node: NodeId, linked: Sequence[NodeId]) -> None:
        """Return when a session with a node is up through one of those we are linked with.

        Tries few, one after the other. Raises Unreachable with the reasons.
        """
        reasons: list[str] = []
        for relay in self._candidates(node, linked):
            try:
                await self._open(node, relay)
            except (TimeoutError, EpostError) as error:
                self.shun(node, relay)
                reasons.append(f"through {relay[:4].hex()}: {error or 'no answer in time'}")
            else:
                return
        raise Unreachable("; ".join(reasons) or "nobody is linked who could relay")

    def on_step(self, relay: NodeId, step: TunnelStep) -> None:
        """Take what a relay brings from the far end of a tunnel."""
        way = Way(relay, step.far, step.tunnel)
        link = self._links.get(way)
        if step.step is Step.OPEN and link is None:
            self._accept(way)
        elif link is None:
            if step.step is not Step.END:
                self._refuse(way, "no such tunnel")
        elif step.step is Step.DATA:
            link.on_data(step.data)
        elif step.step is Step.CREDIT:
            link.on_credit(step.credit)
        elif step.step is Step.END:
            text = step.data.decode(errors="replace")
            link.on_end("".join(c if c.isprintable() else "?" for c in text))

    def on_down(self, relay: NodeId) -> None:
        """The link with a relay ended, and with it what came through."""
        for way, link in list(self._links.items()):
            if way.relay == relay:
                link.on_end("the link with the relay ended")

    def shun(self, node: NodeId, relay: NodeId) -> None:
        """Take another relay to a node for a while, if there is one."""
        self._shunned.pop((node, relay), None)
        self._shunned[node, relay] = self._loop.time() + self._config.relay_shun_seconds
        if len(self._shunned) > SHUNNED_MAX:
            self._shunned.popitem(last=False)

    async def close(self) -> None:
        """End every tunnel."""
        for link in list(self._links.values()):
            link.abort()
        for welcome in list(self._welcomes):
            welcome.cancel()
        await asyncio.gather(*self._welcomes, return_exceptions=True)

    def _candidates(self, node: NodeId, linked: Sequence[NodeId]) -> Sequence[NodeId]:
        """Return whom to ask: the nearest to the node on the ring, those that failed last."""
        now, target = self._loop.time(), number(node)

        def order(relay: NodeId) -> tuple[bool, int]:
            is_shunned = self._shunned.get((node, relay), 0.0) > now
            return is_shunned, distance(target, number(relay))

        return sorted((n for n in linked if n != node), key=order)[: self._config.relay_tries]

    async def _open(self, node: NodeId, relay: NodeId) -> None:
        if len(self._links) >= self._config.relayed_links_max:
            raise Overloaded("too many links through others")
        tunnel = int.from_bytes(self._entropy.token(8), "big")
        link = self._make(Way(relay, node, tunnel), self._dialling, opened_by_us=True)
        try:
            async with asyncio.timeout(self._config.relay_seconds):
                link.begin()
                await link.secured
                await self._begin(link, node).ready
        except BaseException:
            link.abort()
            raise

    def _accept(self, way: Way) -> None:
        of_relay = sum(other.relay == way.relay for other in self._links)
        if (
            len(self._links) >= self._config.relayed_links_max
            or of_relay >= self._config.relayed_links_per_relay_max
        ):
            self._refuse(way, "too many links through others")
            return
        link = self._make(way, self._accepting, opened_by_us=False)
        welcome = self._loop.create_task(self._welcome(link))
        self._welcomes[welcome] = None
        welcome.add_done_callback(self._welcomes.pop)

    async def _welcome(self, link: RelayedLink) -> None:
        try:
            async with asyncio.timeout(self._config.relay_seconds):
                await link.secured
                await self._begin(link, None).ready
        except (TimeoutError, EpostError) as error:
            link.abort()
            reason = error if isinstance(error, EpostError) else Unreachable("no HELLO in time")
            self._observer.record(LinkRefused(f"through {link.way.relay[:4].hex()}", reason))
        except asyncio.CancelledError:
            link.abort()
            raise

    def _make(self, way: Way, context: ssl.SSLContext, *, opened_by_us: bool) -> RelayedLink:
        link = RelayedLink(way, context, self._send, self._forget, opened_by_us=opened_by_us)
        self._links[way] = link
        return link

    def _send(self, relay: NodeId, step: TunnelStep) -> None:
        if not self._carry(relay, Frame.RELAY, bytes(step)) and step.step is not Step.END:
            link = self._links.get(Way(relay, step.far, step.tunnel))
            if link is not None:
                link.on_end("no link with the relay, or too much waits for it")

    def _refuse(self, way: Way, text: str) -> None:
        self._send(way.relay, TunnelStep(Step.END, way.far, way.tunnel, text.encode()))

    def _forget(self, link: RelayedLink) -> None:
        self._links.pop(link.way, None)
