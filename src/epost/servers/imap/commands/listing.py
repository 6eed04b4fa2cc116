"""Which folders there are: LIST, LSUB (RFC 3501, RFC 5258, RFC 5819, RFC 6154)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from epost.apps.mail.mailbox import FOLDER_NAME_LENGTH_MAX, AccountMail
from epost.foundation.errors import NoSuchFolder
from epost.servers.imap.commands.folders import deleted_octets, status_items, status_line
from epost.servers.imap.commands.metadata import entries_named, metadata_line
from epost.servers.imap.folder_tree import Choice, FolderTree, Listed
from epost.servers.imap.limits import PATTERNS_PER_LIST_MAX
from epost.servers.imap.replies import Reply, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError, ImpossibleName
from epost.servers.imap.syntax.folder_names import decoded_name
from epost.servers.imap.syntax.metadata_entries import entries
from epost.servers.imap.verbs import MailVerb, Verb, after_space

_SELECTION_OPTIONS = frozenset({b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"})
_RETURN_OPTIONS = frozenset({b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE", b"STATUS", b"METADATA"})


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What to list, and what to tell of each folder."""

    choice: Choice
    status_items: Sequence[bytes] = ()
    metadata: Sequence[str] = ()  # names of entries (RFC 9590)
    asks_for_root: bool = False


async def list_folders(session: Session, mail: AccountMail, request: ListRequest) -> Reply:
    """LIST."""
    if request.asks_for_root:
        session.send(b'* LIST (\\Noselect) "/" ""\r\n')
        return ok("That is the separator")
    tree = FolderTree(await mail.folders(), await mail.subscriptions())
    for listed in tree.listed(request.choice):
        session.send(list_line(session, b"LIST", listed))
        if request.status_items and listed.is_selectable:
            await _send_status(session, mail, listed.name, request.status_items)
        if request.metadata and listed.is_selectable:
            await _send_metadata(session, mail, listed.name, request.metadata)
    return ok("That is all")


async def _send_status(
    session: Session, mail: AccountMail, name: str, items: Sequence[bytes]
) -> None:
    try:
        counters = await mail.counters(name)
    except NoSuchFolder:  # deleted meanwhile: no STATUS is sent (RFC 5819 2)
        return
    if b"HIGHESTMODSEQ" in items:
        session.enable_modseq()
    deleted = await deleted_octets(mail, name) if b"DELETED-STORAGE" in items else 0
    session.send(status_line(session, name, items, counters, deleted))
    await session.client.breathe()


async def _send_metadata(
    session: Session, mail: AccountMail, name: str, entries: Sequence[str]
) -> None:
    try:
        known = await mail.annotations(name)
    except NoSuchFolder:  # deleted meanwhile
        return
    session.send(metadata_line(session, name, entries_named(known, entries)))
    await session.client.breathe()


async def list_subscribed(session: Session, mail: AccountMail, patterns: Sequence[str]) -> Reply:
    """LSUB (RFC 3501 6.3.9)."""
    tree = FolderTree((), await mail.subscriptions())
    for pattern in patterns:
        await session.send_many(_lsub_lines(session, tree, pattern))
    return ok("That is all")


def _lsub_lines(session: Session, tree: FolderTree, pattern: str) -> Iterator[bytes]:
    for listed in tree.listed_subscriptions(pattern):
        yield list_line(session, b"LSUB", listed)


def list_line(session: Session, kind: bytes, listed: Listed) -> bytes:
    """One untagged LIST or LSUB."""
    attributes = " ".join(listed.attributes).encode("ascii")
    options = " ".join(f'"{option}"' for option in listed.chosen_children).encode("ascii")
    extended = b' ("CHILDINFO" (%b))' % options if options else b""
    if listed.old_name is not None:
        extended = b' ("OLDNAME" (%b))' % session.shown_name(listed.old_name)
    return b'* %b (%b) "/" %b%b\r\n' % (kind, attributes, session.shown_name(listed.name), extended)


