"""Commands of somebody who is logged in (RFC 1939 section 5; TOP and UIDL of section 7)."""

from collections.abc import Awaitable, Callable, Mapping

from epost.foundation.errors import EpostError, NotFoundError
from epost.foundation.octets import Octets
from epost.servers.pop3.limits import ROWS_PER_SLICE
from epost.servers.pop3.lines import END, Pop3SyntaxError, err, ok, read_numbers, stuffed, top
from epost.servers.pop3.maildrop import Maildrop
from epost.servers.pop3.session import Session

_Show = Callable[[Maildrop, int], bytes]


async def stat(_session: Session, maildrop: Maildrop, rest: bytes) -> bytes:
    """STAT."""
    read_numbers(rest, fewest=0, most=0)
    return ok("{} {}".format(*maildrop.totals()))


async def listing(session: Session, maildrop: Maildrop, rest: bytes) -> bytes:
    """LIST: the sizes of all messages or of one."""
    return await _listed(session, maildrop, rest, lambda drop, n: b"%d" % drop.size(n))


async def unique_ids(session: Session, maildrop: Maildrop, rest: bytes) -> bytes:
    """UIDL: names that stay, of all messages or of one."""
    return await _listed(session, maildrop, rest, lambda drop, n: drop.unique_id(n).encode("ascii"))


async def _listed(session: Session, maildrop: Maildrop, rest: bytes, show: _Show) -> bytes:
    if rest:
        number = _message(maildrop, rest)
        return b"+OK %d %b\r\n" % (number, show(maildrop, number))
    session.client.send(ok("{} messages, {} octets".format(*maildrop.totals())))
    for count, number in enumerate(maildrop.numbers(), 1):
        session.client.send(b"%d %b\r\n" % (number, show(maildrop, number)))
        if count % ROWS_PER_SLICE == 0:
            await session.client.breathe()
    return END


async def retrieve(session: Session, maildrop: Maildrop, rest: bytes) -> bytes:
    """RETR: the mail, octet by octet as it came."""
    octets = await maildrop.octets(_message(maildrop, rest))
    return await _sent(session, octets)


async def top_lines(session: Session, maildrop: Maildrop, rest: bytes) -> bytes:
    """TOP: the header and so many lines of the body."""
    number, lines = read_numbers(rest, fewest=2, most=2)
    _require(maildrop, number)
    header = await maildrop.header(number)
    if lines == 0:
        return await _sent(session, header)
    return await _sent(session, top(await maildrop.octets(number), len(header), lines))


async def _sent(session: Session, octets: Octets) -> bytes:
    """Send an answer with a mail in it; its end is what is returned."""
    session.client.send(ok(f"{len(octets)} octets"))
    for piece in stuffed(octets):
        session.client.send(piece)
        await session.client.breathe()
    return END


async def delete(session: Session, maildrop: Maildrop, rest: bytes) -> bytes:
    """DELE: marks; QUIT removes."""
    if session.is_read_only:
        return err("This password is good for reading only", "SYS/PERM")
    number = _message(maildrop, rest)
    maildrop.delete(number)
    return ok(f"Message {number} goes with QUIT")


async def noop(_session: Session, _maildrop: Maildrop, _rest: bytes) -> bytes:
    """NOOP."""
    return ok("Nothing done")


async def reset(_session: Session, maildrop: Maildrop, _rest: bytes) -> bytes:
    """RSET: nothing is marked any more."""
    maildrop.reset()
    return ok("{} messages, {} octets".format(*maildrop.totals()))


async def commit(session: Session, maildrop: Maildrop) -> bytes:
    """QUIT: the only place where anything is removed (RFC 1939 section 6)."""
    try:
        is_done = await maildrop.commit()
    except EpostError:
        is_done = False
    session.leave()
    if is_done:
        return ok("Good-bye")
    return err("Some messages were not removed, please try again later", "SYS/TEMP")


def _message(maildrop: Maildrop, rest: bytes) -> int:
    """The number of a message that is there and not marked."""
    (number,) = read_numbers(rest, fewest=1, most=1)
    _require(maildrop, number)
    return number


def _require(maildrop: Maildrop, number: int) -> None:
    if not maildrop.has(number):
        raise Pop3SyntaxError("There is no such message")


def error_line(error: EpostError) -> bytes:
    """What a client is told of an error; the texts name nothing of other people's mail."""
    if isinstance(error, NotFoundError):
        return err("Another program has removed this message")
    return err("Not available now, please try again later", "SYS/TEMP")


COMMANDS: Mapping[str, Callable[[Session, Maildrop, bytes], Awaitable[bytes]]] = {
    "STAT": stat,
    "LIST": listing,
    "UIDL": unique_ids,
    "RETR": retrieve,
    "TOP": top_lines,
    "DELE": delete,
    "NOOP": noop,
    "RSET": reset,
}
