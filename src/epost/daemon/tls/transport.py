"""The Transport port over TLS: which links there are, and what becomes of those that end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from epost.daemon.tls.accepting import Acceptor
from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.contexts import (
    NodeIdentity,
    accepting_context,
    dialling_context,
    renew_context,
)
from epost.daemon.tls.detours import Detours
from epost.daemon.tls.dialling import Backoff, Dialler
from epost.daemon.tls.frames import HARMLESS, CloseReason, Frame, frame
from epost.daemon.tls.hello import (
    Introduced,
    RingView,
    make_hello,
    open_hello,
    require_consistent,
)
from epost.daemon.tls.observed import DialFailed, LinkDown, LinkUp, QueueFull, SourceRouteUp
from epost.daemon.tls.outgoing import Outgoing, QueueBudget
from epost.daemon.tls.overload import Overload
from epost.daemon.tls.peer import Peer
from epost.daemon.tls.relay import Relay
from epost.daemon.tls.relayed_link import RelayedLink
from epost.daemon.tls.remembered import Remembered
from epost.daemon.tls.reports import Reports
from epost.daemon.tls.session import Ended, Session, supersedes
from epost.daemon.tls.source_routes import SourceRoutes
from epost.daemon.tls.tls_link import Links, TlsLink
from epost.foundation.errors import (
    AuthenticityError,
    NotPermitted,
    PeerError,
    Unreachable,
)
from epost.foundation.ids import NodeHandle, NodeId
from epost.foundation.ports import Clock, Entropy, Observer, TransportEvents
from epost.foundation.wire import MESSAGE_SIZE_MAX


class TlsTransport:
    """Carries messages between the authenticated nodes of one ring.

    Messages up to 16 KiB keep their order on a link and overtake larger ones. A link that ends is
    reported at once, whether or not anything waited; one that ends for want of use is not.
    """

    def __init__(
        self,
        identity: NodeIdentity,
        ring: RingView,
        *,
        listeners: Sequence[socket.socket],
        clock: Clock,
        entropy: Entropy,
        observer: Observer,
        config: TransportConfig | None = None,
        is_overloaded: Callable[[], bool] = lambda: False,
    ) -> None:
        """Made inside a running loop; owns the listeners (`listen`) from now on.

        While `is_overloaded()` no link is read from. Raises ConfigError if the parts of the
        identity do not belong together.
        """
        require_consistent(identity)
        self._loop = asyncio.get_running_loop()
        self._me = identity.node
        self._my_certificate = identity.certificate
        self._ring = ring
        self._clock = clock
        self._observer = observer
        self._config = config = config or TransportConfig()
        self._events: TransportEvents | None = None
        self._links = Links()
        self._contexts = accepting_context(identity), dialling_context(identity)
        accepting, dialling = self._contexts
        self._acceptor = Acceptor(
            listeners,
            accepting,
            self._links,
            config,
            observer=observer,
            begin=self._begin,
        )
        self._dialler = Dialler(dialling, self._links, entropy, config, self._begin)
        self._backoff = Backoff(config)
        self._budget = QueueBudget(config.queues_bytes_max)
        self._peers: dict[NodeId, Peer] = {}
        self._remembered = Remembered(config)
        routes = SourceRoutes(self._contexts, config, entropy, observer, self._carry, self._begin)
        self._detours = Detours(routes, Relay(config, observer, self._carry), config)
        self._reports = Reports(self._report_now)
        self._overload = Overload(is_overloaded, config.overload_pause_seconds)
        self._sweeper: asyncio.TimerHandle | None = None
        self._uses = 0
        self._is_closed = False

    # Transport.

    def start(self, events: TransportEvents) -> None:
        self._events = events
        self._acceptor.start()
        self._sweep()

    def send(self, to: NodeHandle, message: bytes) -> None:
        assert len(message) <= MESSAGE_SIZE_MAX, "a message larger than any node accepts"
        if to.node_id == self._me.node_id:
            self._loop.call_soon(self._deliver, self._me, message)
            return
        peer = self._peers.get(to.id) or self._new_peer(to)
        if peer is None:
            self._reports.add(to.id)
        elif not peer.outgoing.push(message):
            self._drop(peer)
        else:
            peer.is_dropping = False
            self._carry_on(peer, to)

    def certificate(self, node: NodeId) -> bytes | None:
        if node == self._me.node_id:
            return self._my_certificate
        return self._remembered.certificate(node)

    async def close(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self._acceptor.close()
        dials = [peer.dial for peer in self._peers.values() if peer.dial is not None]
        for dial in dials:
            dial.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        for peer in list(self._peers.values()):
            if peer.session is not None:
                peer.session.finish(CloseReason.SHUTDOWN)
        await self._detours.close()
        await self._links.all_closed(self._config.close_seconds)

    # Beyond the port.

    @property
    def linked(self) -> Sequence[NodeHandle]:
        """The nodes there is a link with now."""
        return [peer.node for peer in self._peers.values() if peer.session is not None]

    def relay_to(self, node: NodeId) -> NodeId | None:
        """Return through whom a node is reached; None if the link is direct, or there is none."""
        peer = self._peers.get(node)
        session = None if peer is None else peer.session
        return None if session is None or session.way is None else session.way.relay

    def renew(self, identity: NodeIdentity) -> None:
        """Show these renewed certificates of the same node on links that come up from now on."""
        require_consistent(identity)
        for context in self._contexts:
            renew_context(context, identity)
        self._my_certificate = identity.certificate

    def refuse(self, node: NodeId, text: str) -> None:
        """End the link with a node that broke the protocol, and accept none for a while."""
        self._remembered.refuse(node, self._loop.time())
        peer = self._peers.get(node)
        if peer is not None and peer.session is not None:
            peer.session.fail(CloseReason.REFUSED, text)

    def recheck(self) -> None:
        """Verify the certificates of all open links again, after news of a revocation."""
        for peer in list(self._peers.values()):
            if peer.session is not None:
                self._recheck(peer.session)

    # SessionOwner.

    def introduce(self, session: Session, hello: bytes) -> Introduced:
        """Judge a peer's HELLO."""
        introduced = open_hello(
            hello, leaf=session.leaf, me=self._me, ring=self._ring, dialled=session.wanted
        )
        if self._is_refused(introduced.node.id):
            raise NotPermitted("refused for a while, for breaking the protocol")
        return introduced

    def on_up(self, session: Session) -> None:
        """Take a session into use, or keep a better one."""
        introduced = session.peer
        node = introduced.node
        self._remembered.keep_certificate(node.id, introduced.certificate)
        self._ring.on_news(node, introduced.news, introduced.clock_ms)
        peer = self._peers.get(node.id)
        if peer is None or peer.session is None:
            self._make_room()
            peer = self._peers.setdefault(node.id, Peer(node, self._queue()))
        elif self._supersedes(session, peer.session):
            self._retire(peer, peer.session)
            self._detours.on_down(node.id)
        else:
            self._retire(peer, session)
            return
        peer.node = node
        peer.session = session
        self._note_use(session)
        self._backoff.succeeded(node.id)
        self._observer.record(LinkUp(node, session.opened_by_us))
        if session.way is not None:
            self._observer.record(SourceRouteUp(node, session.way.relay))
        session.carry(peer.outgoing)

    def on_message(self, session: Session, message: bytes) -> None:
        """Give a peer's message to the driver."""
        self._note_use(session)
        self._deliver(session.peer.node, message)

    def on_relay(self, session: Session, kind: Frame, payload: memoryview) -> None:
        """A step of a tunnel, to be passed on or for this node."""
        self._note_use(session)
        self._detours.on_frame(session, kind, payload)

    def must_hold(self, session: Session) -> bool:
        """Read no more from a link while the driver has too much to do."""
        return self._overload.must_hold(session)

    def on_down(self, session: Session, ended: Ended) -> None:
        """Give up what waited, unless the peer only saved a link."""
        peer = self._peers.get(session.peer.node.id)
        if peer is None or peer.session is not session or self._is_closed:
            return
        peer.session = None
        self._observer.record(LinkDown(peer.node, str(ended.error)))
        self._detours.on_session_down(session, ended.reason in HARMLESS)
        if ended.reason is CloseReason.BROKE_PROTOCOL and not ended.by_peer:
            self.refuse(peer.node.id, str(ended.error))
        if peer.dial is not None:
            return  # which decides
        if ended.reason not in HARMLESS:
            self._give_up(peer)
        elif peer.outgoing.bytes_waiting:
            self._backoff.failed(peer.node.id, self._loop.time())
            self._dial(peer)
        else:
            del self._peers[peer.node.id]

    # Links.

    def _begin(self, link: TlsLink | RelayedLink, dialled: NodeId | None = None) -> Session:
        session = Session(link, self, self._config, dialled=dialled, way=link.way)
        now_ms = self._clock.wall_ms()
        session.start(make_hello(self._me, self._my_certificate, self._ring.news(), now_ms))
        return session

    def _supersedes(self, new: Session, current: Session) -> bool:
        now, both_seconds = self._loop.time(), self._config.simultaneous_seconds
        return supersedes(new, current, self._me.id, now, both_seconds)

    def _retire(self, peer: Peer, session: Session) -> None:
        if peer.retired is not None:
            peer.retired.abort()
        peer.retired = session
        session.retire(CloseReason.DUPLICATE)

    def _make_room(self) -> None:
        """Give up the link used least lately of those with nothing under way."""
        sessions = [p.session for p in self._peers.values() if p.session is not None]
        if len(sessions) < self._config.links_max:
            return
        idle = [s for s in sessions if not self._peers[s.peer.node.id].outgoing.bytes_waiting]
        if not idle:
            raise Unreachable("all links are busy")
        session = min(idle, key=lambda session: session.last_use)
        del self._peers[session.peer.node.id]
        session.retire(CloseReason.IDLE)
        self._detours.on_down(session.peer.node.id)
        self._observer.record(LinkDown(session.peer.node, "unused"))

    def _note_use(self, session: Session) -> None:
        self._uses += 1  # the loop's clock would be too coarse to tell who came last
        session.last_use = self._uses

    def _new_peer(self, node: NodeHandle) -> Peer | None:
        now = self._loop.time()
        dialling = len(self._peers) >= self._config.links_max + self._config.dials_waiting_max
        if self._is_closed or dialling or self._is_refused(node.id):
            return None
        if self._backoff.pause(node.id, now):
            return None
        peer = self._peers[node.id] = Peer(node, self._queue())
        return peer

    def _queue(self) -> Outgoing:
        return Outgoing(bytes_max=self._config.queue_bytes_max, budget=self._budget)

    def _dial(self, peer: Peer) -> None:
        peer.dial = self._loop.create_task(self._reach(peer))

    async def _reach(self, peer: Peer) -> None:
        failure = ""
        try:
            await asyncio.sleep(self._backoff.pause(peer.node.id, self._loop.time()))
            await self._detours.find_way(peer.node, self._dialler.reach, self._linked_directly)
        except Unreachable as error:
            failure = str(error)
        finally:
            peer.dial = None
        if peer.session is None:
            self._backoff.failed(peer.node.id, self._loop.time())
            self._observer.record(DialFailed(peer.node, failure))
            self._give_up(peer)

    async def _reach_directly(self, peer: Peer) -> None:
        """Look whether the detour to a node is still needed."""
        try:
            await self._dialler.reach(peer.node)
        except Unreachable:
            pass  # the detour stays
        finally:
            peer.dial = None
        if peer.session is None:
            self._give_up(peer)

    def _carry(self, node: NodeId, kind: Frame, payload: bytes) -> bool:
        """Send a frame of a tunnel over a direct link (relay.Carry)."""
        peer = self._peers.get(node)
        if peer is None or peer.session is None or not peer.session.can_relay:
            return False
        is_queued = peer.outgoing.push_relayed(frame(kind, payload))
        peer.session.wake()
        return is_queued

    def _linked_directly(self) -> Sequence[NodeId]:
        sessions = [peer.session for peer in self._peers.values() if peer.session is not None]
        return [session.peer.node.id for session in sessions if session.can_relay]

    def _carry_on(self, peer: Peer, to: NodeHandle) -> None:
        if peer.session is not None:
            self._note_use(peer.session)
            peer.session.wake()
        elif peer.dial is None:
            peer.node = to
            self._dial(peer)

    # Ends.

    def _give_up(self, peer: Peer) -> None:
        peer.outgoing.clear()
        self._peers.pop(peer.node.id, None)
        self._reports.add(peer.node.id)

    def _drop(self, peer: Peer) -> None:
        if not peer.is_dropping:
            peer.is_dropping = True
            self._observer.record(QueueFull(peer.node))
            self._reports.add(peer.node.id)

    def _report_now(self, node: NodeId) -> None:
        if self._events is not None and not self._is_closed:
            self._events.on_unreachable(node)

    def _deliver(self, sender: NodeHandle, message: bytes) -> None:
        if self._events is not None and not self._is_closed:
            self._events.on_message(sender, message)

    # Memory and time.

    def _is_refused(self, node: NodeId) -> bool:
        return self._remembered.is_refused(node, self._loop.time())

    def _sweep(self) -> None:
        now = self._loop.time()
        for peer in list(self._peers.values()):
            session = peer.session
            if session is None:
                continue
            if now - session.verified_at > self._config.recheck_seconds:
                self._recheck(session)
            session.check(now)
            if session.way is not None and peer.dial is None:
                self._look_for_direct_way(peer, session, now)
        self._sweeper = self._loop.call_later(self._config.sweep_seconds, self._sweep)

    def _look_for_direct_way(self, peer: Peer, session: Session, now: float) -> None:
        if now - session.direct_tried_at > self._config.direct_retry_seconds:
            session.direct_tried_at = now
            peer.dial = self._loop.create_task(self._reach_directly(peer))

    def _recheck(self, session: Session) -> None:
        session.verified_at = self._loop.time()
        try:
            self._ring.verify(session.peer.certificate)
        except (PeerError, AuthenticityError) as error:
            session.fail(CloseReason.NOT_AUTHENTIC, str(error))
