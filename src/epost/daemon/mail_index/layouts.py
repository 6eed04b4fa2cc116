"""Layouts of the mail index: the tables of a new one, and how those of former versions are changed.

An index of any other version is of no use, and is made anew from the log.
"""

from __future__ import annotations

import apsw
import msgspec

from epost.apps.mail.index import IndexState, MailIndexDamaged
from epost.daemon.mail_index.schema import SCHEMA, SCHEMA_VERSION
from epost.foundation.codec import encode

WITHOUT_ANNOTATIONS = 3
"""The layout of the first release."""
ALL_BY_EMAIL = 4
"""The layout in which `by_email` had the first place of every mail as well."""
WITHOUT_FILES = 5
"""The layout in which files waited for nothing."""

_ANNOTATION = """
CREATE TABLE annotation (
  folder BLOB, name TEXT, value BLOB NOT NULL, PRIMARY KEY (folder, name)) WITHOUT ROWID;
"""
_NARROW_BY_EMAIL = """
DROP INDEX by_email;
CREATE INDEX by_email ON placement (email) WHERE email != name;
"""
# Whatever may be a file that is read: who reads it finds out, and whether it has been read already
# does no harm.
_UNREAD_FILES = """
CREATE TABLE unread_files (key INTEGER PRIMARY KEY);
INSERT INTO unread_files
SELECT key FROM structure WHERE instr(lower(body), '"application"');
"""
# Which mail is the first unseen one is asked of the folder in memory.
_WITHOUT_UNSEEN = """
DROP INDEX unseen;
ALTER TABLE placement DROP COLUMN is_unseen;
"""


def bring_up_to_date(db: apsw.Connection) -> None:
    """Make the tables, or change those of a former version, in the caller's transaction.

    Raises MailIndexDamaged for a version that is not known.
    """
    version = db.pragma("user_version")
    if version == 0:
        db.execute(SCHEMA)
    elif WITHOUT_ANNOTATIONS <= version < SCHEMA_VERSION:
        if version == WITHOUT_ANNOTATIONS:
            _add_annotations(db)
        if version <= ALL_BY_EMAIL:
            db.execute(_NARROW_BY_EMAIL)
        if version <= WITHOUT_FILES:
            db.execute(_UNREAD_FILES)
        db.execute(_WITHOUT_UNSEEN)
    else:
        raise MailIndexDamaged(f"it is of version {version}, not {SCHEMA_VERSION}")
    db.pragma("user_version", SCHEMA_VERSION)


def _add_annotations(db: apsw.Connection) -> None:
    """The first release passed over what newer devices of the account had noted.

    Their logs are read again, which changes nothing else.
    """
    db.execute(_ANNOTATION)
    value = db.execute("SELECT value FROM state").get
    if value is not None:
        state = msgspec.msgpack.decode(value, type=IndexState)
        db.execute(
            "UPDATE state SET value = ?", (encode(msgspec.structs.replace(state, others=())),)
        )
