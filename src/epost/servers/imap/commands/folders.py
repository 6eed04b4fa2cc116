"""Folders as such: CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, STATUS, NAMESPACE."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import DELETED, INBOX, AccountMail, FolderCounters, SpecialUse
from epost.servers.imap.limits import LISTED_PER_SLICE
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.folder_names import folder_name, new_folder_name
from epost.servers.imap.verbs import MailVerb, Verb, after_space, no_arguments

_COSTLY = b"DELETED-STORAGE"
_SPECIAL_USES = {use.value.upper().encode("ascii"): use for use in SpecialUse}


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A name, and what the folder is to be for: attributes in upper case (RFC 6154 3)."""

    name: str
    special_uses: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class RenameRequest:
    """The old and the new name."""

    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """A folder and what to tell of it."""

    name: str
    items: Sequence[bytes]


async def create(_session: Session, mail: AccountMail, request: CreateRequest) -> Reply:
    """CREATE (RFC 3501 6.3.3); a use that cannot be had makes no folder (RFC 6154 3)."""
    uses = [_SPECIAL_USES.get(use) for use in request.special_uses]
    if None in uses or len(uses) > 1:
        return no("A folder has one of the special uses that LIST knows, or none", b"USEATTR")
    info = await mail.create(request.name, uses[0] if uses else None)
    return ok("Created", b"MAILBOXID (%b)" % info.folder_id.encode("ascii"))


async def delete(session: Session, mail: AccountMail, name: str) -> Reply:
    """DELETE (RFC 3501 6.3.4); a client that has the folder selected has none afterwards."""
    if name == INBOX:
        return no("INBOX cannot be deleted", b"CANNOT")
    await mail.delete(name)
    if session.view is not None and session.view.farewell is not None:
        session.select(None)
    return ok("Deleted")


async def rename(_session: Session, mail: AccountMail, request: RenameRequest) -> Reply:
    """RENAME (RFC 3501 6.3.5)."""
    await mail.rename(request.name, request.new_name)
    return ok("Renamed")


async def subscribe(_session: Session, mail: AccountMail, name: str) -> Reply:
    """SUBSCRIBE (RFC 3501 6.3.6); the folder need not exist."""
    await mail.set_subscribed(name, True)
    return ok("Subscribed")


async def unsubscribe(_session: Session, mail: AccountMail, name: str) -> Reply:
    """UNSUBSCRIBE (RFC 3501 6.3.7)."""
    await mail.set_subscribed(name, False)
    return ok("Unsubscribed")


async def status(session: Session, mail: AccountMail, request: StatusRequest) -> Reply:
    """STATUS (RFC 3501 6.3.10)."""
    counters = await mail.counters(request.name)
    deleted = await deleted_octets(mail, request.name) if _COSTLY in request.items else 0
    if b"HIGHESTMODSEQ" in request.items:  # a CONDSTORE enabling command (RFC 7162 3.1)
        session.enable_modseq()
    session.send(status_line(session, request.name, request.items, counters, deleted))
    return ok("That is the status")


async def deleted_octets(mail: AccountMail, name: str) -> int:
    """What EXPUNGE would set free (RFC 9208 4.1.4): no sum is kept of it."""
    folder = await mail.open(name)
    uids = folder.uids()
    octets = 0
    for start in range(0, len(uids), LISTED_PER_SLICE):
        rows = await folder.columns(uids[start : start + LISTED_PER_SLICE])
        is_deleted = [DELETED in flags for flags in rows.flag_sets]
        octets += sum(s for s, f in zip(rows.sizes, rows.flags, strict=True) if is_deleted[f])
        await asyncio.sleep(0)
    return octets


async def namespace(session: Session, _mail: AccountMail, _request: None) -> Reply:
    """NAMESPACE (RFC 2342): all folders are personal."""
    session.send(b'* NAMESPACE (("" "/")) NIL NIL\r\n')
    return ok("That is all")


def status_line(
    session: Session, name: str, items: Sequence[bytes], counters: FolderCounters, deleted: int
) -> bytes:
    """One untagged STATUS."""
    values = {
        b"MESSAGES": counters.messages,
        b"RECENT": counters.recent,
        b"UIDNEXT": counters.uid_next,
        b"UIDVALIDITY": counters.uid_validity,
        b"UNSEEN": counters.unseen,
        b"DELETED": counters.deleted,
        b"SIZE": counters.size,
        _COSTLY: deleted,
        b"HIGHESTMODSEQ": counters.highest_modseq,
        b"APPENDLIMIT": session.site.limits.mail_bytes_max,
    }
    shown = [
        b"MAILBOXID (%b)" % counters.folder_id.encode("ascii")
        if item == b"MAILBOXID"
        else b"%b %d" % (item, values[item])
        for item in items
    ]
    return b"* STATUS %b (%b)\r\n" % (session.shown_name(name), b" ".join(shown))


_STATUS_ITEMS = frozenset(
    {
        b"MESSAGES",
        b"RECENT",
        b"UIDNEXT",
        b"UIDVALIDITY",
        b"UNSEEN",
        b"DELETED",
        b"SIZE",
        b"DELETED-STORAGE",
        b"HIGHESTMODSEQ",
        b"APPENDLIMIT",
        b"MAILBOXID",
    }
)


def status_items(cursor: Cursor) -> Sequence[bytes]:
    """A list of status items, each once."""
    items = tuple(dict.fromkeys(cursor.listed(cursor.word)))
    if not _STATUS_ITEMS.issuperset(items):
        raise ImapSyntaxError("Unknown status item")
    return items


def status_request(cursor: Cursor) -> StatusRequest:
    """A folder name and status items."""
    name = folder_name(cursor)
    cursor.space()
    return StatusRequest(name, status_items(cursor))


def create_request(cursor: Cursor) -> CreateRequest:
    """A name and perhaps (USE (\\Sent))."""
    name = new_folder_name(cursor)
    if not cursor.skip(b" "):
        return CreateRequest(name)
    cursor.expect(b"(")
    if cursor.word() != b"USE":
        raise ImapSyntaxError("Unknown CREATE parameter")
    cursor.space()
    uses = cursor.listed_or_none(lambda: special_use(cursor))
    cursor.expect(b")")
    return CreateRequest(name, tuple(dict.fromkeys(uses)))


def special_use(cursor: Cursor) -> bytes:
    """An attribute such as \\Sent, in upper case."""
    cursor.expect(b"\\")
    return b"\\" + cursor.word()


def rename_request(cursor: Cursor) -> RenameRequest:
    """Two folder names."""
    name = folder_name(cursor)
    cursor.space()
    return RenameRequest(name, new_folder_name(cursor))


_name: Callable[[Cursor], str] = after_space(folder_name)

VERBS: Mapping[bytes, Verb] = {
    b"CREATE": MailVerb(after_space(create_request), create),
    b"DELETE": MailVerb(_name, delete),
    b"RENAME": MailVerb(after_space(rename_request), rename),
    b"SUBSCRIBE": MailVerb(_name, subscribe),
    b"UNSUBSCRIBE": MailVerb(_name, unsubscribe),
    b"STATUS": MailVerb(after_space(status_request), status),
    b"NAMESPACE": MailVerb(no_arguments, namespace),
}
