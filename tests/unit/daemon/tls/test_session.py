"""Sessions over a link in memory: any link will do, and bytes may arrive in any pieces."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from epost.daemon.tls.config import TransportConfig
from epost.daemon.tls.frames import CHUNK_BYTES, CloseReason, Frame, frame
from epost.daemon.tls.hello import Introduced, RingNews
from epost.daemon.tls.link import LinkEvents
from epost.daemon.tls.outgoing import Outgoing, QueueBudget
from epost.daemon.tls.session import Ended, Session
from epost.foundation.errors import EpostError, MalformedPacket, UnexpectedPacket
from epost.foundation.ids import NodeHandle
from tests.support.tls import node_id


@dataclass
class MemoryLink:
    """A link whose far end is this test: keeps what is written, feeds what it is told."""

    leaf: bytes = b"leaf"
    written: bytearray = field(default_factory=bytearray)
    is_closed: bool = False
    is_paused: bool = False
    _events: LinkEvents | None = None
    _tail: bytes = b""

    def attach(self, events: LinkEvents) -> None:
        self._events = events

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def feed(self, data: bytes) -> None:
        assert self._events is not None
        self._tail += data
        used = self._events.on_bytes(memoryview(self._tail))
        self._tail = self._tail[used:]


@dataclass
class Owner:
    """Introduces whoever says "bert", and keeps what happens."""

    messages: list[bytes] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    ups: int = 0
    holds: bool = False

    def introduce(self, session: Session, hello: bytes) -> Introduced:
        if hello != b"bert":
            raise MalformedPacket("not bert")
        node = NodeHandle(bytes(20), node_id(2), ())
        return Introduced(node, b"certificate", 1, RingNews(), 0)

    def on_up(self, session: Session) -> None:
        self.ups += 1

    def on_message(self, session: Session, message: bytes) -> None:
        self.messages.append(message)

    def on_relay(self, session: Session, kind: Frame, payload: memoryview) -> None:
        raise UnexpectedPacket("nothing is relayed here")

    def must_hold(self, session: Session) -> bool:
        return self.holds

    def on_down(self, session: Session, ended: Ended) -> None:
        self.ended.append(ended)


HELLO = frame(Frame.HELLO, b"bert")


def begin() -> tuple[Session, MemoryLink, Owner]:
    link, owner = MemoryLink(), Owner()
    session = Session(link, owner, TransportConfig(), dialled=None)
    session.start(b"anna")
    return session, link, owner


def queue() -> Outgoing:
    return Outgoing(bytes_max=8 << 20, budget=QueueBudget(8 << 20))


def sent(*messages: bytes) -> bytes:
    """Return the bytes that carry some messages."""
    outgoing = queue()
    for message in messages:
        assert outgoing.push(message)
    return b"".join(iter(outgoing.next_batch, b""))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 2 * CHUNK_BYTES), max_size=5), st.lists(st.integers(0), max_size=20))
def test_messages_arrive_whatever_the_pieces_their_bytes_come_in(
    sizes: list[int], cuts: list[int]
) -> None:
    messages = [bytes([number]) * size for number, size in enumerate(sizes)]

    async def story() -> None:
        _, link, owner = begin()
        for piece in pieces(HELLO + sent(*messages), cuts):
            link.feed(piece)
        assert sorted(owner.messages) == sorted(messages)
        assert not owner.ended

    asyncio.run(story())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_bytes_end_a_session_at_worst(data: bytes, after_hello: bool) -> None:
    async def story() -> None:
        session, link, owner = begin()
        if after_hello:
            link.feed(HELLO)
        link.feed(data)
        link.feed(bytes([255]) * 300_000)
        assert link.is_closed
        assert len(owner.ended) == after_hello
        assert session.ready.done()
        session.ready.exception()

    asyncio.run(story())


def test_nothing_is_delivered_before_hello_or_after_the_end() -> None:
    async def story() -> None:
        session, link, owner = begin()
        link.feed(HELLO + sent(b"one") + frame(Frame.CLOSE, b"\x01bye") + sent(b"two"))
        assert owner.messages == [b"one"]
        assert owner.ended[0].reason is CloseReason.SHUTDOWN
        assert owner.ended[0].by_peer
        link.feed(sent(b"three"))
        assert owner.messages == [b"one"]
        assert (await session.ready).certificate == b"certificate"

    asyncio.run(story())


def test_a_session_that_never_came_up_says_why_to_whoever_waits() -> None:
    async def story() -> None:
        for data, text in (
            (frame(Frame.HELLO, b"carl"), "not bert"),
            (frame(Frame.CLOSE, b"\x07go away"), "go away"),
            (frame(Frame.PING), "wrong time"),
        ):
            session, link, owner = begin()
            link.feed(data)
            error = session.ready.exception()
            assert isinstance(error, EpostError)
            assert text in str(error)
            assert link.is_closed
            assert not owner.ups
            assert not owner.ended

    asyncio.run(story())


def test_all_that_is_due_in_a_turn_leaves_in_one_write() -> None:
    async def story() -> None:
        session, link, _ = begin()
        outgoing = queue()
        link.feed(HELLO)
        session.carry(outgoing)
        for number in range(100):
            outgoing.push(bytes([number]))
            session.wake()
        link.feed(frame(Frame.PING) * 3)
        assert bytes(link.written) == frame(Frame.HELLO, b"anna")
        await asyncio.sleep(0)
        messages = b"".join(frame(Frame.WHOLE, bytes([number])) for number in range(100))
        assert bytes(link.written) == frame(Frame.HELLO, b"anna") + frame(Frame.PONG) + messages

    asyncio.run(story())


def test_a_congested_link_is_left_alone_until_it_has_room() -> None:
    async def story() -> None:
        session, link, _ = begin()
        outgoing = queue()
        link.feed(HELLO)
        session.on_congested(True)
        session.carry(outgoing)
        outgoing.push(b"later")
        await asyncio.sleep(0)
        assert not link.written.endswith(b"later")
        session.heard_at = -1e9
        session.on_congested(False)
        assert session.heard_at > -1e9, "a peer that takes bytes is alive"
        await asyncio.sleep(0)
        assert link.written.endswith(b"later")

    asyncio.run(story())


def test_a_held_session_reads_no_more_and_is_not_taken_for_silent() -> None:
    async def story() -> None:
        session, link, owner = begin()
        owner.holds = True
        link.feed(HELLO + sent(b"one"))
        assert link.is_paused
        session.check(1e9)
        assert not owner.ended
        session.resume()
        assert not link.is_paused

    asyncio.run(story())


def test_a_retired_session_delivers_what_is_under_way_and_reports_nothing() -> None:
    async def story() -> None:
        session, link, owner = begin()
        outgoing = queue()
        link.feed(HELLO)
        session.carry(outgoing)
        session.retire(CloseReason.DUPLICATE)
        session.retire(CloseReason.DUPLICATE)
        assert link.written.count(frame(Frame.CLOSE, b"\x03")) == 1
        outgoing.push(b"for the other link")
        session.wake()
        link.feed(sent(b"under way", bytes(2 * CHUNK_BYTES)))
        await asyncio.sleep(0)
        assert len(owner.messages) == 2
        assert outgoing.bytes_waiting
        session.on_lost("reset")
        assert not owner.ended

    asyncio.run(story())


def test_large_messages_give_their_credit_back_in_one_frame() -> None:
    async def story() -> None:
        _, link, owner = begin()
        large = bytes(2 * CHUNK_BYTES)
        link.feed(HELLO + sent(large, large))
        await asyncio.sleep(0)
        assert owner.messages == [large, large]
        credit = (4 * CHUNK_BYTES).to_bytes(4, "big")
        assert link.written.endswith(frame(Frame.CREDIT, credit))

    asyncio.run(story())
