"""The listeners for the user's own mail programs: SMTP submission, IMAP and POP3, on loopback.

Each connection is of this user's programs (uid check, Linux) and still logs in. Without the uid
check there is TLS: implicit on all ports (`tls`) or on request (`starttls`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import pwd
import secrets
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from epost import __version__
from epost.apps.mail.mailbox import AccountMail
from epost.daemon.config import MailSection, parse_address
from epost.daemon.hanging_up import stop_listening
from epost.daemon.line_service import (
    CONNECTIONS_MAX,
    STREAM_LIMIT,
    LineService,
    Safety,
    StartTls,
    Talk,
)
from epost.daemon.loopback import LoopbackOwnerCheck
from epost.daemon.loopback_tls import end_point, server_context
from epost.daemon.offload import ThreadOffload
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
    Reader,
    Writer,
)
from epost.servers.imap.connection import ImapConnection
from epost.servers.imap.limits import ImapLimits
from epost.servers.imap.site import ImapSite
from epost.servers.pop3.connection import Pop3Connection
from epost.servers.pop3.site import Pop3Site
from epost.servers.smtp.config import PlaintextLogin, SmtpConfig
from epost.servers.smtp.listener import SubmissionListener
from epost.servers.smtp.services import SubmissionServices, TlsOffer
from epost.servers.smtp.submission import Submitter

CLOSE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class MailFronts:
    """What the listeners serve: the account's mail, and the way in for new mail."""

    submitter: Submitter
    open_mail: Callable[[str], Awaitable[AccountMail]]
    storage_limit: Callable[[], int]
    """Octets of mail that the organisation lets a member keep, 0 for no limit."""


class MailListeners:
    """All listeners of one user's daemon."""

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
        self._clock = clock
        self._fronts = fronts
        self._smtp_address = parse_address(section.smtp)
        self._imap_address = parse_address(section.imap)
        self._peer_check = peer_check(section, executor)
        self._tls = None if section.security == "plain" else server_context(data_dir)
        self._offload = ThreadOffload(executor)
        self._end_point = None if section.security == "plain" else end_point(data_dir)
        passwords = PasswordFile(data_dir)
        self._authenticator = AppPasswordAuthenticator(
            book=passwords,
            throttle=FailureThrottle(now=clock.now, sleep=asyncio.sleep),
            entropy=secrets.token_bytes,
            server_secret=passwords.server_secret,
        )
        self._smtp = SubmissionListener(self._submission_services())
        self._imap = self._line_service(self._imap_talk(clock), b"* BYE ")
        self._pop3 = self._line_service(self._pop3_talk(), b"-ERR ")
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.Server] = []

    def bind(self) -> None:
        """Take all ports, serving nobody yet; raises ConfigError naming one that is taken."""
        self._sockets.append(listen(self._smtp_address, purpose="[mail] smtp"))
        self._sockets.append(listen(self._imap_address, purpose="[mail] imap"))
        if self._section.pop3:
            address = parse_address(self._section.pop3)
            self._sockets.append(listen(address, purpose="[mail] pop3"))

    def release(self) -> None:
        """Give up ports that were taken and never served."""
        for taken in self._sockets:
            taken.close()
        self._sockets.clear()

    async def start(self) -> None:
        """Serve the ports that `bind` has taken."""
        loop = asyncio.get_running_loop()
        implicit = self._tls if self._section.security == "tls" else None
        smtp, *others = self._sockets
        self._sockets.clear()  # the servers close them
        self._servers.append(await loop.create_server(self._smtp, sock=smtp, ssl=implicit))
        for service, taken in zip((self._imap, self._pop3), others, strict=False):
            self._servers.append(
                await asyncio.start_server(
                    service.serve, sock=taken, ssl=implicit, limit=STREAM_LIMIT
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
                await self._pop3.close()

    def _line_service(self, talk: Talk, refusal: bytes) -> LineService:
        safety = Safety(
            passwords_allowed=self._section.security == "plain",
            starttls=self._tls if self._section.security == "starttls" else None,
            is_tls=self._section.security == "tls",
            tls_end_point=self._end_point,
        )
        return LineService(talk, self._peer_check, safety, refusal=refusal)

    def _imap_talk(self, clock: Clock) -> Talk:
        site = ImapSite(
            self._authenticator,
            self._fronts.open_mail,
            clock,
            storage_limit=self._fronts.storage_limit,
            offload=self._offload,
            product_version=__version__,
            limits=ImapLimits(mail_bytes_max=self._section.message_size_max),
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
            self._clock.wall_ms,
            tls=TlsOffer(self._tls, self._end_point) if self._tls else None,
            starttls=self._section.security == "starttls",
        )


def peer_check(section: MailSection, executor: ThreadPoolExecutor) -> PeerCheck:
    """Return who may connect to the mail listeners; raises ConfigError for unsafe settings."""
    hosts = [parse_address(a).host for a in (section.smtp, section.imap, section.pop3) if a]
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
