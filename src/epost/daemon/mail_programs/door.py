"""One place where mail programs are served: its ports, and the servers behind them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from epost import __version__
from epost.apps.mail.mailbox import AccountMail
from epost.apps.mail.ports import Offload
from epost.daemon.config import Security, parse_address
from epost.daemon.hanging_up import stop_listening
from epost.daemon.mail_programs.line_service import (
    CONNECTIONS_MAX,
    STREAM_BYTES_MAX,
    LineService,
    Safety,
    Talk,
)
from epost.daemon.tls.listening import listen
from epost.foundation.ports import Clock
from epost.foundation.spool import Spool
from epost.servers.access import Authenticator, Channel, PeerCheck, Reader, StartTls, Writer
from epost.servers.imap.connection import ImapConnection
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.site import ImapSite
from epost.servers.pop3.connection import Pop3Connection
from epost.servers.pop3.site import Pop3Site
from epost.servers.smtp.config import PlaintextLogin, SmtpConfig
from epost.servers.smtp.listener import SubmissionListener
from epost.servers.smtp.services import SubmissionServices, TlsOffer
from epost.servers.smtp.submission import Submitter


@dataclass(frozen=True, slots=True)
class MailFronts:
    """What the listeners serve: the account's mail, and the way in for new mail."""

    submitter: Submitter
    open_mail: Callable[[str], Awaitable[AccountMail]]
    storage_limit: Callable[[], int]
    """Octets of mail that the organisation lets a member keep, 0 for no limit."""
    spool: Spool


@dataclass(frozen=True, slots=True)
class Place:
    """Where mail programs connect, and how that is kept safe; an empty address: not at all.

    `label` stands before the names of the settings in messages.
    """

    smtp: str
    imap: str
    security: Security
    tls: ssl.SSLContext | None
    tls_end_point: bytes | None
    check: PeerCheck
    pop3: str = ""
    label: str = ""

    @property
    def implicit_tls(self) -> ssl.SSLContext | None:
        """TLS from the first octet on."""
        return self.tls if self.security == "tls" else None


class MailDoor:
    """The servers of one place."""

    def __init__(
        self,
        place: Place,
        fronts: MailFronts,
        authenticator: Authenticator,
        *,
        clock: Clock,
        offload: Offload,
        message_size_max: int,
    ) -> None:
        self._place = place
        self._fronts = fronts
        self._authenticator = authenticator
        self._clock = clock
        self._offload = offload
        self._message_size_max = message_size_max
        self._smtp = SubmissionListener(self._submission_services())
        # Only by IMAP is SCRAM-SHA-256-PLUS offered: over TLS 1.3 programs built with GNU SASL
        # choose it and cannot bind to a certificate; by SMTP and POP3 they do not try another.
        self._imap = self._line_service(self._imap_talk(), b"* BYE ", place.tls_end_point)
        self._pop3 = self._line_service(self._pop3_talk(), b"-ERR ")
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []

    def bind(self) -> None:
        """Take all ports, serving nobody yet; raises ConfigError naming one that is taken."""
        place = self._place
        for name, address in (("smtp", place.smtp), ("imap", place.imap), ("pop3", place.pop3)):
            if address:
                purpose = f"[mail] {place.label}{name}"
                self._sockets.append(listen(parse_address(address), purpose=purpose))

    def release(self) -> None:
        """Give up ports that were taken and never served."""
        for taken in self._sockets:
            taken.close()
        self._sockets.clear()

    async def start(self) -> None:
        """Serve the ports that `bind` has taken."""
        loop = asyncio.get_running_loop()
        implicit = self._place.implicit_tls
        smtp, *others = self._sockets
        self._sockets.clear()  # the servers close them
        self._servers.append(await loop.create_server(self._smtp, sock=smtp, ssl=implicit))
        for service, taken in zip((self._imap, self._pop3), others, strict=False):
            self._servers.append(
                await asyncio.start_server(
                    service.serve, sock=taken, ssl=implicit, limit=STREAM_BYTES_MAX
                )
            )

    async def stop_listening(self) -> None:
        """Take no more connections."""
        for server in self._servers:
            await stop_listening(server)

    async def close(self) -> None:
        """Finish what is being submitted, say goodbye."""
        await self._smtp.close()
        await self._imap.close()
        await self._pop3.close()

    def _line_service(
        self, talk: Talk, refusal: bytes, tls_end_point: bytes | None = None
    ) -> LineService:
        place = self._place
        safety = Safety(
            passwords_allowed=place.security == "plain",
            starttls=place.tls if place.security == "starttls" else None,
            is_tls=place.security == "tls",
            tls_end_point=tls_end_point,
        )
        return LineService(talk, place.check, safety, refusal=refusal)

    def _imap_talk(self) -> Talk:
        site = ImapSite(
            self._authenticator,
            self._fronts.open_mail,
            self._clock,
            self._offload,
            storage_limit=self._fronts.storage_limit,
            spool=self._fronts.spool,
            product_version=__version__,
            limits=ImapLimits(mail_bytes_max=self._message_size_max),
        )

        async def talk(
            reader: Reader, writer: Writer, channel: Channel, start_tls: StartTls | None
        ) -> None:
            connection = ImapConnection(
                reader, writer, site=site, channel=channel, start_tls=start_tls
            )
            await connection.serve()

        return talk

    def _pop3_talk(self) -> Talk:
        site = Pop3Site(self._authenticator, self._fronts.open_mail)

        async def talk(
            reader: Reader, writer: Writer, channel: Channel, start_tls: StartTls | None
        ) -> None:
            connection = Pop3Connection(
                reader, writer, site=site, channel=channel, start_tls=start_tls
            )
            await connection.serve()

        return talk

    def _submission_services(self) -> SubmissionServices:
        place = self._place
        is_plain = place.security == "plain"
        config = SmtpConfig(
            plaintext_login=PlaintextLogin.PASSWORDS if is_plain else PlaintextLogin.NONE,
            message_bytes_max=self._message_size_max,
            connections_max=CONNECTIONS_MAX,
        )
        return SubmissionServices(
            config,
            self._authenticator,
            self._fronts.submitter,
            place.check,
            self._clock.wall_ms,
            tls=TlsOffer(place.tls) if place.tls else None,
            starttls=place.security == "starttls",
            spool=self._fronts.spool,
        )
