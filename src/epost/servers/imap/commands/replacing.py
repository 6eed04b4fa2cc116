"""REPLACE and UID REPLACE: a new mail instead of an old one, in one step (RFC 8508)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from epost.apps.mail.mailbox import NewMail, Replaced
from epost.foundation.errors import NoSuchFolder
from epost.servers.imap.binary_mail import UnknownEncoding
from epost.servers.imap.commands.appending import append_uid, new_mail, readable, spelled
from epost.servers.imap.replies import READ_ONLY, Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.syntax.sequences import MessageSet, NumberSet, message_set
from epost.servers.imap.verbs import FolderVerb, Verb, after_space
from epost.servers.imap.view import FolderView


@dataclass(frozen=True, slots=True)
class ReplaceRequest:
    """One message of the selected folder, and the mail that takes its place."""

    message: MessageSet
    by_uid: bool
    target: str
    mail: NewMail


async def replace(session: Session, view: FolderView, request: ReplaceRequest) -> Reply:
    """The old message goes if and only if the new one is kept; its EXPUNGE follows."""
    if view.is_read_only:
        return READ_ONLY
    if session.mail is None or not request.mail.octets:
        return no("An empty mail is not kept", b"CANNOT")
    uids = view.resolve(request.message, by_uid=request.by_uid)
    if len(uids) != 1:
        return no("There is no such message", b"NONEXISTENT")
    try:
        target = await session.mail.open(request.target)
        mail = await readable(session, request.mail)
        replaced = Replaced(view.folder_id, uids[0])
        outcome = await target.append(spelled([mail], target.keywords), replaced)
    except NoSuchFolder:
        return no("There is no such folder", b"TRYCREATE")
    except UnknownEncoding:
        return no("NULs are kept in parts of the encoding binary only", b"UNKNOWN-CTE")
    session.send(b"* OK [%b] Kept\r\n" % append_uid(outcome))
    return ok(f"Replaced, {outcome.durability.value}")


def replace_request(*, by_uid: bool) -> Callable[[Cursor], ReplaceRequest]:
    """A single message, a folder, a mail."""

    def grammar(cursor: Cursor) -> ReplaceRequest:
        message = message_set(cursor)
        if not (isinstance(message, NumberSet) and message.is_single):
            raise ImapSyntaxError("REPLACE is for one message")
        cursor.space()
        name = folder_name(cursor)
        return ReplaceRequest(message, by_uid, name, new_mail(cursor))

    return after_space(grammar)


VERBS: Mapping[bytes, Verb] = {
    b"REPLACE": FolderVerb(
        replace_request(by_uid=False), replace, speaks_numbers=True, removes=True
    ),
    b"UID REPLACE": FolderVerb(replace_request(by_uid=True), replace, removes=True),
}
