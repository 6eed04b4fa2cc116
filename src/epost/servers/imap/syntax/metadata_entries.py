"""Names and values of metadata as clients write them (RFC 5464)."""

import re
from collections.abc import Sequence

from epost.apps.mail.log.records import ANNOTATION_NAME_LENGTH_MAX
from epost.servers.imap.limits import METADATA_ENTRIES_MAX
from epost.servers.imap.syntax.cursor import Cursor
from epost.servers.imap.syntax.errors import ImapSyntaxError
from epost.servers.imap.syntax.folder_names import decoded_name

# Printable ASCII without wildcards, in components of which none is empty.
_ENTRY = re.compile(r"/(?:private|shared)(?:/[ !-$&-)+-.0-~]+)*", re.IGNORECASE)


def metadata_owner(cursor: Cursor) -> str | None:
    """Take the folder that metadata is about; None for "", which is the whole account."""
    wire = cursor.astring()
    return decoded_name(wire, is_utf8=cursor.is_utf8) if wire else None


def entry(cursor: Cursor, *, may_be_root: bool = False) -> str:
    """Take the name of an entry; `may_be_root` if /private alone may be asked for."""
    name = cursor.astring().decode("ascii", "replace")
    if not _ENTRY.fullmatch(name) or len(name) > ANNOTATION_NAME_LENGTH_MAX:
        raise ImapSyntaxError("This is not the name of a metadata entry")
    if name.count("/") == 1 and not may_be_root:
        raise ImapSyntaxError("The name of a metadata entry has at least two components")
    return name


def entries(cursor: Cursor) -> Sequence[str]:
    """Take one entry, or some in parentheses."""
    if not cursor.at(b"("):
        return (entry(cursor, may_be_root=True),)
    names = cursor.listed(lambda: entry(cursor, may_be_root=True))
    if len(names) > METADATA_ENTRIES_MAX:
        raise ImapSyntaxError("Too many metadata entries")
    return names


def changes(cursor: Cursor) -> dict[str, bytes | None]:
    """Take entries, in lower case, with their new values; None removes."""
    changed = dict(cursor.listed(lambda: _change(cursor)))
    if len(changed) > METADATA_ENTRIES_MAX:
        raise ImapSyntaxError("Too many metadata entries")
    return changed


def _change(cursor: Cursor) -> tuple[str, bytes | None]:
    name = entry(cursor).lower()
    cursor.space()
    return name, cursor.literal() if cursor.at(b"~{") else cursor.nstring()