def list_request(cursor: Cursor) -> ListRequest:
    """Selection options, reference, patterns, return options."""
    selection: frozenset[bytes] = frozenset()
    is_extended = cursor.at(b"(")
    if is_extended:
        selection = _selection_options(cursor)
        cursor.space()
    reference = cursor.astring()
    cursor.space()
    is_extended = is_extended or cursor.at(b"(")
    patterns = _patterns(cursor)
    is_extended = is_extended or not cursor.at_end()
    returns, items, metadata = _return_options(cursor)
    if patterns == [b""] and not is_extended:
        return ListRequest(Choice(()), asks_for_root=True)
    choice = Choice(
        patterns=[joined for pattern in patterns for joined in _joined(reference, pattern, cursor)],
        subscribed_only=b"SUBSCRIBED" in selection,
        special_use_only=b"SPECIAL-USE" in selection,
        parents_of_chosen=b"RECURSIVEMATCH" in selection,
        show_subscribed=b"SUBSCRIBED" in returns,
        is_extended=is_extended,
    )
    return ListRequest(choice, items, metadata)


def lsub_request(cursor: Cursor) -> Sequence[str]:
    """Reference and pattern, joined; no pattern at all if none of our names can fit it."""
    reference = cursor.astring()
    cursor.space()
    return _joined(reference, cursor.list_pattern(), cursor)


def _joined(reference: bytes, pattern: bytes, cursor: Cursor) -> Sequence[str]:
    """The reference is a mere prefix of the pattern (RFC 3501 6.3.8 leaves it to the server).

    What is no spelling of any name fits nothing, which is no error.
    """
    try:
        names = (decoded_name(part, is_utf8=cursor.is_utf8) for part in (reference, pattern))
        joined = "".join(names)
    except ImpossibleName:
        return ()
    if len(joined) > FOLDER_NAME_LENGTH_MAX:
        raise ImapSyntaxError("Folder pattern is too long")
    return (joined,)


def _selection_options(cursor: Cursor) -> frozenset[bytes]:
    options = frozenset(cursor.listed_or_none(cursor.word))
    if not options <= _SELECTION_OPTIONS:
        raise ImapSyntaxError("Unknown LIST selection option")
    if b"RECURSIVEMATCH" in options and not options & {b"SUBSCRIBED", b"SPECIAL-USE"}:
        raise ImapSyntaxError("RECURSIVEMATCH needs SUBSCRIBED or SPECIAL-USE")
    return options


def _patterns(cursor: Cursor) -> list[bytes]:
    if not cursor.at(b"("):
        return [cursor.list_pattern()]
    patterns = cursor.listed(cursor.list_pattern)
    if len(patterns) > PATTERNS_PER_LIST_MAX:
        raise ImapSyntaxError("Too many patterns")
    return patterns


def _return_options(cursor: Cursor) -> tuple[frozenset[bytes], Sequence[bytes], Sequence[str]]:
    if not cursor.skip(b" "):
        return frozenset(), (), ()
    if cursor.word() != b"RETURN":
        raise ImapSyntaxError("RETURN expected")
    cursor.space()
    items: list[bytes] = []
    metadata: list[str] = []

    def option() -> bytes:
        name = cursor.word()
        if name not in _RETURN_OPTIONS:
            raise ImapSyntaxError("Unknown LIST return option")
        if name == b"STATUS":
            cursor.space()
            items.extend(status_items(cursor))
        elif name == b"METADATA":
            cursor.space()
            metadata.extend(entries(cursor))
        return name

    options = frozenset(cursor.listed_or_none(option))
    return options, tuple(dict.fromkeys(items)), metadata


VERBS: Mapping[bytes, Verb] = {
    b"LIST": MailVerb(after_space(list_request), list_folders),
    b"LSUB": MailVerb(after_space(lsub_request), list_subscribed),
}
