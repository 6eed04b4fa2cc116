"""One conversation with one peer over one link: HELLO, frames, credit, keepalive, farewell.

A link is up when the peer's HELLO held, not when TLS says so: with TLS 1.3 a client that the
server is about to refuse still sees its handshake succeed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.frames import (
    HEADER,
    U32,
    CloseReason,
    Frame,
    close_frame,
    frame,
    parse_close,
    parse_header,
    parse_u32,
)
from epost.daemon.tls.hello import Introduced, NoCommonVersion
from epost.daemon.tls.incoming import Incoming
from epost.daemon.tls.link import Link
from epost.daemon.tls.outgoing import Outgoing
from epost.daemon.tls.relay_frames import RELAY_VERSION, Way
from epost.foundation.errors import (
    AuthenticityError,
    EpostError,
    PeerError,
    RefusedError,
    UnexpectedPacket,
    Unreachable,
)
from epost.foundation.ids import NodeId

FLUSH_BYTES_MAX: Final = 256 * 1024
"""Written to one link before other links and callbacks have their turn."""


class SessionOwner(Protocol):
    """Who decides about sessions; implemented by the transport."""

    def introduce(self, session: Session, hello: bytes) -> Introduced:
        """Judge a peer's HELLO; raises EpostError to refuse the link."""
        ...

    def on_up(self, session: Session) -> None:
        """The peer is known now; its messages follow."""

    def on_message(self, session: Session, message: bytes) -> None:
        """A whole message arrived."""

    def on_relay(self, session: Session, kind: Frame, payload: memoryview) -> None:
        """A RELAY or RELAYED frame arrived; raises PeerError."""

    def must_hold(self, session: Session) -> bool:
        """Is there too much to do here to read on? Then `resume` follows from the owner."""
        ...

    def on_down(self, session: Session, ended: Ended) -> None:
        """A session that was up, and was not retired by its owner, has ended."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Why a session is over."""

    reason: CloseReason
    error: EpostError
    by_peer: bool


