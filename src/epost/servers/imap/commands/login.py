"""Becoming somebody: STARTTLS, AUTHENTICATE, LOGIN (RFC 3501 6.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from epost.servers.access import (
    LOGIN_REJECTED,
    Accepted,
    Cancelled,
    Malformed,
    Rejected,
    Scope,
    TryLater,
    Verdict,
    converse,
)
from epost.servers.imap.replies import Reply, bad, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.verbs import LoginVerb, Verb, after_space, no_arguments


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

    async def ask(challenge: bytes) -> bytes:
        session.send(b"+ ", challenge, b"\r\n")
        return await session.client.read_line()

    outcome = await converse(exchange, request.initial_response, ask)
    if isinstance(outcome, Cancelled):
        return bad("Authentication was cancelled")
    return await _conclude(session, outcome)


async def login(session: Session, request: LoginRequest) -> Reply:
    """LOGIN (RFC 3501 6.2.3)."""
    if not session.channel.passwords_allowed:
        return no("No password in the clear: use TLS or SCRAM", b"PRIVACYREQUIRED")
    verdict = await session.site.authenticator.check_password(
        request.login, request.password, session.channel
    )
    return await _conclude(session, verdict)


async def _conclude(session: Session, outcome: Verdict | Malformed) -> Reply:
    match outcome:
        case Accepted(account, scope=scope):
            session.account = account
            session.is_read_only = scope is Scope.READ_ONLY
            session.mail = await session.site.open_mail(account)
            return ok("Logged in", b"CAPABILITY " + b" ".join(session.capabilities()))
        case Rejected():
            return no(LOGIN_REJECTED, b"AUTHENTICATIONFAILED")
        case TryLater():
            return no("Too many failures, please try again later", b"UNAVAILABLE")
        case Malformed():
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
