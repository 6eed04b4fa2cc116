"""A link over TCP and TLS, written for the buffered protocols of asyncio and uvloop."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import Final, cast

from epost.daemon.tls.frames import FRAME_BYTES_MAX, HEADER
from epost.daemon.tls.link import LinkEvents

READ_BYTES_MAX: Final = 128 * 1024
"""Taken from one link before other links and callbacks have their turn."""
SCRATCH_BYTES: Final = HEADER.size + FRAME_BYTES_MAX + READ_BYTES_MAX
WRITE_BUFFER_BYTES: Final = 128 * 1024
"""What may lie in the link's own buffer: small messages queue behind it, so it is short."""
UNSENT_BYTES: Final = 128 * 1024
_TCP_NOTSENT_LOWAT: Final = {"linux": 25, "darwin": 0x201}.get(sys.platform)


class Links:
    """All TLS links of one loop: which are open, and the one buffer that they share for reading.

    Each is done with the buffer before another one reads.
    """

    def __init__(self) -> None:
        self.scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._open: dict[TlsLink, None] = {}
        self._none_open = asyncio.Event()
        self._none_open.set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, link: TlsLink) -> None:
        """A connection was made."""
        self._open[link] = None
        self._none_open.clear()

    def remove(self, link: TlsLink) -> None:
        """A connection was lost."""
        self._open.pop(link, None)
        if not self._open:
            self._none_open.set()

    async def all_closed(self, timeout_seconds: float) -> None:
        """Return when no link is open; those still closing by then are ended at once."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._none_open.wait()
        except TimeoutError:
            for link in list(self._open):
                link.abort()
            await self._none_open.wait()


class TlsLink(asyncio.BufferedProtocol):
    """One TLS connection; gives its bytes to whoever is attached, none before."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._view = links.scratch
        self._tail = b""
        self._events: LinkEvents | None = None
        self._transport: asyncio.Transport | None = None
        self._lost: str | None = None
        self._is_unwanted = False
        self.leaf = b""
        self.way = None
        self.remote = ("", 0)

    @property
    def is_open(self) -> bool:
        """Is the handshake done and the connection still there?"""
        return self._transport is not None and self._lost is None

    # Link.

    def attach(self, events: LinkEvents) -> None:
        if self._lost is not None:
            events.on_lost(self._lost)
            return
        self._events = events
        if self._transport is not None:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        self._is_unwanted = True
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self._is_unwanted = True
        if self._transport is not None:
            self._transport.abort()

    # asyncio.BufferedProtocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have asyncio's interface without being its subclasses.
        transport = cast("asyncio.Transport", transport)
        self._transport = transport
        self._links.add(self)
        if self._is_unwanted:  # another address was faster
            transport.abort()
            return
        transport.pause_reading()  # until somebody is attached
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.leaf = _peer_leaf(transport)
        self.remote = transport.get_extra_info("peername")[:2]
        _tune(transport.get_extra_info("socket"))

    def get_buffer(self, sizehint: int) -> memoryview:
        size = len(self._tail)
        self._view[:size] = self._tail
        return self._view[size : size + READ_BYTES_MAX]

    def buffer_updated(self, nbytes: int) -> None:
        end = len(self._tail) + nbytes
        assert self._events is not None, "bytes before anybody is attached"
        used = self._events.on_bytes(self._view[:end])
        self._tail = bytes(self._view[used:end])

    def eof_received(self) -> None:
        """Let the connection close: TLS has no half-open state worth keeping."""

    def pause_writing(self) -> None:
        if self._events is not None:
            self._events.on_congested(True)

    def resume_writing(self) -> None:
        if self._events is not None:
            self._events.on_congested(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = str(exc) if exc else "closed by the other side"
        self._tail = b""
        self._links.remove(self)
        # Else the state of TLS, some 100 KB, would wait for the collector, which comes seldom where
        # much is in memory: a machine whose peers come and go would hold tens of dead links.
        events, self._events, self._transport = self._events, None, None
        if events is not None:
            events.on_lost(self._lost)


def _peer_leaf(transport: asyncio.Transport) -> bytes:
    tls = transport.get_extra_info("ssl_object")
    assert isinstance(tls, ssl.SSLObject)
    leaf = tls.getpeercert(binary_form=True)
    assert leaf is not None, "the context demands a certificate"
    return leaf


def _tune(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if _TCP_NOTSENT_LOWAT is not None:
        # Else megabytes of a block fill the kernel's buffer, and signs of life wait behind them.
        connection.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, UNSENT_BYTES)
