"""Attack 37: garbage, slow and silent connections, stalls, floods, at a node's ring port.

Real sockets on loopback. In each of them a neighbour goes on exchanging messages with the node
under attack, and the memory of this process (attackers included) grows by at most 16 MB.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from epost.daemon.tls.frames import (
    CHUNK_BYTES,
    FIRST,
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    U32,
    WINDOW_BYTES,
    CloseReason,
    Frame,
    frame,
    header,
)
from epost.daemon.tls.observed import LinkRefused, LinkUp
from epost.foundation.ids import Address, NodeHandle
from epost.foundation.wire import MESSAGE_SIZE_MAX
from tests.support.tls import (
    QUICK,
    Machine,
    Office,
    RawPeer,
    hello_of,
    office,
    raw_context,
    raw_peer,
    run,
)

GROWTH_BYTES_MAX = 16 * 1024 * 1024
HASTY = replace(
    QUICK,
    handshake_seconds=0.6,
    hello_seconds=0.5,
    body_stall_seconds=0.5,
    handshakes_max=20,
    handshakes_for_known=4,
    linger_seconds=0.1,
)


many_sources = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux answers for all of 127.0.0.0/8"
)


def resident_bytes() -> int:
    """Return the memory of this process, where the system tells it."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return 0


class Neighbour:
    """Sends a message to and fro all the time; knows whether it came back lately."""

    def __init__(self, anna: Machine, carl: Machine) -> None:
        self._carl = carl
        self.rounds = 0
        anna.events.react = anna.transport.send

        def again(sender: NodeHandle, message: bytes) -> None:
            self.rounds += 1
            asyncio.get_running_loop().call_later(0.001, carl.transport.send, sender, message)

        carl.events.react = again
        carl.transport.send(anna.node, b"heartbeat")

    async def is_undisturbed(self) -> None:
        """Return when three more rounds are done, which must have taken no new link."""
        goal = self.rounds + 3
        await self._carl.events.until(lambda: self.rounds >= goal)
        assert len(self._carl.events.seen(LinkUp)) == 1
        assert not self._carl.events.unreachable


Attack = Callable[[Office, Machine], Coroutine[Any, Any, None]]


def under_attack(story: Attack) -> Callable[[], None]:
    """Run an attack on a node while its neighbour watches memory and service."""

    def test() -> None:
        async def whole() -> None:
            async with office(config=HASTY) as place:
                anna, carl = place.start(1), place.start(3)
                neighbour = Neighbour(anna, carl)
                await neighbour.is_undisturbed()
                before = resident_bytes()
                await story(place, anna)
                await neighbour.is_undisturbed()
                assert resident_bytes() - before < GROWTH_BYTES_MAX
                assert anna.transport._acceptor.gate.under_way == 0

        run(whole())

    test.__name__ = story.__name__
    test.__doc__ = story.__doc__
    return test


