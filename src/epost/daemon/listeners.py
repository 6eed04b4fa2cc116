"""The listeners for the user's own mail programs: SMTP submission and IMAP, on loopback.

Each connection is of this user's programs (uid check, Linux) and still logs in. Without the uid
check there is TLS: implicit on both ports (`tls`) or on request (`starttls`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import pwd
import secrets
import socket
import ssl
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from epost import __version__
from epost.apps.mail.mailbox import AccountMail
from epost.daemon.config import MailSection, parse_address
from epost.daemon.hanging_up import Conversations, stop_listening
from epost.daemon.loopback import LoopbackOwnerCheck
from epost.daemon.loopback_tls import end_point, server_context
from epost.daemon.passwords import PasswordFile
from epost.daemon.tls.listening import listen
from epost.foundation.errors import ConfigError
from epost.foundation.ports import Clock
from epost.servers.access import (
    AppPasswordAuthenticator,
    Channel,
    EveryPeer,
    FailureThrottle,
    PeerCheck,
    Scope,
)
from epost.servers.imap.connection import ImapConnection, Secured
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.site import ImapSite
from epost.servers.smtp.config import PlaintextLogin, SmtpConfig
from epost.servers.smtp.listener import SubmissionListener
from epost.servers.smtp.services import SubmissionServices, TlsOffer
from epost.servers.smtp.submission import Submitter

CONNECTIONS_MAX = 100
CLOSE_SECONDS = 5.0
STREAM_LIMIT = 256 * 1024
TLS_HANDSHAKE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class MailFronts:
    """What the listeners serve: the account's mail, and the way in for new mail."""

    submitter: Submitter
    open_mail: Callable[[str], Awaitable[AccountMail]]
    storage_limit: Callable[[], int]
    """Octets of mail that the organisation lets a member keep, 0 for no limit."""


class MailListeners:
    """Both listeners of one user's daemon."""

    def __init__(
        self,
        section: MailSection,
        data_dir: Path,
        fronts: MailFronts,
        *,
        clock: Clock,
        executor: ThreadPoolExecutor,
    ) -> None:
        """Raises ConfigError if plain passwords would pass where others could catch them."""
        self._section = section
        self._fronts = fronts
        self._smtp_address = parse_address(section.smtp)
        self._imap_address = parse_address(section.imap)
        self._peer_check = peer_check(section, executor)
        self._tls = None if section.security == "plain" else server_context(data_dir)
        self._end_point = None if section.security == "plain" else end_point(data_dir)
        passwords = PasswordFile(data_dir)
        self._authenticator = AppPasswordAuthenticator(
            book=passwords,
            throttle=FailureThrottle(now=clock.now, sleep=asyncio.sleep),
            entropy=secrets.token_bytes,
            server_secret=passwords.server_secret,
        )
        self._smtp = SubmissionListener(self._submission_services())
        self._imap = ImapService(
            ImapSite(
                self._authenticator,
                fronts.open_mail,
                clock,
                storage_limit=fronts.storage_limit,
                product_version=__version__,
                limits=ImapLimits(mail_bytes_max=section.message_size_max),
            ),
            self._peer_check,
            passwords_allowed=section.security == "plain",
            starttls=self._tls if section.security == "starttls" else None,
            is_tls=section.security == "tls",
            tls_end_point=self._end_point,
        )
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []

    def bind(self) -> None:
        """Take both ports, serving nobody yet; raises ConfigError naming one that is taken."""
        self._sockets.append(listen(self._smtp_address, purpose="[mail] smtp"))
        self._sockets.append(listen(self._imap_address, purpose="[mail] imap"))

    def release(self) -> None:
        """Give up ports that were taken and never served."""
        for taken in self._sockets:
            taken.close()
        self._sockets.clear()

    async def start(self) -> None:
        """Serve the ports that `bind` has taken."""
        loop = asyncio.get_running_loop()
        implicit = self._tls if self._section.security == "tls" else None
        smtp, imap = self._sockets
        self._sockets.clear()  # the servers close them
        self._servers.append(await loop.create_server(self._smtp, sock=smtp, ssl=implicit))
        self._servers.append(
            await asyncio.start_server(
                self._imap.serve, sock=imap, ssl=implicit, limit=STREAM_LIMIT
            )
        )

    async def close(self) -> None:
        """Take no more connections, finish what is being submitted, say goodbye."""
        for server in self._servers:
            await stop_listening(server)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._smtp.close()
                await self._imap.close()

    def _submission_services(self) -> SubmissionServices:
        plain = self._section.security == "plain"
        config = SmtpConfig(
            plaintext_login=PlaintextLogin.PASSWORDS if plain else PlaintextLogin.NONE,
            message_bytes_max=self._section.message_size_max,
            connections_max=CONNECTIONS_MAX,
        )
        return SubmissionServices(
            config,
            self._authenticator,
            self._fronts.submitter,
            self._peer_check,
            tls=TlsOffer(self._tls, self._end_point) if self._tls else None,
            starttls=self._section.security == "starttls",
        )


