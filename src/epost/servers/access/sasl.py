"""The SASL mechanisms that are offered, as exchanges of decoded messages (RFC 4422)."""

from typing import Protocol

from epost.servers.access.outcome import (
    Challenge,
    Channel,
    Malformed,
    SaslOutcome,
    TryLater,
    Verdict,
)
from epost.servers.access.scram import ScramServer, ScramSyntaxError


class Judge(Protocol):
    """What an exchange asks of the authenticator."""

    async def check_password(self, login: str, password: str, channel: Channel) -> Verdict:
        """Check a password sent in the clear."""
        ...

    async def take_turn(self, login: str, channel: Channel) -> bool:
        """Wait as long as earlier failures demand."""
        ...

    def conclude(self, login: str, application: str | None, channel: Channel) -> Verdict:
        """Count a success or a failure."""
        ...


class PlainExchange:
    """PLAIN (RFC 4616): authorization identity, login and password, separated by NUL."""

    def __init__(self, judge: Judge, channel: Channel) -> None:
        self._judge = judge
        self._channel = channel

    async def step(self, response: bytes | None) -> SaslOutcome:
        """Take the only response; see `SaslExchange.step`."""
        if response is None:
            return Challenge(b"")
        try:
            authorize_as, login, password = response.decode().split("\x00")
        except ValueError:  # also UnicodeDecodeError
            return Malformed()
        if not login or authorize_as not in ("", login):
            return Malformed()
        return await self._judge.check_password(login, password, self._channel)


class LoginExchange:
    """LOGIN (draft-murchison-sasl-login): asks for the name, then for the password."""

    def __init__(self, judge: Judge, channel: Channel) -> None:
        self._judge = judge
        self._channel = channel
        self._login: str | None = None

    async def step(self, response: bytes | None) -> SaslOutcome:
        """Take the name, then the password; see `SaslExchange.step`."""
        if response is None:
            return Challenge(b"Username:")
        try:
            text = response.decode()
        except UnicodeDecodeError:
            return Malformed()
        if self._login is None:
            self._login = text
            return Challenge(b"Password:")
        return await self._judge.check_password(self._login, text, self._channel)


class ScramExchange:
    """SCRAM: client-first, client-final, and an empty answer to the server's last message."""

    def __init__(self, scram: ScramServer, judge: Judge, channel: Channel) -> None:
        self._scram = scram
        self._judge = judge
        self._channel = channel
        self._is_started = False
        self._verdict: Verdict | None = None

    async def step(self, response: bytes | None) -> SaslOutcome:
        """Take the next message; see `SaslExchange.step`."""
        if response is None:
            return Challenge(b"")
        if self._verdict is not None:
            return Malformed() if response else self._verdict
        try:
            if not self._is_started:
                self._is_started = True
                return Challenge(self._scram.first(response))
            return await self._conclude(response)
        except ScramSyntaxError:
            return Malformed()

    async def _conclude(self, response: bytes) -> SaslOutcome:
        login = self._scram.login
        if not await self._judge.take_turn(login, self._channel):
            return TryLater()
        match = self._scram.final(response)
        if match is None:
            return self._judge.conclude(login, None, self._channel)
        self._verdict = self._judge.conclude(login, match.password.application, self._channel)
        return Challenge(match.server_final)
