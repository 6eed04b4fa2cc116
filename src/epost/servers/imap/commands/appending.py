"""APPEND, also of several mails at once (RFC 3501 6.3.11, RFC 3502, RFC 4315)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from epost.apps.mail.mailbox import AccountMail, AppendOutcome, NewMail
from epost.apps.mail.ports import work_on
from epost.foundation.errors import NoSuchFolder
from epost.foundation.octets import Octets
from epost.servers.imap.binary_mail import UnknownEncoding, without_nul
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.dates import date_time
from epost.servers.imap.syntax.flags import flag, settable, spelled_alike, spellings_of
from epost.servers.imap.syntax.folder_names import folder_name
from epost.servers.imap.syntax.sequences import format_set
from epost.servers.imap.verbs import MailVerb, Verb, after_space


@dataclass(frozen=True, slots=True)
class AppendRequest:
    """A folder and the mails to put there."""

    name: str
    mails: Sequence[NewMail]


async def append(session: Session, mail: AccountMail, request: AppendRequest) -> Reply:
    """All mails or none; the text of the OK tells how durable they are."""
    if not all(new.octets for new in request.mails):
        return no("An empty mail is not kept", b"CANNOT")
    try:
        mails = [await readable(session, new) for new in request.mails]
    except UnknownEncoding:
        return no("NULs are kept in parts of the encoding binary only", b"UNKNOWN-CTE")
    try:
        folder = await mail.open(request.name)
        outcome = await folder.append(spelled(mails, folder.keywords))
    except NoSuchFolder:
        return no("There is no such folder", b"TRYCREATE")
    return ok(f"Appended, {outcome.durability.value}", append_uid(outcome))


async def readable(session: Session, new: NewMail) -> NewMail:
    """A mail as every FETCH can send it to every client; raises UnknownEncoding."""
    octets = new.octets
    kept = await work_on(len(octets), lambda: without_nul(octets), session.site.offload)
    return replace(new, octets=kept)


def append_uid(outcome: AppendOutcome) -> bytes:
    """The code that names the new messages (RFC 4315 3)."""
    return b"APPENDUID %d %b" % (outcome.uid_validity, format_set(outcome.uids))


def spelled(mails: Sequence[NewMail], keywords: Sequence[str]) -> list[NewMail]:
    """The mails with their keywords as they are spelled in the folder, or in the mails before."""
    spellings = spellings_of(keywords)
    return [replace(new, flags=spelled_alike(new.flags, spellings)) for new in mails]


def append_request(cursor: Cursor) -> AppendRequest:
    """A folder name and one or more mails."""
    name = folder_name(cursor)
    mails = [new_mail(cursor)]
    while not cursor.at_end():
        mails.append(new_mail(cursor))
    return AppendRequest(name, mails)


def new_mail(cursor: Cursor) -> NewMail:
    """A space, perhaps flags and a date, and the mail."""
    cursor.space()
    flags: frozenset[str] = frozenset()
    if cursor.at(b"("):
        flags = settable(cursor.listed_or_none(lambda: flag(cursor)))
        cursor.space()
    internal_date = None
    if cursor.at(b'"'):
        internal_date = date_time(cursor)
        cursor.space()
    return NewMail(_octets(cursor), flags, internal_date)


def _octets(cursor: Cursor) -> Octets:
    """A literal or literal8, perhaps wrapped as UTF8 (RFC 6855 4)."""
    is_wrapped = cursor.at_word(b"UTF8")
    if is_wrapped:
        cursor.word()
        cursor.expect(b" (")
    octets = cursor.long_literal()
    if is_wrapped:
        cursor.expect(b")")
    return octets


VERBS: Mapping[bytes, Verb] = {b"APPEND": MailVerb(after_space(append_request), append)}
