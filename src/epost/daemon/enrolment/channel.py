"""Frames of a short conversation over one TLS connection: u32be length, u8 what, payload."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Generic, TypeVar, cast

from epost.foundation.errors import LimitExceeded, MalformedPacket
from epost.foundation.wire import REFUSAL_TEXT_MAX
from epost.rings.enrolment import ANSWER_SIZE_MAX, GREETING_SIZE_MAX, REQUEST_SIZE_MAX

W = TypeVar("W", bound=IntEnum)
Factory = Callable[[], asyncio.StreamReaderProtocol]
Connect = Callable[[Factory], Awaitable[tuple[asyncio.BaseTransport, asyncio.BaseProtocol]]]


@dataclass(frozen=True, slots=True)
class EnrolmentLimits:
    """How long each side waits, and how often a source may be wrong."""

    connect_seconds: float = 5.0
    greeting_seconds: float = 5.0
    request_seconds: float = 10.0
    answer_seconds: float = 60.0
    close_seconds: float = 2.0
    conversations_max: int = 64
    conversations_per_source_max: int = 8
    wrong_tokens_max: int = 5
    wrong_tokens_seconds: float = 3600.0


class What(IntEnum):
    """What a frame holds."""

    GREETING = 1
    REQUEST = 2
    ANSWER = 3
    REFUSAL = 4


SIZE_MAX: Final = {
    What.GREETING: GREETING_SIZE_MAX,
    What.REQUEST: REQUEST_SIZE_MAX,
    What.ANSWER: ANSWER_SIZE_MAX,
    What.REFUSAL: 4 * REFUSAL_TEXT_MAX,
}


class Channel(Generic[W]):
    """Frames over one TLS connection, a few in all."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sizes: Mapping[W, int]
    ) -> None:
        """`sizes` are the kinds of frames there are, and how long each may be."""
        self._reader = reader
        self._writer = writer
        self._sizes = sizes

    @property
    def peer_certificate(self) -> bytes:
        """The other side's DER certificate."""
        certificate: bytes = self._writer.get_extra_info("ssl_object").getpeercert(True)
        return certificate

    async def send(self, what: W, payload: bytes) -> None:
        """Send one frame; returns when the link has room for more."""
        assert len(payload) <= self._sizes[what], f"a {what.name} of {len(payload)} bytes"
        self._writer.write(len(payload).to_bytes(4, "big") + bytes((what,)) + payload)
        await self._writer.drain()

    async def receive(self, *expected: W) -> tuple[W, bytes]:
        """Return the next frame, which must be one of these; raises PeerError, EOFError."""
        header = await self._reader.readexactly(5)
        what = next((e for e in expected if e == header[4]), None)
        if what is None:
            raise MalformedPacket("not what is expected in this conversation")
        size = int.from_bytes(header[:4], "big")
        if size > self._sizes[what]:
            raise LimitExceeded(f"a {what.name} of {size} bytes")
        return what, await self._reader.readexactly(size)


@asynccontextmanager
async def open_channel(connect: Connect, sizes: Mapping[W, int]) -> AsyncIterator[Channel[W]]:
    """Connect; in the end send what was written, then close."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    connected, _ = await connect(lambda: protocol)
    # uvloop's transports have asyncio's interface without being its subclasses.
    transport = cast("asyncio.Transport", connected)
    writer = asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    try:
        yield Channel(reader, writer, sizes)
    except asyncio.CancelledError:
        transport.abort()
        raise
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