def peer_check(section: MailSection, executor: ThreadPoolExecutor) -> PeerCheck:
    """Return who may connect to the mail listeners; raises ConfigError for unsafe settings."""
    hosts = [parse_address(a).host for a in (section.smtp, section.imap)]
    on_loopback = all(_is_loopback(host) for host in hosts)
    if on_loopback and LoopbackOwnerCheck.is_available():
        uids = [uid_of(user) for user in section.allowed_users]
        return LoopbackOwnerCheck(executor, allowed_uids=(os.getuid(), 0, *uids))
    if section.security == "plain":
        raise ConfigError(
            '[mail] security = "plain" is safe only on loopback of a Linux system, where '
            'connections of other users are refused. Set security = "tls".'
        )
    return EveryPeer()


def uid_of(user: str) -> int:
    """Return the uid of a local user; raises ConfigError."""
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise ConfigError(f"[mail] allowed_users: there is no local user {user!r}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ImapService:
    """Accepts IMAP clients and keeps their conversations."""

    def __init__(
        self,
        site: ImapSite,
        check: PeerCheck,
        *,
        passwords_allowed: bool,
        starttls: ssl.SSLContext | None,
        is_tls: bool,
        tls_end_point: bytes | None = None,
    ) -> None:
        """`tls_end_point` names the certificate, for SCRAM-SHA-256-PLUS (RFC 5929)."""
        self._site = site
        self._check = check
        self._passwords_allowed = passwords_allowed or is_tls
        self._starttls = starttls
        self._tls_end_point = tls_end_point
        self._end_point = tls_end_point if is_tls else None
        self._conversations = Conversations()

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to serve one client, to its end or ours."""
        self._conversations.begin(self._serve(reader, writer), writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the daemon stops
        finally:
            writer.close()

    async def close(self) -> None:
        """Say goodbye to every client."""
        await self._conversations.hang_up()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None:
            raise ConnectionError("the client has gone")
        host, port = peer[:2]
        local_port = writer.get_extra_info("sockname")[1]
        if len(self._conversations) > CONNECTIONS_MAX:
            writer.write(b"* BYE Too many connections\r\n")
            return
        if not await self._check.allowed(host, port, local_port):
            writer.write(b"* BYE This port serves the user who runs the daemon\r\n")
            return
        channel = Channel(host, Scope.MAIL, self._passwords_allowed, self._end_point)

        async def start_tls() -> Secured:
            assert self._starttls is not None
            return await self._secure(writer, self._starttls, host)

        await ImapConnection(
            reader,
            writer,
            site=self._site,
            channel=channel,
            start_tls=start_tls if self._starttls else None,
        ).serve()

    async def _secure(
        self, writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str
    ) -> Secured:
        """Upgrade to TLS with a fresh reader: what came in the clear is never heard as TLS."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=STREAM_LIMIT)
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
        channel = Channel(
            host, Scope.MAIL, passwords_allowed=True, tls_server_end_point=self._tls_end_point
        )
        return Secured(reader, secured, channel)
