"""Receives the text of a mail: DATA's dot-stuffed lines or BDAT's chunks, octet for octet.

Lines end with CRLF and nothing else. A server that takes a bare LF or CR for a line end, beside
one that does not, lets a mail smuggle a second one; so such a mail is read to its true end and
refused. Line length is bounded by the size of the mail alone: real mails exceed the 998 octets of
RFC 5321 section 4.5.3.1.6, and nothing here is kept by lines.
"""

import asyncio
from collections.abc import Callable
from enum import Enum

from epost.foundation.errors import DiskFull
from epost.foundation.octets import Octets
from epost.foundation.spool import IN_MEMORY, Spool, SpoolWriter

END_OF_DATA = b"\r\n.\r\n"
PIECE_BYTES = 64 * 1024


class Flaw(Enum):
    """Why a mail that arrived cannot be taken."""

    TOO_LARGE = "too large"
    BARE_LINE_END = "bare line end"
    NULL_OCTET = "null octet"
    NO_ROOM = "no room"


class FarTooLarge(Exception):  # noqa: N818 - not an error of ours: the client goes on and on
    """The client sends more than twice the limit that it was told."""


class MessageText:
    """Collects the octets of one mail; keeps none once a flaw is found."""

    def __init__(
        self,
        *,
        size_max: int,
        is_dot_stuffed: bool,
        is_binary: bool = False,
        spool: Spool = IN_MEMORY,
    ) -> None:
        """`is_binary` mails (BODY=BINARYMIME) may hold any octets."""
        self._size_max = size_max
        self._is_dot_stuffed = is_dot_stuffed
        self._is_binary = is_binary
        self._kept: SpoolWriter | None = spool.begin()
        self._size = 0
        self._received = 0
        # The end of the last piece, as far as it matters for the next: CR or CRLF. A mail begins
        # like a line, so the CRLF of the command comes first and is dropped in the end.
        self._held = b"\r\n"
        self.flaw: Flaw | None = None

    def feed(self, piece: bytes) -> None:
        """Take the next octets; raises FarTooLarge when there is no point in reading on."""
        self._received += len(piece)
        if self._received > 2 * self._size_max + PIECE_BYTES:
            raise FarTooLarge
        text = self._held + piece
        held_length = 2 if text.endswith(b"\r\n") else 1 if text.endswith(b"\r") else 0
        split_at = len(text) - held_length
        self._held = text[split_at:]
        self._keep(text[:split_at])

    async def drain(self) -> None:
        """Wait until little of the mail is in memory."""
        if self._kept is not None:
            try:
                await self._kept.drain()
            except DiskFull:
                self.flaw, self._kept = Flaw.NO_ROOM, None

    async def finish(self) -> Octets | Flaw:
        """Return the mail, or why it cannot be taken."""
        self._keep(self._held)  # a lone CR shows its flaw here
        if self._kept is None:
            assert self.flaw is not None
            return self.flaw
        try:
            return await self._kept.finish()
        except DiskFull:
            return Flaw.NO_ROOM

    def _keep(self, text: bytes) -> None:
        if self._kept is not None and text:
            kept = text.replace(b"\r\n.", b"\r\n") if self._is_dot_stuffed else text
            begins = b"" if self._size else b"\r\n"
            self._size += len(kept)
            self._kept.write(kept.removeprefix(begins))
            self.flaw = self._flaw_of(text)
            if self.flaw is not None:
                self._kept = None

    def _flaw_of(self, text: bytes) -> Flaw | None:
        if not self._is_binary:
            line_ends = text.count(b"\r\n")
            if text.count(b"\n") != line_ends or text.count(b"\r") != line_ends:
                return Flaw.BARE_LINE_END
            if b"\x00" in text:
                return Flaw.NULL_OCTET
        return Flaw.TOO_LARGE if self._size - len(b"\r\n") > self._size_max else None


class Discarded:
    """Takes the octets of a chunk that is refused."""

    def __init__(self, size_max: int) -> None:
        self._left = 2 * size_max

    def feed(self, piece: bytes) -> None:
        """Drop the next octets; raises FarTooLarge when there is no point in reading on."""
        self._left -= len(piece)
        if self._left < 0:
            raise FarTooLarge

    async def drain(self) -> None:
        """Nothing is kept."""


async def read_data(
    reader: asyncio.StreamReader, text: MessageText, waiting: Callable[[], None]
) -> None:
    """Feed everything up to the lone dot (RFC 5321 section 4.5.2); `waiting` before each piece.

    Raises asyncio.IncompleteReadError if the client goes away, and FarTooLarge.
    """
    waiting()
    if await _is_at_end(reader, text):
        return
    while True:
        waiting()
        try:
            piece = await reader.readuntil(END_OF_DATA)
        except asyncio.LimitOverrunError as error:
            # No end in this much: the reader keeps what might be the beginning of one.
            text.feed(await reader.readexactly(error.consumed))
            await text.drain()
            continue
        text.feed(piece[: -len(b".\r\n")])
        return


async def read_chunk(
    reader: asyncio.StreamReader,
    size: int,
    text: MessageText | Discarded,
    waiting: Callable[[], None],
) -> None:
    """Feed exactly `size` octets (RFC 3030); raises as `read_data`."""
    while size > 0:
        waiting()
        piece = await reader.readexactly(min(size, PIECE_BYTES))
        size -= len(piece)
        text.feed(piece)
        await text.drain()


async def _is_at_end(reader: asyncio.StreamReader, text: MessageText) -> bool:
    """Read while the octets may be an end of data that began with the DATA command's own CRLF."""
    matched, seen = len(b"\r\n"), bytearray()
    while 0 < matched < len(END_OF_DATA):
        octet = await reader.readexactly(1)
        seen += octet
        is_next = octet == END_OF_DATA[matched : matched + 1]
        matched = matched + 1 if is_next else int(octet == b"\r")
        if len(seen) > PIECE_BYTES:  # nothing but empty lines so far
            text.feed(bytes(seen[: -len(END_OF_DATA)]))
            await text.drain()
            del seen[: -len(END_OF_DATA)]
    if matched:
        del seen[-len(b".\r\n") :]
    text.feed(bytes(seen))
    return matched > 0
