"""Becoming somebody: STARTTLS, AUTHENTICATE, LOGIN (RFC 3501 6.2)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from epost.servers.access import (
    Accepted,
    Challenge,
    Malformed,
    Rejected,
    SaslExchange,
    SaslOutcome,
    Scope,
    TryLater,
)
from epost.servers.imap.replies import Reply, bad, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.verbs import LoginVerb, Verb, after_space, no_arguments

STEPS_MAX = 8  # of one SASL exchange; SCRAM takes three


@dataclass(frozen=True, slots=True)
class AuthenticateRequest:
    """The mechanism, and the initial response if one was sent along (RFC 4959)."""

    mechanism: str
    initial_response: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A name and a password in the clear."""

    login: str
    password: str = field(repr=False)


async def starttls(session: Session, _request: None) -> Reply:
    """STARTTLS (RFC 3501 6.2.1); the connection changes after the OK, which is still in clear."""
    if not session.client.can_start_tls:
        return bad("TLS is not offered here")
    session.starts_tls = True
    return ok("Begin the TLS negotiation")


async def authenticate(session: Session, request: AuthenticateRequest) -> Reply:
    """AUTHENTICATE (RFC 3501 6.2.2)."""
    exchange = session.site.authenticator.begin(request.mechanism, session.channel)
    if exchange is None:
        return no("This mechanism is not offered here", b"CANNOT")
    outcome = await exchange.step(request.initial_response)
    for _ in range(STEPS_MAX):
        if not isinstance(outcome, Challenge):
            return await _conclude(session, outcome)
        stepped = await _next_step(session, exchange, outcome)
        if stepped is None:
            return bad("Authentication was cancelled")
        outcome = stepped
    return bad("Authentication takes too many steps")


async def _next_step(
    session: Session, exchange: SaslExchange, challenge: Challenge
) -> SaslOutcome | None:
    """Send a challenge and take the answer; None if the client gives up."""
    session.send(b"+ ", base64.b64encode(challenge.data), b"\r\n")
    line = await session.client.read_line()
    if line == b"*":
        return None
    try:
        return await exchange.step(base64.b64decode(line, validate=True))
    except binascii.Error:
        return Malformed()


async def login(session: Session, request: LoginRequest) -> Reply:
    """LOGIN (RFC 3501 6.2.3)."""
    if not session.channel.passwords_allowed:
        return no("No password in the clear: use TLS or SCRAM", b"PRIVACYREQUIRED")
    verdict = await session.site.authenticator.check_password(
        request.login, request.password, session.channel
    )
    return await _conclude(session, verdict)


async def _conclude(session: Session, outcome: SaslOutcome) -> Reply:
    match outcome:
        case Accepted(account, scope=scope):
            session.account = account
            session.is_read_only = scope is Scope.READ_ONLY
            session.mail = await session.site.open_mail(account)
            return ok("Logged in", b"CAPABILITY " + b" ".join(session.capabilities()))
        case Rejected():
            return no("Name or password is wrong", b"AUTHENTICATIONFAILED")
        case TryLater():
            return no("Too many failures, please try again later", b"UNAVAILABLE")
        case Malformed() | Challenge():
            return bad("The response is not one of this mechanism")


def authenticate_request(cursor: Cursor) -> AuthenticateRequest:
    """The mechanism and perhaps an initial response, of which "=" is the empty one."""
    mechanism = cursor.word().decode("ascii")
    if not cursor.skip(b" "):
        return AuthenticateRequest(mechanism, None)
    return AuthenticateRequest(mechanism, cursor.base64())


def login_request(cursor: Cursor) -> LoginRequest:
    """Name and password."""
    name = cursor.text()
    cursor.space()
    return LoginRequest(name, cursor.text())


VERBS: Mapping[bytes, Verb] = {
    b"STARTTLS": LoginVerb(no_arguments, starttls),
    b"AUTHENTICATE": LoginVerb(after_space(authenticate_request), authenticate),
    b"LOGIN": LoginVerb(after_space(login_request), login),
}
