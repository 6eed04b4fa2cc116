"""A client of a server that talks in lines, without a network between them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from epost.servers.access import Reader, Writer


class Served(Protocol):
    """The server's end of a connection."""

    async def serve(self) -> None: ...


class WireWriter:
    """Collects what the server writes, line by line."""

    def __init__(self) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.written = bytearray()
        self.writes: list[int] = []
        self.is_closed = False
        self.is_open_for_writing = asyncio.Event()
        self.is_open_for_writing.set()
        self._rest = bytearray()

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data
        self.writes.append(len(data))
        self._rest += data
        while b"\n" in self._rest:
            line, _, rest = self._rest.partition(b"\n")
            self._rest = rest
            self.lines.put_nowait(bytes(line.removesuffix(b"\r")))

    async def drain(self) -> None:
        await self.is_open_for_writing.wait()

    def close(self) -> None:
        self.is_closed = True


class LineClient:
    """One client of the server, and the connection that serves it."""

    def __init__(self, connect: Callable[[Reader, Writer], Served]) -> None:
        self.reader = asyncio.StreamReader()
        self.writer = WireWriter()
        self.serving = asyncio.create_task(connect(self.reader, self.writer).serve())

    def send(self, data: bytes) -> None:
        self.reader.feed_data(data)

    async def line(self) -> bytes:
        return await asyncio.wait_for(self.writer.lines.get(), 5)

    async def hang_up(self) -> None:
        self.reader.feed_eof()
        await self.serving
