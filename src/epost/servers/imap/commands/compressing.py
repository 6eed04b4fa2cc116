"""COMPRESS (RFC 4978)."""

from collections.abc import Mapping

from epost.apps.mail.mailbox import AccountMail
from epost.servers.imap.replies import Reply, no, ok
from epost.servers.imap.session import Session
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.verbs import MailVerb, Verb, after_space


async def compress(session: Session, _mail: AccountMail, _request: None) -> Reply:
    """Deflate both ways, from behind the OK on; once."""
    if not session.client.can_compress:
        return no("The connection is compressed already", b"COMPRESSIONACTIVE")
    session.starts_compression = True
    return ok("From now on compressed")


def mechanism(cursor: Cursor) -> None:
    """There is one."""
    if cursor.word() != b"DEFLATE":
        raise ImapSyntaxError("Only DEFLATE is offered")


VERBS: Mapping[bytes, Verb] = {b"COMPRESS": MailVerb(after_space(mechanism), compress)}
