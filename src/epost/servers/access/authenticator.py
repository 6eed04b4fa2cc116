"""Logs clients in with app passwords: PLAIN, LOGIN and SCRAM-SHA-256, throttled.

An unknown account, an account without a password for the scope and a wrong password take the same
work and the same delay, and get the same answer; only a right password that was right before is
checked with less work.
"""

import base64
import hmac
from collections.abc import Sequence
from typing import Protocol

from epost.servers.access.outcome import (
    Accepted,
    Channel,
    Rejected,
    SaslExchange,
    TryLater,
    Verdict,
)
from epost.servers.access.passwords import (
    ITERATIONS,
    LOGIN_CHARACTERS_MAX,
    PASSWORD_CHARACTERS_MAX,
    AccountPasswords,
    Entropy,
    PasswordBook,
    account_salt,
    canonical_login,
)
from epost.servers.access.recent_tokens import RecentTokens
from epost.servers.access.sasl import LoginExchange, PlainExchange, ScramExchange
from epost.servers.access.scram import SERVER_NONCE_BYTES, Candidates, ScramServer
from epost.servers.access.throttle import FailureThrottle

TOKENS_KEY_BYTES = 32


class Authenticator(Protocol):
    """Decides who is logged in on a connection."""

    def mechanisms(self, channel: Channel) -> Sequence[str]:
        """Return the SASL mechanisms to announce on this channel, the best first."""
        ...

    def begin(self, mechanism: str, channel: Channel) -> SaslExchange | None:
        """Start an exchange, or return None for a mechanism that is not announced here."""
        ...

    async def check_password(self, login: str, password: str, channel: Channel) -> Verdict:
        """Check a password sent in the clear, e.g. by IMAP LOGIN.

        Refuses without looking where the channel does not allow passwords.
        """
        ...


class AppPasswordAuthenticator:
    """The real `Authenticator`."""

    def __init__(
        self,
        *,
        book: PasswordBook,
        throttle: FailureThrottle,
        entropy: Entropy,
        server_secret: bytes,
    ) -> None:
        self._book = book
        self._throttle = throttle
        self._entropy = entropy
        self._server_secret = server_secret
        self._tokens = RecentTokens(entropy(TOKENS_KEY_BYTES))

    def mechanisms(self, channel: Channel) -> Sequence[str]:
        """Return the SASL mechanisms to announce on this channel, the best first."""
        bound = ("SCRAM-SHA-256-PLUS",) if channel.tls_server_end_point is not None else ()
        clear = ("PLAIN", "LOGIN") if channel.passwords_allowed else ()
        return (*bound, "SCRAM-SHA-256", *clear)

    def begin(self, mechanism: str, channel: Channel) -> SaslExchange | None:
        """Start an exchange, or return None for a mechanism that is not announced here."""
        name = mechanism.upper()
        if name not in self.mechanisms(channel):
            return None
        if name == "PLAIN":
            return PlainExchange(self, channel)
        if name == "LOGIN":
            return LoginExchange(self, channel)
        return ScramExchange(
            ScramServer(
                candidates=lambda login: self._candidates(login, channel),
                server_nonce=base64.b64encode(self._entropy(SERVER_NONCE_BYTES)).decode(),
                channel_binding=channel.tls_server_end_point if name.endswith("-PLUS") else None,
                plus_offered=channel.tls_server_end_point is not None,
            ),
            self,
            channel,
        )

    async def check_password(self, login: str, password: str, channel: Channel) -> Verdict:
        """Check a password sent in the clear, e.g. by IMAP LOGIN."""
        if not (channel.passwords_allowed and _is_plausible(login, password)):
            return Rejected()
        if not await self.take_turn(login, channel):
            return TryLater()
        found = self._candidates(login, channel)
        offered = self._tokens.record_of(password, found.salt, found.iterations)
        matching = [
            candidate
            for candidate in found.passwords
            if hmac.compare_digest(candidate.record.stored_key, offered.stored_key)
        ]
        if matching:
            self._tokens.keep(password, offered)
        return self.conclude(login, matching[0].application if matching else None, channel)

    async def take_turn(self, login: str, channel: Channel) -> bool:
        """Wait as long as earlier failures demand; False if the attempt must come back later."""
        return await self._throttle.turn(channel.source, canonical_login(login))

    def conclude(self, login: str, application: str | None, channel: Channel) -> Verdict:
        """Count the attempt as a success of `application`, or as a failure if that is None."""
        name = canonical_login(login)
        known = self._book.passwords_of(name)
        scopes = {p.application: p.scope for p in known.passwords} if known else {}
        if application is None or known is None or application not in scopes:
            self._throttle.failed(channel.source, name)
            return Rejected()
        self._throttle.succeeded(channel.source, name)
        return Accepted(known.account, application, scopes[application])

    def _candidates(self, login: str, channel: Channel) -> Candidates:
        name = canonical_login(login)
        known = self._book.passwords_of(name) or AccountPasswords(name, ())
        fitting = tuple(p for p in known.passwords if p.scope.opens(channel.scope))
        if not fitting:
            salt = account_salt(self._server_secret, canonical_login(known.account))
            return Candidates(salt, ITERATIONS, ())
        return Candidates(fitting[0].record.salt, fitting[0].record.iterations, fitting)


def _is_plausible(login: str, password: str) -> bool:
    """Say whether the texts are short enough and valid Unicode (servers may pass surrogates)."""
    if len(login) > LOGIN_CHARACTERS_MAX or len(password) > PASSWORD_CHARACTERS_MAX:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in login + password)
