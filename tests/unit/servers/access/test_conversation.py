"""What passes between a server and one client: sent in slices, with patience bounded."""

from __future__ import annotations

import asyncio

import pytest

from epost.servers.access import ClientGone, Conversation, Reader, Secured, Writer
from epost.servers.access.conversation import SLICE_BYTES
from epost.simulation.clock import run as run_virtually
from tests.support.access import MAIL_CHANNEL


class Silent:
    """A client that says nothing."""

    async def read(self, n: int = -1, /) -> bytes:
        await asyncio.Event().wait()
        return b""


class Taking:
    """A client that takes what it is sent, or stops taking anything after some writes."""

    def __init__(self, writes_taken: int = 1000) -> None:
        self.taken: list[bytes] = []
        self.is_closed = False
        self._writes_taken = writes_taken

    def write(self, data: bytes, /) -> None:
        self.taken.append(data)

    async def drain(self) -> None:
        if len(self.taken) > self._writes_taken:
            await asyncio.Event().wait()

    def close(self) -> None:
        self.is_closed = True


def conversation(
    writer: Writer, reader: Reader | None = None, secured: Secured | None = None
) -> Conversation:
    async def start_tls(last_words: bytes) -> Secured:
        assert secured is not None
        secured.writer.write(b"in the clear: " + last_words)
        return secured

    return Conversation(
        reader or Silent(),
        writer,
        start_tls=start_tls if secured else None,
        stalled_timeout_seconds=30,
    )


def test_small_pieces_are_sent_together_and_big_ones_in_slices() -> None:
    client = Taking()

    async def scene() -> None:
        talk = conversation(client)
        for piece in (b"a" * 10, b"b" * 20, b"c" * (2 * SLICE_BYTES + 5), b"d"):
            talk.send(piece)
        assert talk.is_full
        await talk.breathe()
        assert not talk.is_full

    asyncio.run(scene())
    assert b"".join(client.taken) == b"a" * 10 + b"b" * 20 + b"c" * (2 * SLICE_BYTES + 5) + b"d"
    assert client.taken[0] == b"a" * 10 + b"b" * 20
    assert max(map(len, client.taken)) == SLICE_BYTES


def test_a_client_that_takes_nothing_is_given_up() -> None:
    async def scene() -> None:
        talk = conversation(Taking(writes_taken=0))
        talk.send(b"hello")
        with pytest.raises(ClientGone):
            await talk.breathe()
        assert asyncio.get_running_loop().time() == 30

    run_virtually(scene())


def test_a_silent_client_hears_a_last_word_behind_what_was_queued() -> None:
    client = Taking()

    async def scene() -> None:
        talk = conversation(client)
        talk.send(b"queued ")
        with pytest.raises(ClientGone):
            async with talk.patience(60, b"BYE"):
                await talk.read(100)
        assert asyncio.get_running_loop().time() == 60

    run_virtually(scene())
    assert client.taken == [b"queued BYE"]


def test_an_upgrade_is_offered_once_and_changes_both_directions() -> None:
    before, after, inside = Taking(), Taking(), MAIL_CHANNEL

    async def scene() -> None:
        talk = conversation(before, secured=Secured(Silent(), after, inside))
        assert talk.can_start_tls
        # Were it sent before, the first octets of TLS could be read as if they were in the clear.
        talk.send(b"begin ")
        talk.send(b"TLS")
        assert await talk.upgrade() is inside
        assert not talk.can_start_tls
        talk.send(b"secret")
        await talk.breathe()
        talk.close()

    asyncio.run(scene())
    assert not before.taken
    assert after.taken == [b"in the clear: begin TLS", b"secret"]
    assert after.is_closed
    assert not before.is_closed
