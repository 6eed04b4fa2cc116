"""From a line to an answer, and what the server says it can do (RFC 2449)."""

from collections.abc import Iterator

from epost.foundation.errors import EpostError
from epost.servers.pop3 import authorization, transaction
from epost.servers.pop3.lines import END, Command, Pop3SyntaxError, err, ok, read_command
from epost.servers.pop3.session import Session


async def perform(session: Session, line: bytes) -> bool:
    """Carry out one command and answer it; returns whether it was one."""
    try:
        command = read_command(line)
        answer = await _carry_out(session, command)
    except Pop3SyntaxError as error:
        session.client.send(err(str(error)))
        return False
    except EpostError as error:
        answer = transaction.error_line(error)
    session.client.send(answer)
    return True


async def _carry_out(session: Session, command: Command) -> bytes:
    name, maildrop = command.name, session.maildrop
    if name == "CAPA":
        for line in _capabilities(session):
            session.client.send(line.encode("ascii") + b"\r\n")
        return END
    if name == "QUIT":
        session.is_over = True
        return ok("Good-bye") if maildrop is None else await transaction.commit(session, maildrop)
    if name in authorization.COMMANDS:
        if maildrop is not None:
            return err("You are logged in already")
        return await authorization.COMMANDS[name](session, command.rest)
    if name in transaction.COMMANDS:
        if maildrop is None:
            return err("Please log in first")
        return await transaction.COMMANDS[name](session, maildrop, command.rest)
    raise Pop3SyntaxError("Unknown command")


def _capabilities(session: Session) -> Iterator[str]:
    yield "+OK This can be done"
    yield from ("TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "EXPIRE NEVER")
    yield "UTF8 USER"
    if session.client.can_start_tls:
        yield "STLS"
    if session.channel.passwords_allowed:
        yield "USER"
    yield "SASL " + " ".join(session.site.authenticator.mechanisms(session.channel))
    yield "IMPLEMENTATION ePOST"
