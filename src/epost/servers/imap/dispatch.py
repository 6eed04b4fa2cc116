"""From a frame to a tagged response: finds the command, carries it out, tells what changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from epost.foundation.errors import EpostError
from epost.servers.imap.commands import (
    appending,
    compressing,
    copying,
    fetching,
    folders,
    idling,
    listing,
    login,
    metadata,
    notifying,
    ordinary,
    quota,
    replacing,
    rights,
    searching,
    searching_many,
    selecting,
    sorting,
    storing,
)
from epost.servers.imap.replies import Condition, Reply, bad, no, reply_for
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import (
    ImapSyntaxError,
    ImpossibleName,
    NumbersRefused,
    UnknownCharset,
)
from epost.servers.imap.syntax.framing import Frame
from epost.servers.imap.syntax.search_keys import CHARSETS
from epost.servers.imap.verbs import Action, Verb

VERBS: Mapping[bytes, Verb] = {
    **ordinary.VERBS,
    **login.VERBS,
    **folders.VERBS,
    **listing.VERBS,
    **selecting.VERBS,
    **idling.VERBS,
    **notifying.VERBS,
    **metadata.VERBS,
    **appending.VERBS,
    **fetching.VERBS,
    **storing.VERBS,
    **searching.VERBS,
    **sorting.VERBS,
    **searching_many.VERBS,
    **replacing.VERBS,
    **rights.VERBS,
    **quota.VERBS,
    **compressing.VERBS,
    **copying.VERBS,
}

READING = frozenset(
    f"{uid}{name}".encode()
    for uid in ("", "UID ")
    for name in (
        *("CAPABILITY", "NOOP", "LOGOUT", "ID", "ENABLE", "NAMESPACE", "COMPRESS"),
        *("SELECT", "EXAMINE", "UNSELECT", "CLOSE", "CHECK", "IDLE", "NOTIFY"),
        *("LIST", "LSUB", "STATUS", "GETQUOTA", "GETQUOTAROOT", "GETMETADATA"),
        *("GETACL", "LISTRIGHTS", "MYRIGHTS"),
        *("FETCH", "SEARCH", "ESEARCH", "SORT", "THREAD"),
    )
)
"""What a password for reading may be used for; everything else changes something."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that follows the grammar."""

    tag: bytes
    name: bytes
    verb: Verb
    act: Action


def read_command(frame: Frame, *, is_utf8: bool = False) -> Command:
    """Parse a frame; raises ImapSyntaxError and nothing else, whatever the bytes."""
    cursor = Cursor(frame, is_utf8=is_utf8)
    tag = cursor.tag()
    cursor.space()
    name = cursor.word()
    if name == b"UID" and cursor.skip(b" "):
        name = b"UID " + cursor.word()
    verb = VERBS.get(name)
    if verb is None:
        raise ImapSyntaxError("Unknown command")
    return Command(tag, name, verb, verb.read(cursor))


async def perform(session: Session, frame: Frame) -> Condition:
    """Carry out one command and answer it."""
    numbers_stay, removes = True, False
    try:
        command = read_command(frame, is_utf8=session.modes.is_utf8)
    except ImapSyntaxError as error:
        if isinstance(error, UnknownCharset) and error.empties_saved_result:
            session.forget_saved()
        reply = _syntax_reply(error)
    else:
        numbers_stay, removes = command.verb.numbers_stay, command.verb.removes
        session.begin(command.tag)
        reply = await _carry_out(session, command)
    await session.announce(may_expunge=not numbers_stay, is_asked=removes)
    session.send(reply.line(tag_of(frame)))
    return reply.condition


def tag_of(frame: Frame) -> bytes:
    """The tag to answer with; "*" when there is none."""
    try:
        return Cursor(frame).tag()
    except ImapSyntaxError:
        return b"*"


async def _carry_out(session: Session, command: Command) -> Reply:
    if session.is_read_only and command.name not in READING:
        return no("This password is good for reading only", b"NOPERM")
    if command.verb.speaks_numbers and session.modes.is_uid_only:
        return bad(str(NumbersRefused()), b"UIDREQUIRED")
    if command.name.startswith(b"UID "):
        # The client may name messages of which it learnt in another way, e.g. by APPENDUID.
        await session.announce(may_expunge=False)
    try:
        return await command.act(session)
    except ImapSyntaxError as error:
        return _syntax_reply(error)
    except EpostError as error:
        return reply_for(error)


def _syntax_reply(error: ImapSyntaxError) -> Reply:
    if isinstance(error, UnknownCharset):
        return no(str(error), b"BADCHARSET (" + b" ".join(CHARSETS) + b")")
    if isinstance(error, ImpossibleName):
        return no(str(error), b"CANNOT")
    return bad(str(error), b"UIDREQUIRED" if isinstance(error, NumbersRefused) else b"")
