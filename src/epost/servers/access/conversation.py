"""What passes between a server and one client: octets queued, sent and read, with patience bounded.

What is answered is the protocol's affair; that a client which does not read, says nothing or hangs
up holds nothing of ours for ever is looked after here, once for all protocols.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from epost.servers.access.outcome import Channel
from epost.servers.access.streams import Reader, StartTls, Writer

SLICE_BYTES: Final = 256 * 1024
"""Written at once, so that no write takes long and little is held for a slow client."""


class ClientGone(Exception):  # noqa: N818 - an event of the protocol, not an error of ours
    """The client hung up, or was silent or unwilling to read for too long."""


class Conversation:
    """The two directions of one client's connection."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        *,
        start_tls: StartTls | None,
        stalled_timeout_seconds: float,
    ) -> None:
        """`start_tls` upgrades the connection; None when that is not offered."""
        self._reader = reader
        self._writer = writer
        self._start_tls = start_tls
        self._stalled_timeout_seconds = stalled_timeout_seconds
        self._output: list[bytes] = []
        self._output_bytes = 0

    @property
    def can_start_tls(self) -> bool:
        """Whether an upgrade is offered, which it is no more once it was used."""
        return self._start_tls is not None

    @property
    def is_full(self) -> bool:
        """Whether as much is queued as is written at once."""
        return self._output_bytes >= SLICE_BYTES

    def send(self, data: bytes) -> None:
        """Queue a piece of an answer."""
        self._output.append(data)
        self._output_bytes += len(data)

    async def breathe(self) -> None:
        """Send what is queued, wait while the client is slow, and let others work.

        Raises ClientGone when the client takes nothing for too long.
        """
        if self._output:
            output = self._taken()
            try:
                async with asyncio.timeout(self._stalled_timeout_seconds):
                    for piece in _in_slices(output):
                        self._writer.write(piece)
                        await self._writer.drain()
            except TimeoutError as error:
                raise ClientGone from error
        await asyncio.sleep(0)

    async def read(self, bytes_max: int) -> bytes:
        """Return what the client sent; nothing when it hung up."""
        return await self._reader.read(bytes_max)

    @asynccontextmanager
    async def patience(self, seconds: float, last_words: bytes) -> AsyncIterator[None]:
        """Bound how long the client may take for what is awaited; then tell it and give up."""
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError as error:
            self.say_last(last_words)
            raise ClientGone from error

    async def upgrade(self) -> Channel:
        """Send what is queued and go on over TLS; return what is known of the channel.

        The word that TLS may begin must still be queued: from when it is sent, what comes is TLS.
        What the client sent ahead of it is the caller's to forget (RFC 3501 6.2.1, RFC 2595 4).
        """
        assert self._start_tls is not None
        start_tls, self._start_tls = self._start_tls, None
        secured = await start_tls(b"".join(self._taken()))
        self._reader, self._writer = secured.reader, secured.writer
        return secured.channel

    def wrap(self, reader: Callable[[Reader], Reader], writer: Callable[[Writer], Writer]) -> None:
        """Put a coding, such as compression, over both directions."""
        self._reader, self._writer = reader(self._reader), writer(self._writer)

    def say_last(self, words: bytes) -> None:
        """Write what is queued and a last word, which the client may never read."""
        self._writer.write(b"".join(self._taken()) + words)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    def _taken(self) -> list[bytes]:
        output, self._output, self._output_bytes = self._output, [], 0
        return output


def _in_slices(pieces: Sequence[bytes]) -> Iterator[bytes]:
    """Small pieces joined and big ones cut, so that no write takes long."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        if gathered and size + len(piece) > SLICE_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
        if len(piece) > SLICE_BYTES:
            for start in range(0, len(piece), SLICE_BYTES):
                yield piece[start : start + SLICE_BYTES]
        else:
            gathered.append(piece)
            size += len(piece)
    if gathered:
        yield b"".join(gathered)
