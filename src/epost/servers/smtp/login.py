"""Logging in to submit: STARTTLS and AUTH (RFC 3207, RFC 4954), by the passwords IMAP uses too."""

import base64
from typing import assert_never

from epost.servers.access import (
    Accepted,
    Cancelled,
    Channel,
    Malformed,
    Rejected,
    Scope,
    TryLater,
    converse,
)
from epost.servers.smtp import replies
from epost.servers.smtp.config import PlaintextLogin
from epost.servers.smtp.connection import StrictConnection
from epost.servers.smtp.replies import Reply
from epost.servers.smtp.transaction import AccountSession


class LoginConnection(StrictConnection):
    """A connection that lets a client log in."""

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802
        """Begin TLS once; the library forgets login, greeting and buffered octets (RFC 3207)."""
        if self._is_encrypted() or self.tls_context is None:
            await self._reply(replies.NOT_IMPLEMENTED)
        else:
            await super().smtp_STARTTLS(arg or "")

    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802
        """Log in (RFC 4954)."""
        await self._reply(await self._log_in(arg or ""))

    def _login_offers(self) -> list[str]:
        """Return the lines of the greeting about TLS and login."""
        offers = []
        if self.tls_context is not None and not self._is_encrypted():
            offers.append("STARTTLS")
        if self._may_log_in():
            mechanisms = self._services.authenticator.mechanisms(self._channel())
            offers.append(f"AUTH {' '.join(mechanisms)}")
        return offers

    def _account(self) -> str:
        assert isinstance(self.session, AccountSession)
        return self.session.account

    def _may_log_in(self) -> bool:
        return self._is_encrypted() or self._config.plaintext_login is not PlaintextLogin.NONE

    def _channel(self) -> Channel:
        is_encrypted = self._is_encrypted()
        passwords_in_plain = self._config.plaintext_login is PlaintextLogin.PASSWORDS
        tls = self._services.tls
        return Channel(
            source=self._peer()[0],
            scope=Scope.SUBMIT,
            passwords_allowed=is_encrypted or passwords_in_plain,
            tls_server_end_point=tls.server_end_point if tls and is_encrypted else None,
        )

    async def _log_in(self, arg: str) -> Reply:
        assert self.session is not None
        if not self.session.extended_smtp:
            return replies.NEEDS_EHLO
        if self.session.authenticated:
            return replies.LOGGED_IN_ALREADY
        if not self._may_log_in():
            return replies.LOGIN_NEEDS_TLS
        mechanism, _, initial = arg.partition(" ")
        exchange = self._services.authenticator.begin(mechanism, self._channel())
        if exchange is None:
            return replies.NO_SUCH_MECHANISM
        try:
            response = _initial_response(initial)
        except ValueError:
            return replies.LOGIN_MALFORMED
        outcome = await converse(exchange, response, self._ask)
        if isinstance(outcome, Cancelled):
            return replies.LOGIN_ABORTED
        return self._login_reply(outcome)

    async def _ask(self, challenge: bytes) -> bytes:
        await self.push(b"334 " + challenge)
        return await self._read_line(self._config.login_line_bytes_max)

    def _login_reply(self, outcome: Accepted | Rejected | TryLater | Malformed) -> Reply:
        assert isinstance(self.session, AccountSession)
        match outcome:
            case Accepted(account=account):
                self.session.authenticated = True
                self.session.account = account
                return replies.LOGGED_IN
            case Rejected():
                return replies.LOGIN_FAILED
            case TryLater():
                return replies.LOGIN_LATER
            case Malformed():
                return replies.LOGIN_MALFORMED
            case _:
                assert_never(outcome)


def _initial_response(text: str) -> bytes | None:
    """Decode the initial response of AUTH; "=" is an empty one, nothing is none."""
    if not text:
        return None
    return b"" if text == "=" else base64.b64decode(text, validate=True)
