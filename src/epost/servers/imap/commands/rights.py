"""ACL: who may do what with a folder (RFC 4314).

Every folder belongs to the account alone: its owner has all rights and nobody else has any, which
can be read but not changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from epost.apps.mail.mailbox import AccountMail
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.syntax.formats import astring
from epost.servers.imap.verbs import MailVerb, Verb, after_space

ALL_RIGHTS = b"lrswipkxtea"
READING_RIGHTS = b"lr"
_NOT_OURS = no("Folders are not shared: their rights stay as they are", b"NOPERM")


@dataclass(frozen=True, slots=True)
class RightsRequest:
    """A folder, and somebody who may have rights in it."""

    name: str
    identifier: bytes


async def my_rights(session: Session, mail: AccountMail, name: str) -> Reply:
    """MYRIGHTS (RFC 4314 3.5): what this session may do, whichever way a folder is opened."""
    await mail.counters(name)  # is there such a folder?
    rights = READING_RIGHTS if session.is_read_only else ALL_RIGHTS
    session.send(b"* MYRIGHTS %b %b\r\n" % (session.shown_name(name), rights))
    return ok("That is all")


async def get_acl(session: Session, mail: AccountMail, name: str) -> Reply:
    """GETACL (RFC 4314 3.3)."""
    await mail.counters(name)
    owner = astring(session.account.encode("utf-8"))
    session.send(b"* ACL %b %b %b\r\n" % (session.shown_name(name), owner, ALL_RIGHTS))
    return ok("That is all")


async def list_rights(session: Session, mail: AccountMail, request: RightsRequest) -> Reply:
    """LISTRIGHTS (RFC 4314 3.4): what somebody has for good, and nothing that can be given."""
    await mail.counters(request.name)
    is_owner = request.identifier == session.account.encode("utf-8")
    rights = ALL_RIGHTS if is_owner else b'""'
    shown = session.shown_name(request.name), astring(request.identifier), rights
    session.send(b"* LISTRIGHTS %b %b %b\r\n" % shown)
    return ok("That is all")


async def refuse(_session: Session, mail: AccountMail, request: RightsRequest) -> Reply:
    """SETACL and DELETEACL (RFC 4314 3.1, 3.2)."""
    await mail.counters(request.name)
    return _NOT_OURS


def rights_request(cursor: Cursor) -> RightsRequest:
    """A folder and an identifier."""
    name = folder_name(cursor)
    cursor.space()
    return RightsRequest(name, cursor.astring())


def set_request(cursor: Cursor) -> RightsRequest:
    """The same, and rights that are not looked at."""
    request = rights_request(cursor)
    cursor.space()
    cursor.astring()
    return request


VERBS: Mapping[bytes, Verb] = {
    b"MYRIGHTS": MailVerb(after_space(folder_name), my_rights),
    b"GETACL": MailVerb(after_space(folder_name), get_acl),
    b"LISTRIGHTS": MailVerb(after_space(rights_request), list_rights),
    b"SETACL": MailVerb(after_space(set_request), refuse),
    b"DELETEACL": MailVerb(after_space(rights_request), refuse),
}
