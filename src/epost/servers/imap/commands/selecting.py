"""Which folder is selected: SELECT, EXAMINE, CLOSE, UNSELECT, CHECK."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from epost.apps.mail.mailbox import AccountMail, FolderCounters
from epost.servers.imap.announcing import keyword_lines
from epost.servers.imap.replies import Reply, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.verbs import FolderVerb, MailVerb, Verb, after_space, no_arguments
from epost.servers.imap.view import FolderView


@dataclass(frozen=True, slots=True)
class SelectRequest:
    """What to select and how."""

    name: str
    is_read_only: bool
    with_modseq: bool  # (CONDSTORE), RFC 7162 3.1.8


async def select(session: Session, mail: AccountMail, request: SelectRequest) -> Reply:
    """SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2); if it fails nothing is selected."""
    if session.view is not None:
        session.select(None)
        session.send(b"* OK [CLOSED] The folder before is closed\r\n")  # RFC 7162 3.2.11
    counters = await mail.counters(request.name)
    folder = await mail.open(request.name)
    view = FolderView(
        folder,
        request.name,
        is_read_only=request.is_read_only,
        unclaimed=counters.recent,
    )
    session.select(view)
    session.knows_modseq = session.knows_modseq or request.with_modseq
    _describe(session, view, counters)
    if request.is_read_only:
        return ok("Opened for reading", b"READ-ONLY")
    return ok("Opened", b"READ-WRITE")


def _describe(session: Session, view: FolderView, counters: FolderCounters) -> None:
    """The untagged responses of RFC 3501 6.3.1, RFC 7162 3.1.2 and RFC 8474 4.1."""
    session.send(*keyword_lines(view.folder.keywords, is_read_only=view.is_read_only))
    session.send(b"* %d EXISTS\r\n* %d RECENT\r\n" % (view.exists, view.recent))
    first_unseen = counters.first_unseen_uid and view.number(counters.first_unseen_uid)
    if first_unseen:
        session.send(b"* OK [UNSEEN %d] First unseen message\r\n" % first_unseen)
    session.send(
        b"* OK [UIDVALIDITY %d] UIDs stay valid\r\n" % counters.uid_validity,
        # The folder may have grown since it was counted.
        b"* OK [UIDNEXT %d] Next UID\r\n" % max(counters.uid_next, view.last_uid + 1),
        b"* OK [HIGHESTMODSEQ %d] Latest change\r\n" % view.folder.highest_modseq,
        b"* OK [MAILBOXID (%b)] Folder's id\r\n" % counters.folder_id.encode("ascii"),
    )


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
        parameters = []
        if cursor.skip(b" "):
            parameters = cursor.listed(cursor.word)
        if any(parameter != b"CONDSTORE" for parameter in parameters):
            raise ImapSyntaxError("Unknown SELECT parameter")
        return SelectRequest(name, is_read_only, with_modseq=bool(parameters))

    return grammar


VERBS: Mapping[bytes, Verb] = {
    b"SELECT": MailVerb(after_space(select_request(is_read_only=False)), select),
    b"EXAMINE": MailVerb(after_space(select_request(is_read_only=True)), select),
    b"CLOSE": FolderVerb(no_arguments, close),
    b"UNSELECT": FolderVerb(no_arguments, unselect),
    b"CHECK": FolderVerb(no_arguments, check),
}
