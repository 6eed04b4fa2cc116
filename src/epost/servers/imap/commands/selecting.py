"""Which folder is selected: SELECT, EXAMINE, CLOSE, UNSELECT, CHECK."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from epost.apps.mail.mailbox import AccountMail, FolderCounters
from epost.servers.imap.announcing import change_line, keyword_lines, size_lines
from epost.servers.imap.limits import ROWS_PER_SLICE
from epost.servers.imap.replies import Reply, bad, ok
from epost.servers.imap.resync import those_in, vanished_earlier
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import NUMBER64_MAX, Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError, NumbersRefused
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.syntax.sequences import NumberSet, number_set
from epost.servers.imap.verbs import FolderVerb, MailVerb, Verb, after_space, no_arguments
from epost.servers.imap.view import FolderView


@dataclass(frozen=True, slots=True)
class Resync:
    """What a client knows of the folder from an earlier session (RFC 7162 3.2.5)."""

    uid_validity: int
    modseq: int
    known_uids: NumberSet | None
    names_numbers: bool  # which only help servers that have forgotten what vanished: not us


@dataclass(frozen=True, slots=True)
class SelectRequest:
    """What to select and how."""

    name: str
    is_read_only: bool
    with_modseq: bool  # (CONDSTORE), RFC 7162 3.1.8
    resync: Resync | None


async def select(session: Session, mail: AccountMail, request: SelectRequest) -> Reply:
    """SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2); if it fails nothing is selected."""
    resync = request.resync
    if resync is not None and not session.modes.wants_vanished:
        return bad("ENABLE QRESYNC first")
    if resync is not None and resync.names_numbers and session.modes.is_uid_only:
        raise NumbersRefused
    if session.view is not None:
        session.select(None)
        session.send(b"* OK [CLOSED] The folder before is closed\r\n")  # RFC 7162 3.2.11
    is_read_only = request.is_read_only or session.is_read_only
    counters = await mail.counters(request.name)
    folder = await mail.open(request.name)
    view = FolderView(
        folder,
        request.name,
        is_read_only=is_read_only,
        unclaimed=counters.recent,
        folder_id=counters.folder_id,
        modes=session.modes,
    )
    session.select(view)
    session.modes.knows_modseq |= request.with_modseq
    _describe(session, view, counters)
    if resync is not None and resync.uid_validity == counters.uid_validity:
        await _tell_changes(session, view, resync)
    if is_read_only:
        return ok("Opened for reading", b"READ-ONLY")
    return ok("Opened", b"READ-WRITE")


def _describe(session: Session, view: FolderView, counters: FolderCounters) -> None:
    """The untagged responses of RFC 3501 6.3.1, RFC 7162 3.1.2 and RFC 8474 4.1."""
    session.send(*keyword_lines(view.folder.keywords, is_read_only=view.is_read_only))
    session.send(size_lines(view))
    if not (session.modes.is_rev2 or session.modes.is_uid_only):
        first_unseen = view.first_unseen()
        if first_unseen:
            session.send(b"* OK [UNSEEN %d] First unseen message\r\n" % first_unseen)
    session.send(
        b"* OK [UIDVALIDITY %d] UIDs stay valid\r\n" % counters.uid_validity,
        # The folder may have grown since it was counted.
        b"* OK [UIDNEXT %d] Next UID\r\n" % max(counters.uid_next, view.last_uid + 1),
        b"* OK [HIGHESTMODSEQ %d] Latest change\r\n" % view.folder.highest_modseq,
        b"* OK [MAILBOXID (%b)] Folder's id\r\n" % counters.folder_id.encode("ascii"),
    )
    if session.modes.is_rev2:
        session.send(b'* LIST () "/" %b\r\n' % session.shown_name(view.name))


async def _tell_changes(session: Session, view: FolderView, resync: Resync) -> None:
    """What a returning client does not know yet (RFC 7162 3.2.5.2)."""
    vanished = await view.folder.vanished_since(resync.modseq)
    session.send(*vanished_earlier(those_in(vanished, resync.known_uids)))
    changed = those_in(await view.folder.changed_since(resync.modseq), resync.known_uids)
    for start in range(0, len(changed), ROWS_PER_SLICE):
        rows = await view.folder.rows(changed[start : start + ROWS_PER_SLICE])
        session.announce_keywords(view)
        for row in rows:
            number = view.number(row.uid)
            if number is not None:
                session.send(change_line(number, row, view, with_uid=True))
        await session.client.breathe()


async def close(session: Session, view: FolderView, _request: None) -> Reply:
    r"""CLOSE (RFC 3501 6.4.2): removes what is \Deleted, without telling."""
    session.select(None)
    if not view.is_read_only:
        await view.folder.expunge(None)
    return ok("Closed")


async def unselect(session: Session, _view: FolderView, _request: None) -> Reply:
    """UNSELECT (RFC 3691)."""
    session.select(None)
    return ok("Unselected")


async def check(_session: Session, _view: FolderView, _request: None) -> Reply:
    """CHECK (RFC 3501 6.4.1): everything acknowledged is durable already."""
    return ok("Checked")


def select_request(*, is_read_only: bool) -> Callable[[Cursor], SelectRequest]:
    """A folder name and perhaps parameters (RFC 4466 2.4)."""

    def grammar(cursor: Cursor) -> SelectRequest:
        name = folder_name(cursor)
        parameters: list[Resync | None] = []
        if cursor.skip(b" "):
            parameters = cursor.listed(lambda: _parameter(cursor))
        resync = next((resync for resync in parameters if resync is not None), None)
        return SelectRequest(name, is_read_only, with_modseq=bool(parameters), resync=resync)

    return grammar


def _parameter(cursor: Cursor) -> Resync | None:
    """CONDSTORE (None) or QRESYNC with its arguments."""
    name = cursor.word()
    if name == b"CONDSTORE":
        return None
    if name != b"QRESYNC":
        raise ImapSyntaxError("Unknown SELECT parameter")
    cursor.space()
    cursor.expect(b"(")
    uid_validity = cursor.number()
    cursor.space()
    modseq = cursor.number(NUMBER64_MAX)
    known_uids, names_numbers = None, False
    while cursor.skip(b" "):
        if cursor.skip(b"("):
            number_set(cursor)
            cursor.space()
            number_set(cursor)
            cursor.expect(b")")
            names_numbers = True
        else:
            known_uids = number_set(cursor)
    cursor.expect(b")")
    return Resync(uid_validity, modseq, known_uids, names_numbers)


VERBS: Mapping[bytes, Verb] = {
    b"SELECT": MailVerb(after_space(select_request(is_read_only=False)), select),
    b"EXAMINE": MailVerb(after_space(select_request(is_read_only=True)), select),
    b"CLOSE": FolderVerb(no_arguments, close),
    b"UNSELECT": FolderVerb(no_arguments, unselect),
    b"CHECK": FolderVerb(no_arguments, check),
}