class Plain(asyncio.Protocol):
    """A TCP connection that says something and waits for the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._data:
            transport.write(self._data)  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


async def plain(address: Address, data: bytes, local: str = "127.0.0.1") -> Plain:
    loop = asyncio.get_running_loop()
    protocol = Plain(data)
    await loop.create_connection(
        lambda: protocol, address.host, address.port, local_addr=(local, 0)
    )
    return protocol


def no_place_left(anna: Machine) -> list[LinkRefused]:
    return [e for e in anna.events.seen(LinkRefused) if str(e.error) == "too many connections"]


@under_attack
async def test_sec_37_garbage_instead_of_tls(place: Office, anna: Machine) -> None:
    noise = random.Random(37)
    for _ in range(20):
        attackers = [await plain(anna.address, noise.randbytes(2000)) for _ in range(10)]
        for attacker in attackers:
            await attacker.ended.wait()


@many_sources
@under_attack
async def test_sec_37_silent_connections_are_closed_in_time(place: Office, anna: Machine) -> None:
    attackers = [
        await plain(anna.address, b"", f"127.0.1.{source}")
        for source in range(1, 6)
        for _ in range(10)
    ]
    await anna.events.until(lambda: len(no_place_left(anna)) >= 50 - 16)
    assert anna.transport._acceptor.gate.under_way == 16
    for attacker in attackers:
        await attacker.ended.wait()


@many_sources
@under_attack
async def test_sec_37_one_source_gets_eight_places_and_known_hosts_keep_theirs(
    place: Office, anna: Machine
) -> None:
    crowd = [await plain(anna.address, b"\x16", "127.0.1.1") for _ in range(12)]
    await anna.events.until(lambda: len(no_place_left(anna)) == 12 - 8)
    crowd += [await plain(anna.address, b"\x16", f"127.0.1.{n}") for n in range(2, 20)]
    await anna.events.until(lambda: len(no_place_left(anna)) == 12 - 8 + 18 - 8)
    dora = place.start(4)
    dora.transport.send(anna.node, b"from a known host")
    await dora.events.until(lambda: dora.events.messages)
    for attacker in crowd:
        await attacker.ended.wait()


@under_attack
async def test_sec_37_a_handshake_byte_by_byte_is_cut_off(place: Office, anna: Machine) -> None:
    class Slow(Plain):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = transport
            self._drip()

        def _drip(self) -> None:
            if not self.ended.is_set():
                self._transport.write(b"\x16")  # type: ignore[attr-defined]
                asyncio.get_running_loop().call_later(0.05, self._drip)

    slow = Slow(b"")
    await asyncio.get_running_loop().create_connection(
        lambda: slow, anna.address.host, anna.address.port
    )
    await slow.ended.wait()


@under_attack
async def test_sec_37_silence_after_tls_and_a_dripping_hello_are_cut_off(
    place: Office, anna: Machine
) -> None:
    bert = place.ring.identity(2)
    async with raw_peer(anna.address, bert) as silent, raw_peer(anna.address, bert) as slow:
        slow.write(hello_of(bert)[:-1])
        await silent.end()
        await slow.end()
    refused = [str(event.error) for event in anna.events.seen(LinkRefused)]
    assert refused == ["no HELLO in time"] * 2


@many_sources
@under_attack
async def test_sec_37_a_flood_of_handshakes_without_certificate(
    place: Office, anna: Machine
) -> None:
    context = raw_context(None)

    async def attempt(source: int) -> None:
        with contextlib.suppress(OSError, EOFError):
            local = f"127.0.2.{source % 50 + 1}"
            async with raw_peer(anna.address, None, context=context, local=local) as peer:
                await peer.end()

    for _ in range(4):
        await asyncio.gather(*(attempt(source) for source in range(50)))
    assert len(anna.events.seen(LinkRefused)) == 200


async def up(anna: Machine, peer: RawPeer, place: Office) -> None:
    bert = place.ring.identity(2)
    peer.write(hello_of(bert))
    await anna.events.until(lambda: bert.node in anna.transport.linked)


BROKEN = {
    "an oversized frame": header(Frame.WHOLE, FRAME_BYTES_MAX + 1),
    "an oversized ping": header(Frame.PING, 1),
    "an oversized close": header(Frame.CLOSE, 1000),
    "a second HELLO": frame(Frame.HELLO, b""),
    "an unknown kind": b"\xff\0\0\0",
    "8 MiB announced": frame(Frame.FIRST, FIRST.pack(1, WINDOW_BYTES) + b"x"),
    "a message begun twice": frame(Frame.FIRST, FIRST.pack(1, CHUNK_BYTES + 1) + b"x") * 2,
    "more than the window": b"".join(
        frame(Frame.FIRST, FIRST.pack(stream, MESSAGE_SIZE_MAX) + b"x") for stream in (1, 2)
    ),
    "the middle of a message": frame(Frame.MORE, U32.pack(1) + b"x"),
    "credit for nothing": frame(Frame.CREDIT, U32.pack(1)),
    "half a credit": frame(Frame.CREDIT, b"\0\0"),
    "a close without reason": frame(Frame.CLOSE),
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
def test_sec_37_a_peer_that_breaks_the_protocol_is_cut_off_and_refused_for_a_while(
    data: bytes,
) -> None:
    @under_attack
    async def story(place: Office, anna: Machine) -> None:
        bert = place.ring.identity(2)
        async with raw_peer(anna.address, bert) as peer:
            await up(anna, peer, place)
            peer.write(data)
            assert (await peer.closing())[0] is CloseReason.BROKE_PROTOCOL
        assert bert.node.id in anna.events.unreachable
        async with raw_peer(anna.address, bert) as peer:
            peer.write(hello_of(bert))
            assert (await peer.closing())[0] is CloseReason.REFUSED

    story()


def test_sec_37_arbitrary_bytes_of_an_authenticated_peer_do_no_harm() -> None:
    noise = random.Random(38)

    @under_attack
    async def story(place: Office, anna: Machine) -> None:
        for number in range(10, 20):
            bert = place.ring.identity(number)
            async with raw_peer(anna.address, bert) as peer:
                peer.write(hello_of(bert) + noise.randbytes(100_000))
                with contextlib.suppress(OSError, EOFError):
                    await peer.closing()
            await anna.events.until(lambda: bert.node not in anna.transport.linked)  # noqa: B023

    story()


@under_attack
async def test_sec_37_a_hello_beyond_16_kib_is_refused_before_it_is_read(
    place: Office, anna: Machine
) -> None:
    async with raw_peer(anna.address, place.ring.identity(2)) as peer:
        peer.write(header(Frame.HELLO, HELLO_BYTES_MAX + 1))
        assert (await peer.closing())[0] is CloseReason.BROKE_PROTOCOL


@under_attack
async def test_sec_37_messages_announced_and_never_sent_take_no_memory_and_end_the_link(
    place: Office, anna: Machine
) -> None:
    before = resident_bytes()
    peers = 6
    async with contextlib.AsyncExitStack() as stack:
        for number in range(10, 10 + peers):
            bert = place.ring.identity(number)
            peer = await stack.enter_async_context(raw_peer(anna.address, bert))
            peer.write(hello_of(bert))
            peer.write(frame(Frame.FIRST, FIRST.pack(1, MESSAGE_SIZE_MAX) + b"x"))
            await anna.events.until(lambda: bert.node in anna.transport.linked)  # noqa: B023
        assert resident_bytes() - before < GROWTH_BYTES_MAX / 4
        await anna.events.until(lambda: len(anna.events.unreachable) == peers)


@under_attack
async def test_sec_37_a_message_in_single_bytes_takes_no_more_memory_than_it_says(
    place: Office, anna: Machine
) -> None:
    async with raw_peer(anna.address, place.ring.identity(2)) as peer:
        await up(anna, peer, place)
        before = resident_bytes()
        peer.write(frame(Frame.FIRST, FIRST.pack(1, MESSAGE_SIZE_MAX) + b"x"))
        drip = frame(Frame.MORE, U32.pack(1) + b"x") * 10_000
        for _ in range(3):
            peer.write(drip)
            await peer.drain()
        peer.write(frame(Frame.PING))
        while (await peer.frame())[0] is not Frame.PONG:
            pass
        assert resident_bytes() - before < GROWTH_BYTES_MAX / 4


@under_attack
async def test_sec_37_questions_that_are_never_read_do_not_pile_up_answers(
    place: Office, anna: Machine
) -> None:
    async with raw_peer(anna.address, place.ring.identity(2)) as peer:
        await up(anna, peer, place)
        for _ in range(20):
            peer.write(frame(Frame.PING) * 10_000)
            await peer.drain()
        peer.write(frame(Frame.WHOLE, b"done"))
        await anna.events.until(lambda: anna.events.seen(LinkUp))
