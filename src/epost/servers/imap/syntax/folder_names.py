"""Folder names as clients write them (RFC 3501 5.1) and as the mail application knows them."""

import re
import unicodedata

from epost.apps.mail.mailbox import FOLDER_NAME_LENGTH_MAX, INBOX, SEPARATOR
from epost.servers.imap.syntax import modified_utf7
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError, ImpossibleName
from epost.servers.imap.syntax.formats import astring, quoted_utf8

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029%*]")


def folder_name(cursor: Cursor) -> str:
    """Take the name of a folder that should exist."""
    return decoded_name(cursor.astring(), is_utf8=cursor.is_utf8)


def new_folder_name(cursor: Cursor) -> str:
    """Take a name for CREATE or RENAME; a separator at its end is dropped (RFC 3501 6.3.3)."""
    name = folder_name(cursor).removesuffix(SEPARATOR)
    if not all(name.split(SEPARATOR)) or _FORBIDDEN.search(name):
        raise ImapSyntaxError("This cannot be the name of a folder")
    return name


def decoded_name(wire: bytes, *, is_utf8: bool) -> str:
    """Raises ImapSyntaxError; INBOX and its inferiors come back in their one spelling."""
    name = _utf8(wire) if is_utf8 else modified_utf7.decode(wire)
    if len(name) > FOLDER_NAME_LENGTH_MAX:
        raise ImapSyntaxError("Folder name is too long")
    first, separator, rest = name.partition(SEPARATOR)
    return INBOX + separator + rest if first.upper() == INBOX else name


def encoded_name(name: str, *, is_utf8: bool) -> bytes:
    """A folder's name for a response."""
    if not is_utf8:
        return astring(modified_utf7.encode(name))
    return astring(name.encode("ascii")) if name.isascii() else quoted_utf8(name)


def _utf8(wire: bytes) -> str:
    try:
        return unicodedata.normalize("NFC", wire.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ImpossibleName("Folder name is not UTF-8") from error
