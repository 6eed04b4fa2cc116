"""The listeners for the user's own mail programs: SMTP submission, IMAP and POP3.

On loopback each connection is of this user's programs (uid check, Linux) and still logs in. Without
the uid check there is TLS: implicit on all ports (`tls`) or on request (`starttls`). Phones in the
LAN or VPN are served at ports of their own, with TLS always.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from epost.daemon.config import MailSection, parse_address
from epost.daemon.mail_programs.autoconfig import AutoconfigServer
from epost.daemon.mail_programs.client_settings import settings_for_phones, settings_on_loopback
from epost.daemon.mail_programs.door import MailDoor, MailFronts, Place
from epost.daemon.mail_programs.lan_tls import lan_certificate, lan_server_context
from epost.daemon.mail_programs.loopback import LoopbackOwnerCheck
from epost.daemon.mail_programs.loopback_tls import server_certificate, server_context
from epost.daemon.mail_programs.passwords import PasswordFile
from epost.daemon.mail_programs.server_certificates import end_point
from epost.daemon.offload import ThreadOffload
from epost.daemon.tls.listening import is_loopback
from epost.foundation.errors import ConfigError
from epost.foundation.ports import Clock
from epost.servers.access import (
    AppPasswordAuthenticator,
    EveryPeer,
    FailureThrottle,
    PeerCheck,
)

CLOSE_SECONDS = 5.0


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
        passwords = PasswordFile(data_dir)
        authenticator = AppPasswordAuthenticator(
            book=passwords,
            throttle=FailureThrottle(now=clock.now, sleep=asyncio.sleep),
            entropy=secrets.token_bytes,
            server_secret=passwords.server_secret,
        )
        places = [_on_loopback(section, data_dir, peer_check(section, executor))]
        if section.lan_smtp or section.lan_imap:
            places.append(_for_phones(section, data_dir))
        self._doors = [
            MailDoor(
                place,
                fronts,
                authenticator,
                clock=clock,
                offload=ThreadOffload(executor),
                message_size_max=section.message_size_max,
            )
            for place in places
        ]
        self._autoconfig = _autoconfig(section, passwords.account) if section.autoconfig else None

    def bind(self) -> None:
        """Take all ports, serving nobody yet; raises ConfigError naming one that is taken."""
        try:
            for door in self._doors:
                door.bind()
            if self._autoconfig is not None:
                self._autoconfig.bind()
        except ConfigError:
            self.release()
            raise

    def release(self) -> None:
        """Give up ports that were taken and never served."""
        for door in self._doors:
            door.release()
        if self._autoconfig is not None:
            self._autoconfig.release()

    async def start(self) -> None:
        """Serve the ports that `bind` has taken."""
        for door in self._doors:
            await door.start()
        if self._autoconfig is not None:
            self._autoconfig.start()

    async def close(self) -> None:
        """Take no more connections, finish what is being submitted, say goodbye."""
        for door in self._doors:
            await door.stop_listening()
        if self._autoconfig is not None:
            await self._autoconfig.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for door in self._doors:
                    await door.close()


def _on_loopback(section: MailSection, data_dir: Path, check: PeerCheck) -> Place:
    tls = None if section.security == "plain" else server_context(data_dir)
    return Place(
        smtp=section.smtp,
        imap=section.imap,
        pop3=section.pop3,
        security=section.security,
        tls=tls,
        tls_end_point=end_point(server_certificate(data_dir)) if tls else None,
        check=check,
    )


def _for_phones(section: MailSection, data_dir: Path) -> Place:
    if not (section.lan_smtp and section.lan_imap):
        raise ConfigError("[mail] lan_smtp and lan_imap: set both or none")
    hosts = [parse_address(section.lan_imap).host, parse_address(section.lan_smtp).host]
    names = [section.lan_name] if section.lan_name else []
    tls = lan_server_context(data_dir, [*names, *hosts])
    return Place(
        smtp=section.lan_smtp,
        imap=section.lan_imap,
        security="tls",
        tls=tls,
        tls_end_point=end_point(lan_certificate(data_dir)),
        check=EveryPeer(),
        label="lan_",
    )


def _autoconfig(section: MailSection, account: str) -> AutoconfigServer:
    """Serve programs of this machine what is on loopback, and others what is for phones."""
    address = parse_address(section.autoconfig)
    find = settings_on_loopback if is_loopback(address) else settings_for_phones
    return AutoconfigServer(address, find(section, account))


def peer_check(section: MailSection, executor: ThreadPoolExecutor) -> PeerCheck:
    """Return who may connect to the mail listeners; raises ConfigError for unsafe settings."""
    listeners = [parse_address(a) for a in (section.smtp, section.imap, section.pop3) if a]
    on_loopback = all(map(is_loopback, listeners))
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
