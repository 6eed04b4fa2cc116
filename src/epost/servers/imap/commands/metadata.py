"""GETMETADATA and SETMETADATA: notes of clients about folders and the account (RFC 5464)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from epost.apps.mail.log.records import ANNOTATION_BYTES_MAX
from epost.apps.mail.mailbox import AccountMail
from epost.foundation.errors import QuotaExceeded
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.formats import astring, nstring
from epost.servers.imap.syntax.metadata_entries import changes, entries, metadata_owner
from epost.servers.imap.verbs import MailVerb, Verb, after_space

_DEPTHS = {b"0": 0, b"1": 1, b"INFINITY": None}
_Found = dict[str, bytes | None]


@dataclass(frozen=True, slots=True)
class GetRequest:
    """Whose entries, which of them, how deep below them, and how long at most."""

    owner: str | None
    names: Sequence[str]
    depth: int | None = 0  # None: all below
    size_max: int | None = None


@dataclass(frozen=True, slots=True)
class SetRequest:
    """Whose entries, and what becomes of them."""

    owner: str | None
    changes: Mapping[str, bytes | None]


async def get_metadata(session: Session, mail: AccountMail, request: GetRequest) -> Reply:
    """GETMETADATA (RFC 5464 4.2)."""
    found = _chosen(await mail.annotations(request.owner), request)
    longest = 0
    if request.size_max is not None:
        sizes = {name: len(value or b"") for name, value in found.items()}
        longest = max((size for size in sizes.values() if size > request.size_max), default=0)
        found = {n: v for n, v in found.items() if sizes[n] <= request.size_max}
    if found:
        session.send(metadata_line(session, request.owner, found))
    return ok("That is all", b"METADATA LONGENTRIES %d" % longest if longest else b"")


def _chosen(known: Mapping[str, bytes], request: GetRequest) -> _Found:
    """The entries that are asked for; one that is named and not there has no value."""
    if request.depth == 0:
        return entries_named(known, request.names)
    return {
        name: value
        for name, value in known.items()
        if any(_is_within(name, top.lower(), request.depth) for top in request.names)
    }


def entries_named(known: Mapping[str, bytes], names: Iterable[str]) -> _Found:
    """The values of some entries, None where there is none."""
    return {name: known.get(name.lower()) for name in names}


def _is_within(name: str, top: str, depth: int | None) -> bool:
    if name == top:
        return True
    below = name.removeprefix(top + "/")
    return below != name and (depth is None or below.count("/") < depth)


def metadata_line(session: Session, owner: str | None, found: _Found) -> bytes:
    """One untagged METADATA with values."""
    pairs = (b"%b %b" % (astring(n.encode("ascii")), _value(v)) for n, v in found.items())
    return b"* METADATA %b (%b)\r\n" % (shown_owner(session, owner), b" ".join(pairs))


def shown_owner(session: Session, owner: str | None) -> bytes:
    """What METADATA is about: a folder, or "" for the account."""
    return b'""' if owner is None else session.shown_name(owner)


def _value(value: bytes | None) -> bytes:
    if value is not None and b"\0" in value:
        return b"~{%d}\r\n%b" % (len(value), value)  # literal8
    return nstring(value)


async def set_metadata(_session: Session, mail: AccountMail, request: SetRequest) -> Reply:
    """SETMETADATA (RFC 5464 4.3): all or nothing."""
    sizes = (len(value or b"") for value in request.changes.values())
    if max(sizes) > ANNOTATION_BYTES_MAX:
        return no("A value is too long", b"METADATA MAXSIZE %d" % ANNOTATION_BYTES_MAX)
    try:
        await mail.annotate(request.owner, request.changes)
    except QuotaExceeded:
        return no("There is no room for more entries", b"METADATA TOOMANY")
    return ok("Noted")


def get_request(cursor: Cursor) -> GetRequest:
    """Options, owner, entries; options behind the owner are understood as well.

    The RFC has them there in its examples, and before it in its grammar.
    """
    options: dict[bytes, int | None] = {}
    if cursor.at(b"("):
        options = _options(cursor)
        cursor.space()
    owner = metadata_owner(cursor)
    cursor.space()
    if not options and (cursor.at_option(b"(MAXSIZE ") or cursor.at_option(b"(DEPTH ")):
        options = _options(cursor)
        cursor.space()
    depth = options.get(b"DEPTH", 0)
    return GetRequest(owner, entries(cursor), depth, options.get(b"MAXSIZE"))


def _options(cursor: Cursor) -> dict[bytes, int | None]:
    def option() -> tuple[bytes, int | None]:
        name = cursor.word()
        cursor.space()
        if name == b"MAXSIZE":
            return name, cursor.number()
        if name != b"DEPTH":
            raise ImapSyntaxError("Unknown GETMETADATA option")
        depth = cursor.word()
        if depth not in _DEPTHS:
            raise ImapSyntaxError("DEPTH is 0, 1 or infinity")
        return name, _DEPTHS[depth]

    return dict(cursor.listed(option))


def set_request(cursor: Cursor) -> SetRequest:
    """Owner, entries with values."""
    owner = metadata_owner(cursor)
    cursor.space()
    return SetRequest(owner, changes(cursor))


VERBS: Mapping[bytes, Verb] = {
    b"GETMETADATA": MailVerb(after_space(get_request), get_metadata),
    b"SETMETADATA": MailVerb(after_space(set_request), set_metadata),
}
