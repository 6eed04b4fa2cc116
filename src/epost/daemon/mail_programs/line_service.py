"""Accepts clients of a line protocol of mail (IMAP, POP3) and keeps their conversations."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Protocol

from epost.daemon.hanging_up import Conversations
from epost.servers.access import Channel, PeerCheck, Reader, Scope, Secured, StartTls, Writer

CONNECTIONS_MAX = 100
STREAM_BYTES_MAX = 256 * 1024
TLS_HANDSHAKE_SECONDS = 10.0


class Talk(Protocol):
    """Serves one client from the greeting to the end."""

    async def __call__(
        self,
        reader: Reader,
        writer: Writer,
        channel: Channel,
        start_tls: StartTls | None,
    ) -> None:
        """Talk; `start_tls` upgrades the connection, None where that is not offered."""


@dataclass(frozen=True, slots=True)
class Safety:
    """How a port is kept from eavesdroppers."""

    passwords_allowed: bool
    starttls: ssl.SSLContext | None = None
    is_tls: bool = False
    tls_end_point: bytes | None = None
    """Names the certificate, for SCRAM-SHA-256-PLUS (RFC 5929)."""


class LineService:
    """The clients of one port."""

    def __init__(self, talk: Talk, check: PeerCheck, safety: Safety, *, refusal: bytes) -> None:
        """`refusal` is what stands before the reason why a client is not served."""
        self._talk = talk
        self._check = check
        self._safety = safety
        self._refusal = refusal
        self._conversations = Conversations()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to serve one client, to its end or ours."""
        self._conversations.begin(self._serve(reader, writer), writer)

    async def close(self) -> None:
        """Say goodbye to every client."""
        await self._conversations.hang_up()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the daemon stops
        finally:
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None:
            raise ConnectionError("the client has gone")
        host, port = peer[:2]
        local_port = writer.get_extra_info("sockname")[1]
        if len(self._conversations) > CONNECTIONS_MAX:
            writer.write(self._refusal + b"Too many connections\r\n")
            return
        if not await self._check.allowed(host, port, local_port):
            writer.write(self._refusal + b"This port serves the user who runs the daemon\r\n")
            return
        safety = self._safety
        allowed = safety.passwords_allowed or safety.is_tls
        end_point = safety.tls_end_point if safety.is_tls else None

        async def start_tls(last_words: bytes) -> Secured:
            assert safety.starttls is not None
            writer.write(last_words)
            return await self._secure(writer, safety.starttls, host)

        channel = Channel(host, Scope.MAIL, allowed, end_point)
        await self._talk(reader, writer, channel, start_tls if safety.starttls else None)

    async def _secure(
        self, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str
    ) -> Secured:
        """Upgrade to TLS with a fresh reader: what came in the clear is never heard as TLS.

        Nothing is awaited before the loop changes protocols: else the old reader would take the
        client's first octets of TLS.
        """
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=STREAM_BYTES_MAX)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport = await loop.start_tls(
            writer.transport,
            protocol,
            context,
            server_side=True,
            ssl_handshake_timeout=TLS_HANDSHAKE_SECONDS,
        )
        if transport is None:
            raise ConnectionError("the client went away before TLS was up")
        protocol.connection_made(transport)
        secured = asyncio.StreamWriter(transport, protocol, reader, loop)
        end_point = self._safety.tls_end_point
        channel = Channel(host, Scope.MAIL, passwords_allowed=True, tls_server_end_point=end_point)
        return Secured(reader, secured, channel)
