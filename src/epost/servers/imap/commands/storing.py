"""STORE and UID STORE: flags of messages (RFC 3501 6.4.6, RFC 7162 3.1.3)."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import FlagChange, FlagsOutcome, MessageRow
from epost.servers.imap.announcing import change_line
from epost.servers.imap.replies import READ_ONLY, STORE_EXPUNGE_ISSUED, Reply, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import NUMBER64_MAX, Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.flags import flag, settable, spelled_as
from epost.servers.imap.syntax.sequences import MessageSet, format_set, message_set
from epost.servers.imap.verbs import FolderVerb, Verb, after_space
from epost.servers.imap.view import FolderView

_CHANGES = {b"+": FlagChange.ADD, b"-": FlagChange.REMOVE, b"": FlagChange.REPLACE}
_OPERATION = re.compile(rb"([+-]?)FLAGS(\.SILENT)?(?= )", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """Which messages, and what to do with which flags."""

    messages: MessageSet
    by_uid: bool
    change: FlagChange
    flags: frozenset[str]
    is_silent: bool
    unchanged_since: int | None


async def store(session: Session, view: FolderView, request: StoreRequest) -> Reply:
    """Change flags and tell the result, as far as the client wants to hear it."""
    if view.is_read_only:
        return READ_ONLY
    if request.unchanged_since is not None:
        session.enable_modseq()
    uids = view.resolve(request.messages, by_uid=request.by_uid)
    outcome = await view.folder.change_flags(
        uids,
        request.change,
        spelled_as(request.flags, view.folder.keywords),
        request.unchanged_since,
    )
    session.announce_keywords(view)
    view.forget_changes(outcome.rows)
    await session.send_many(_result_lines(session, view, request, outcome.rows))
    return _conclusion(view, request, outcome, len(uids))


def _result_lines(
    session: Session, view: FolderView, request: StoreRequest, rows: Sequence[MessageRow]
) -> Iterator[bytes]:
    """New flags; a silent STORE still tells MODSEQs (RFC 7162 3.1.3)."""
    if request.is_silent and not session.knows_modseq:
        return
    for row in rows:
        number = view.number(row.uid)
        if number is not None:
            yield change_line(
                number,
                row,
                view,
                with_uid=request.by_uid or session.modes.wants_vanished,
                with_flags=not request.is_silent,
            )


def _conclusion(
    view: FolderView, request: StoreRequest, outcome: FlagsOutcome, wanted: int
) -> Reply:
    if outcome.failed:
        failed = outcome.failed
        numbers = failed if request.by_uid else [n for n in map(view.number, failed) if n]
        return ok("Some messages changed meanwhile", b"MODIFIED " + format_set(numbers))
    if len(outcome.rows) < wanted and not request.by_uid:
        return STORE_EXPUNGE_ISSUED
    return ok("Stored")


def store_request(*, by_uid: bool) -> Callable[[Cursor], StoreRequest]:
    """Message set, modifiers, operation and flags, in parentheses or without."""

    def grammar(cursor: Cursor) -> StoreRequest:
        messages = message_set(cursor)
        cursor.space()
        unchanged_since = _unchanged_since(cursor) if cursor.at(b"(") else None
        sign, silent = _operation(cursor)
        cursor.space()
        return StoreRequest(
            messages=messages,
            by_uid=by_uid,
            change=_CHANGES[sign],
            flags=settable(_flags(cursor)),
            is_silent=silent,
            unchanged_since=unchanged_since,
        )

    return after_space(grammar)


def _unchanged_since(cursor: Cursor) -> int:
    cursor.expect(b"(")
    if cursor.word() != b"UNCHANGEDSINCE":
        raise ImapSyntaxError("Unknown STORE modifier")
    cursor.space()
    modseq = cursor.number(NUMBER64_MAX)
    cursor.expect(b")")
    cursor.space()
    return modseq


def _operation(cursor: Cursor) -> tuple[bytes, bool]:
    """The sign, and whether the operation is silent."""
    match = cursor.groups(_OPERATION, "FLAGS")
    return match[1], match[2] is not None


def _flags(cursor: Cursor) -> list[str]:
    if cursor.at(b"("):
        return cursor.listed_or_none(lambda: flag(cursor))
    flags = [flag(cursor)]
    while cursor.skip(b" "):
        flags.append(flag(cursor))
    return flags


VERBS: Mapping[bytes, Verb] = {
    b"STORE": FolderVerb(
        store_request(by_uid=False), store, numbers_stay=True, speaks_numbers=True
    ),
    b"UID STORE": FolderVerb(store_request(by_uid=True), store),
}
