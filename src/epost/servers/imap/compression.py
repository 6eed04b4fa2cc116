"""A connection whose octets are deflated on their way (RFC 4978)."""

import zlib

from epost.servers.access import Reader, Writer
from epost.servers.imap.limits import READ_BYTES

_RAW = -zlib.MAX_WBITS  # no header and no checksum, as the RFC wants it
_LEVEL = 1  # mail shrinks well at the lowest, and others wait while we compress


class InflatingReader:
    """Reads what a client has deflated; a little that becomes very much comes in pieces."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._inflater = zlib.decompressobj(_RAW)

    async def read(self, n: int = -1, /) -> bytes:
        """Return at most `n` octets, none at the end of the stream or if it makes no sense."""
        while True:
            waiting = self._inflater.unconsumed_tail or await self._reader.read(READ_BYTES)
            if not waiting:
                return b""
            try:
                inflated = self._inflater.decompress(waiting, max(n, 0))
            except zlib.error:
                return b""
            if inflated or self._inflater.eof:
                return inflated


class DeflatingWriter:
    """Deflates what is written; nothing is held back, as the client waits for it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._deflater = zlib.compressobj(_LEVEL, wbits=_RAW)

    def write(self, data: bytes, /) -> None:
        """Send octets."""
        deflated = self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)
        self._writer.write(deflated)

    async def drain(self) -> None:
        """Wait while the peer is slow; raises ConnectionError when it is gone."""
        await self._writer.drain()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
