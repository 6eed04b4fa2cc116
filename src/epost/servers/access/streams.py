"""The two ends of a connection, as much of them as a server of lines needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from epost.servers.access.outcome import Channel


class Reader(Protocol):
    """As much of asyncio.StreamReader as is needed."""

    async def read(self, n: int = -1, /) -> bytes:
        """Return at most `n` octets, none at the end of the stream."""
        ...


class Writer(Protocol):
    """As much of asyncio.StreamWriter as is needed."""

    def write(self, data: bytes, /) -> None: ...

    async def drain(self) -> None:
        """Wait while the peer is slow; raises ConnectionError when it is gone."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Secured:
    """A connection after its TLS handshake; nothing that came before is left in the reader."""

    reader: Reader
    writer: Writer
    channel: Channel


StartTls = Callable[[bytes], Awaitable[Secured]]
"""Sends last words in the clear and does the handshake at once.

Nothing is read in between: the client answers the words with the first octets of TLS.
"""
