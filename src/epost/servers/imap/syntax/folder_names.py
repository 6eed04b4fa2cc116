"""Folder names as clients write them (RFC 3501 5.1) and as the mail application knows them."""

import re

from epost.apps.mail.mailbox import FOLDER_NAME_LENGTH_MAX, INBOX, SEPARATOR
from epost.servers.imap.syntax import modified_utf7
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.formats import astring

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029%*]")


def folder_name(cursor: Cursor) -> str:
    """Take the name of a folder that should exist."""
    return decoded_name(cursor.astring())


def new_folder_name(cursor: Cursor) -> str:
    """Take a name for CREATE or RENAME; a separator at its end is dropped (RFC 3501 6.3.3)."""
    name = decoded_name(cursor.astring()).removesuffix(SEPARATOR)
    if not all(name.split(SEPARATOR)) or _FORBIDDEN.search(name):
        raise ImapSyntaxError("This cannot be the name of a folder")
    return name


def decoded_name(wire: bytes) -> str:
    """Raises ImapSyntaxError; INBOX and its inferiors come back in their one spelling."""
    name = modified_utf7.decode(wire)
    if len(name) > FOLDER_NAME_LENGTH_MAX:
        raise ImapSyntaxError("Folder name is too long")
    first, separator, rest = name.partition(SEPARATOR)
    return INBOX + separator + rest if first.upper() == INBOX else name


def encoded_name(name: str) -> bytes:
    """A folder's name for a response."""
    return astring(modified_utf7.encode(name))
