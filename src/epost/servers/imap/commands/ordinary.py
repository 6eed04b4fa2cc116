"""Commands of every state: CAPABILITY, NOOP, LOGOUT, ID, ENABLE."""

from collections.abc import Mapping

from epost.apps.mail.mailbox import AccountMail
from epost.servers.imap import capabilities
from epost.servers.imap.replies import Reply, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.formats import string
from epost.servers.imap.verbs import AnyVerb, MailVerb, Verb, after_space, no_arguments
from epost.servers.imap.watch import EVERYTHING, Watch, events_enabled

ID_PAIRS_MAX = 30  # RFC 2971 3.3


async def capability(session: Session, _request: None) -> Reply:
    """CAPABILITY (RFC 3501 6.1.1)."""
    session.send(b"* CAPABILITY ", b" ".join(session.capabilities()), b"\r\n")
    return ok("That is all")


async def noop(_session: Session, _request: None) -> Reply:
    """NOOP (RFC 3501 6.1.2): what changed is announced after every command."""
    return ok("Nothing done")


async def logout(session: Session, _request: None) -> Reply:
    """LOGOUT (RFC 3501 6.1.3)."""
    session.select(None)
    session.send(b"* BYE Good-bye\r\n")
    session.end("")
    return ok("Logged out")


async def identify(session: Session, _request: None) -> Reply:
    """ID (RFC 2971); what the client says of itself is not kept."""
    fields = [b"name", b"ePOST"]
    if session.mail is not None and session.site.product_version:
        fields += [b"version", session.site.product_version.encode("utf-8")]
    session.send(b"* ID (", b" ".join(map(string, fields)), b")\r\n")
    return ok("Pleased to meet you")


def client_identity(cursor: Cursor) -> None:
    """NIL, or pairs of a field and its value or NIL."""
    if cursor.nil():
        return
    texts = cursor.listed_or_none(cursor.nstring)
    if len(texts) > 2 * ID_PAIRS_MAX or len(texts) % 2:
        raise ImapSyntaxError("ID takes at most 30 pairs")


async def enable(session: Session, mail: AccountMail, names: list[bytes]) -> Reply:
    """ENABLE (RFC 5161); what cannot be enabled is passed over."""
    known = capabilities.ENABLEABLE
    enabled = dict.fromkeys(known[name] for name in names if name in known)
    session.send(b" ".join((b"* ENABLED", *enabled)), b"\r\n")
    modes = session.modes
    modes.wants_vanished |= b"QRESYNC" in enabled
    modes.accepts_utf8 |= b"UTF8=ACCEPT" in enabled
    modes.is_rev2 |= b"IMAP4rev2" in enabled
    modes.is_uid_only |= b"UIDONLY" in enabled
    modes.hears_metadata |= b"METADATA" in enabled
    modes.hears_server_metadata |= b"METADATA-SERVER" in enabled
    if events := events_enabled(modes):
        if session.watch is None:
            session.watch_with(Watch(selected=EVERYTHING))
        assert session.watch is not None
        session.watch.tell_always(events, mail)
    if b"CONDSTORE" in enabled or b"QRESYNC" in enabled:
        session.enable_modseq()
    return ok("Enabled what can be")


def words(cursor: Cursor) -> list[bytes]:
    """One or more words, each after a space."""
    names = []
    while cursor.skip(b" "):
        names.append(cursor.word())
    if not names:
        raise ImapSyntaxError("A capability is expected")
    return names


VERBS: Mapping[bytes, Verb] = {
    b"CAPABILITY": AnyVerb(no_arguments, capability),
    b"NOOP": AnyVerb(no_arguments, noop),
    b"LOGOUT": AnyVerb(no_arguments, logout),
    b"ID": AnyVerb(after_space(client_identity), identify),
    b"ENABLE": MailVerb(words, enable),
}