class Session:
    """Frames over a link. `ready` is done when the peer's HELLO held, or carries why it did not."""

    def __init__(
        self,
        link: Link,
        owner: SessionOwner,
        config: TransportConfig,
        *,
        dialled: NodeId | None,
        way: Way | None = None,
    ) -> None:
        """`dialled` is the node wanted, None if the peer opened the link; `way` if relayed."""
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._owner = owner
        self._config = config
        self.dialled = dialled
        self.way = way
        self.ready: asyncio.Future[Introduced] = self._loop.create_future()
        self._peer: Introduced | None = None
        self._outgoing: Outgoing | None = None
        self._incoming = Incoming()
        self._signals = b""
        self._pong_due = False
        self._credit_due = 0
        self._flush_due = False
        self._is_congested = False
        self._is_held = False
        self._is_retired = False
        self._is_ended = False
        self._linger: asyncio.TimerHandle | None = None
        now = self._loop.time()
        self.up_at = self.verified_at = self.heard_at = self.direct_tried_at = now
        self.last_use = 0
        self._asked_at: float | None = None

    @property
    def leaf(self) -> bytes:
        """The peer's DER certificate."""
        return self._link.leaf

    @property
    def peer(self) -> Introduced:
        """Who is at the other end; only of a session that came up."""
        assert self._peer is not None, "asked before HELLO"
        return self._peer

    @property
    def opened_by_us(self) -> bool:
        """Did we open the link?"""
        return self.dialled is not None

    @property
    def wanted(self) -> NodeId | None:
        """Who must be at the other end; None if anybody may be."""
        return self.way.far if self.way is not None else self.dialled

    @property
    def can_relay(self) -> bool:
        """Whether tunnels may use it: a direct link with a node that knows them."""
        return self.way is None and self.peer.version >= RELAY_VERSION

    def start(self, hello: bytes) -> None:
        """Say HELLO and listen."""
        self._link.write(frame(Frame.HELLO, hello))
        self._link.attach(self)

    # Sending.

    def carry(self, outgoing: Outgoing) -> None:
        """Send what waits in a queue, from the beginning."""
        outgoing.restart()
        self._outgoing = outgoing
        self.wake()

    def wake(self) -> None:
        """Something may wait to be sent: one write per turn of the loop takes all of it."""
        if not self._flush_due and not self._is_retired:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        written = 0
        while not (self._is_congested or self._is_retired or self._is_ended):
            batch = self._take_signals()
            if self._outgoing is not None:
                batch += self._outgoing.next_batch()
            if not batch:
                return
            self._link.write(batch)
            written += len(batch)
            if written >= FLUSH_BYTES_MAX:
                self.wake()
                return

    def _take_signals(self) -> bytes:
        signals, self._signals = self._signals, b""
        if self._pong_due:
            self._pong_due = False
            signals += frame(Frame.PONG)
        if self._credit_due:
            signals += frame(Frame.CREDIT, U32.pack(self._credit_due))
            self._credit_due = 0
        return signals

    # Ending.

    def retire(self, reason: CloseReason) -> None:
        """Give the link up without loss: send no more, deliver what is still under way."""
        if self._is_retired or self._is_ended:
            return
        self._is_retired = True
        self._outgoing = None
        self._link.write(close_frame(reason, ""))
        self._linger = self._loop.call_later(self._config.linger_seconds, self._link.abort)

    def fail(self, reason: CloseReason, text: str) -> None:
        """End the link and tell the peer why."""
        if not self._is_ended and not self._is_retired:
            self._link.write(close_frame(reason, text))
        self._link.close()
        self._end(Ended(reason, Unreachable(text), by_peer=False))

    def finish(self, reason: CloseReason) -> None:
        """Send what may leave at once, then end the link."""
        outgoing = self._outgoing
        while outgoing is not None and (batch := outgoing.next_batch()):
            self._link.write(batch)
        self.fail(reason, "")

    def abort(self) -> None:
        """End the link at once, with nothing said and nothing reported."""
        self._is_retired = True
        self._link.abort()

    def _end(self, ended: Ended) -> None:
        if self._is_ended:
            return
        self._is_ended = True
        self._outgoing = None
        self._incoming = Incoming()
        if self._linger is not None:
            self._linger.cancel()
        if not self.ready.done():
            self.ready.set_exception(ended.error)
        elif self._peer is not None and not self._is_retired:
            self._owner.on_down(self, ended)

    # Time.

    def check(self, now: float) -> None:
        """Ask a silent peer for a sign of life; end the link if it gives none or has stalled."""
        if self._is_held or self._is_ended:
            return
        if self._incoming.is_stalled(now, self._config.body_stall_seconds):
            self.fail(CloseReason.STALLED, "a message begun did not go on")
        elif self._asked_at is not None and self.heard_at < self._asked_at:
            if now - self._asked_at > self._config.keepalive_answer_seconds:
                self.fail(CloseReason.STALLED, "silent")
        elif now - self.heard_at > self._config.keepalive_seconds:
            self._asked_at = now
            self._signals += frame(Frame.PING)
            self.wake()

    def resume(self) -> None:
        """Read on after the owner held the session."""
        self._is_held = False
        self.heard_at = self._loop.time()
        self._incoming.excuse(self.heard_at)
        self._link.resume_reading()

    # LinkEvents.

    def on_bytes(self, view: memoryview) -> int:
        self.heard_at = self._loop.time()
        try:
            return self._parse(view)
        except NoCommonVersion as error:
            self._refuse(CloseReason.NO_COMMON_VERSION, error)
        except AuthenticityError as error:
            self._refuse(CloseReason.NOT_AUTHENTIC, error)
        except PeerError as error:
            self._refuse(CloseReason.BROKE_PROTOCOL, error)
        except (RefusedError, Unreachable) as error:
            self._refuse(CloseReason.REFUSED, error)
        return len(view)

    def on_congested(self, congested: bool) -> None:
        self._is_congested = congested
        if not congested:
            # The peer has taken bytes: on a slow line the PING may still wait behind others.
            self.heard_at = self._loop.time()
            self.wake()

    def on_lost(self, text: str) -> None:
        self._end(Ended(CloseReason.UNKNOWN, Unreachable(text), by_peer=True))

    def _parse(self, view: memoryview) -> int:
        at, end = 0, len(view)
        while end - at >= HEADER.size and not self._is_ended:
            kind, size = parse_header(view, at)
            body_at = at + HEADER.size
            if end < body_at + size:
                break
            at = body_at + size
            self._on_frame(kind, view[body_at:at])
        if self._is_ended:
            return end
        if self._peer is not None and not self._is_held and self._owner.must_hold(self):
            self._is_held = True
            self._link.pause_reading()
        return at

    def _on_frame(self, kind: Frame, payload: memoryview) -> None:
        if kind is Frame.CLOSE:
            self._on_close(payload)
        elif (self._peer is None) != (kind is Frame.HELLO):
            raise UnexpectedPacket(f"a {kind.name} frame at the wrong time")
        elif kind is Frame.WHOLE:
            self._owner.on_message(self, bytes(payload))
        elif kind is Frame.FIRST:
            self._deliver(self._incoming.begin(payload, self.heard_at))
        elif kind is Frame.MORE:
            self._deliver(self._incoming.go_on(payload, self.heard_at))
        elif kind is Frame.CREDIT:
            self._on_credit(parse_u32(payload))
        elif kind is Frame.PING:
            self._pong_due = True  # one answer, however many ask
            self.wake()
        elif kind is Frame.RELAY or kind is Frame.RELAYED:
            self._owner.on_relay(self, kind, payload)
        elif kind is Frame.HELLO:
            self._on_hello(bytes(payload))

    def _deliver(self, message: bytes | None) -> None:
        if message is not None:
            self._owner.on_message(self, message)
            self._credit_due += len(message)
            self.wake()

    def _on_credit(self, credit: int) -> None:
        if self._outgoing is not None:
            self._outgoing.grant(credit)
            self.wake()

    def _on_hello(self, hello: bytes) -> None:
        self._peer = self._owner.introduce(self, hello)
        self.up_at = self.verified_at = self.heard_at
        self._owner.on_up(self)
        if not self.ready.done():
            self.ready.set_result(self._peer)

    def _on_close(self, payload: memoryview) -> None:
        reason, text = parse_close(payload)
        self._link.close()
        error = Unreachable(f"closed by the peer, {reason.name.lower()}: {text}")
        self._end(Ended(reason, error, by_peer=True))

    def _refuse(self, reason: CloseReason, error: EpostError) -> None:
        self._link.write(close_frame(reason, str(error)))
        self._link.close()
        self._end(Ended(reason, error, by_peer=False))


def supersedes(new: Session, current: Session, me: NodeId, now: float, both_seconds: float) -> bool:
    """Which of two sessions with one node stays? Both sides must come to the same answer.

    A direct one is better than one through a relay. Else: a node dials only when it has no link, so
    a second link from the same side, or one that begins `both_seconds` after the first came up (so
    that neither side can still have been dialling), means that the first is dead over there.
    """
    is_old = now - current.up_at > both_seconds
    if (new.way is None) != (current.way is None):
        return new.way is None or is_old
    if new.opened_by_us == current.opened_by_us or is_old:
        return True
    return new.opened_by_us == (me < new.peer.node.node_id)
