"""Commands until somebody is logged in: USER, PASS, AUTH, STLS, UTF8 (RFC 1939 4, 2595, 5034)."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping

from epost.foundation.errors import EpostError
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
from epost.servers.pop3.lines import Pop3SyntaxError, err, ok
from epost.servers.pop3.session import Session
from epost.servers.pop3.site import MaildropInUse

_NOT_IN_CLEAR = err("No password in the clear: use STLS or SCRAM", "SYS/PERM")


async def user(session: Session, rest: bytes) -> bytes:
    """USER: whether there is such a name is not told."""
    if not session.channel.passwords_allowed:
        return _NOT_IN_CLEAR
    session.user = _text(rest)
    return ok("And the password?")


async def password(session: Session, rest: bytes) -> bytes:
    """PASS: all that follows the space is the password, spaces as well."""
    name, session.user = session.user, None
    if not session.channel.passwords_allowed:
        return _NOT_IN_CLEAR
    if name is None:
        return err("Please say USER first")
    authenticator = session.site.authenticator
    return await _conclude(
        session, await authenticator.check_password(name, _text(rest), session.channel)
    )


async def authenticate(session: Session, rest: bytes) -> bytes:
    """AUTH with a mechanism and perhaps an initial response, of which "=" is the empty one."""
    mechanism, _, initial = rest.partition(b" ")
    exchange = session.site.authenticator.begin(_text(mechanism), session.channel)
    if exchange is None:
        return err("This mechanism is not offered here")
    first = (b"" if initial == b"=" else _decoded(initial)) if initial else None
    if initial and first is None:
        return await _conclude(session, Malformed())

    async def ask(challenge: bytes) -> bytes:
        session.client.send(b"+ %b\r\n" % challenge)
        return await session.client.read_line()

    outcome = await converse(exchange, first, ask)
    if isinstance(outcome, Cancelled):
        return err("Authentication was cancelled")
    return await _conclude(session, outcome)


async def _conclude(session: Session, outcome: Verdict | Malformed) -> bytes:
    match outcome:
        case Accepted(account, scope=scope):
            session.is_read_only = scope is Scope.READ_ONLY
            return await _enter(session, account)
        case Rejected():
            return err(LOGIN_REJECTED, "AUTH")
        case TryLater():
            return err("Too many failures, please try again later", "SYS/TEMP")
        case Malformed():
            return err("The response is not one of this mechanism")


async def _enter(session: Session, account: str) -> bytes:
    try:
        maildrop = await session.open_maildrop(account)
    except MaildropInUse:
        return err("Another program is taking mail at the moment", "IN-USE")
    except EpostError:
        return err("Not available now, please try again later", "SYS/TEMP")
    count, octets = maildrop.totals()
    return ok(f"{count} messages, {octets} octets")


async def start_tls(session: Session, _rest: bytes) -> bytes:
    """STLS (RFC 2595 4): the connection changes after the answer, which is still in clear."""
    if not session.client.can_start_tls:
        return err("TLS is not offered here")
    session.starts_tls = True
    session.user = None
    return ok("Begin the TLS negotiation")


async def utf8(_session: Session, _rest: bytes) -> bytes:
    """UTF8 (RFC 6856 2.1): mails are sent as they are, with it and without it."""
    return ok("UTF-8 it is")


def _text(rest: bytes) -> str:
    try:
        return rest.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Pop3SyntaxError("This is not UTF-8") from error


def _decoded(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


COMMANDS: Mapping[str, Callable[[Session, bytes], Awaitable[bytes]]] = {
    "USER": user,
    "PASS": password,
    "AUTH": authenticate,
    "STLS": start_tls,
    "UTF8": utf8,
}
