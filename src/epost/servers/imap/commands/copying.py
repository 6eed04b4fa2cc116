"""Messages to other folders and out of this one: COPY, MOVE, EXPUNGE and their UID forms."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import CopyOutcome
from epost.foundation.errors import NoSuchFolder
from epost.servers.imap.replies import READ_ONLY, Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.syntax.sequences import MessageSet, format_paired_sets, message_set
from epost.servers.imap.verbs import FolderVerb, Verb, after_space, no_arguments
from epost.servers.imap.view import FolderView

_NO_TARGET = no("There is no such folder", b"TRYCREATE")


@dataclass(frozen=True, slots=True)
class CopyRequest:
    """Which messages, and where to."""

    messages: MessageSet
    by_uid: bool
    target: str


async def copy(_session: Session, view: FolderView, request: CopyRequest) -> Reply:
    """COPY (RFC 3501 6.4.7)."""
    uids = view.resolve(request.messages, by_uid=request.by_uid)
    try:
        outcome = await view.folder.copy(uids, request.target)
    except NoSuchFolder:
        return _NO_TARGET
    if not outcome.pairs:
        return ok("There was nothing to copy")
    return ok("Copied", _copy_uid(outcome))


async def move(session: Session, view: FolderView, request: CopyRequest) -> Reply:
    """MOVE (RFC 6851); the EXPUNGEs follow as announcements before the final OK."""
    if view.is_read_only:
        return READ_ONLY
    uids = view.resolve(request.messages, by_uid=request.by_uid)
    try:
        outcome = await view.folder.move(uids, request.target)
    except NoSuchFolder:
        return _NO_TARGET
    if not outcome.pairs:
        return ok("There was nothing to move")
    session.send(b"* OK [%b] Moved\r\n" % _copy_uid(outcome))
    return ok("Moved")


def _copy_uid(outcome: CopyOutcome) -> bytes:
    return b"COPYUID %d %b" % (outcome.uid_validity, format_paired_sets(outcome.pairs))


async def expunge(session: Session, view: FolderView, _request: None) -> Reply:
    """EXPUNGE (RFC 3501 6.4.3); what went is announced before the final OK."""
    if view.is_read_only:
        return READ_ONLY
    return _expunged(session, view, await view.folder.expunge(None))


async def uid_expunge(session: Session, view: FolderView, messages: MessageSet) -> Reply:
    """UID EXPUNGE (RFC 4315 2.1)."""
    if view.is_read_only:
        return READ_ONLY
    return _expunged(session, view, await view.folder.expunge(view.resolve(messages, by_uid=True)))


def _expunged(session: Session, view: FolderView, uids: Sequence[int]) -> Reply:
    """A client that resyncs is told up to which MODSEQ it has heard of all (RFC 7162 3.2.7)."""
    if not uids or not session.modes.wants_vanished:
        return ok("Expunged")
    return ok("Expunged", b"HIGHESTMODSEQ %d" % view.folder.highest_modseq)


def copy_request(*, by_uid: bool) -> Callable[[Cursor], CopyRequest]:
    """A message set and a folder name."""

    def grammar(cursor: Cursor) -> CopyRequest:
        messages = message_set(cursor)
        cursor.space()
        return CopyRequest(messages, by_uid, folder_name(cursor))

    return after_space(grammar)


VERBS: Mapping[bytes, Verb] = {
    b"COPY": FolderVerb(copy_request(by_uid=False), copy, speaks_numbers=True),
    b"UID COPY": FolderVerb(copy_request(by_uid=True), copy),
    b"MOVE": FolderVerb(copy_request(by_uid=False), move, speaks_numbers=True, removes=True),
    b"UID MOVE": FolderVerb(copy_request(by_uid=True), move, removes=True),
    b"EXPUNGE": FolderVerb(no_arguments, expunge, removes=True),
    b"UID EXPUNGE": FolderVerb(after_space(message_set), uid_expunge, removes=True),
}
