"""The vault's database file: its tables, how it is opened, and what its errors mean to us.

WAL with synchronous=FULL: one flush of the log per commit. The rows of the index are apart from the
bodies, so that a walk along the ring reads no bodies. A body is cut into parts: one as it was put,
one for every extension since; a part with a null body lies in a file (see `bodies`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from epost.foundation.errors import ConfigError, DiskFull

APPLICATION_ID = 0x65504F53
"""Says that the file is ours: "ePOS"."""

DATABASE_FILE = "vault.db"
SCHEMA_VERSION = 2
BUSY_TIMEOUT_MS = 5000
WRITER_CACHE_KIBIBYTES = 4 * 1024
READER_CACHE_KIBIBYTES = 2 * 1024
"""Small: what SQLite does not keep itself, the system's page cache gives back without a disk."""
CHECKPOINT_PAGES = 2000
"""Pages of 4 KiB in the log before they are moved into the database file, beside the commits."""
LOG_PAGES_MAX = CHECKPOINT_PAGES + 500
"""With so many a commit moves what came meanwhile, some ten milliseconds. Under steady load nobody
else would come to the end of it, and a file that grows is flushed half as fast."""
REMEDY = "Restore it, or move the folder away: the blocks come back from the ring."

_INDEXES_OF_2 = """
CREATE INDEX diverted ON blocks (kind, digest) WHERE roles & 16;
CREATE INDEX pointers ON blocks (kind, digest) WHERE roles & 32;
CREATE INDEX cached ON blocks (kind, digest) WHERE roles & 64;
CREATE INDEX trashed ON blocks (kind, digest) WHERE roles & 128;"""
_FROM_1_TO_2 = f"{_INDEXES_OF_2} PRAGMA user_version = 2;"
"""A vault of format 1 keeps the pages that it frees for itself; one made today gives them back."""

_SCHEMA = f"""
CREATE TABLE blocks (
  kind INTEGER NOT NULL, digest BLOB NOT NULL,
  place BLOB NOT NULL AS (substr(digest, 1, 20)) VIRTUAL,
  size INTEGER NOT NULL, roles INTEGER NOT NULL, version INTEGER NOT NULL,
  body_hash BLOB NOT NULL, proof BLOB NOT NULL, ticket BLOB NOT NULL, stand_in_for BLOB NOT NULL,
  body INTEGER NOT NULL, parts INTEGER NOT NULL, is_damaged INTEGER NOT NULL,
  PRIMARY KEY (kind, digest));
CREATE INDEX by_place ON blocks (place, kind, digest);
CREATE INDEX replicas ON blocks (kind, digest) WHERE roles & 1;
CREATE INDEX stand_ins ON blocks (kind, digest) WHERE roles & 2;
CREATE INDEX mirrored ON blocks (kind, digest) WHERE roles & 4;
CREATE INDEX unpushed ON blocks (kind, digest) WHERE roles & 8;
{_INDEXES_OF_2}
CREATE TABLE bodies (id INTEGER PRIMARY KEY, checksum BLOB NOT NULL, body BLOB);
CREATE INDEX in_files ON bodies (id) WHERE body IS NULL;
CREATE TABLE notes (
  name TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (name, key));
CREATE TABLE totals (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""


def open_to_write(path: Path) -> apsw.Connection:
    """Open or make the database; raises ConfigError if the file is not a sound vault of ours."""
    with config_errors(path):
        connection = open_to_checkpoint(path)
        _require_ours(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA cache_size = -{WRITER_CACHE_KIBIBYTES}")
        return connection


def open_to_checkpoint(path: Path) -> apsw.Connection:
    """Open the database for what writes to it, or only moves its log: both flush alike."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = 1")  # macOS flushes its drive's cache only then
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see `Writer`
    return connection


def open_to_read(path: Path) -> apsw.Connection:
    """Open the existing database for reading only."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute(f"PRAGMA cache_size = -{READER_CACHE_KIBIBYTES}")
    return connection


@contextmanager
def config_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says about a file that it cannot use into a ConfigError."""
    try:
        yield
    except apsw.NotADBError as error:
        raise ConfigError(f"{path}: not a vault. {REMEDY}") from error
    except apsw.CorruptError as error:
        raise ConfigError(f"{path}: damaged: {error}. {REMEDY}") from error
    except apsw.Error as error:
        raise ConfigError(f"{path}: cannot be opened: {error}") from error


class _DiskErrors:
    """Turns errors of SQLite and of the file system into DiskFull or OSError."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, apsw.FullError):
            raise DiskFull(str(error)) from error
        if isinstance(error, apsw.CorruptError):
            raise OSError(errno.EIO, f"{error}. {REMEDY}") from error
        if isinstance(error, apsw.Error):
            raise OSError(errno.EIO, str(error)) from error
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(str(error)) from error


DISK_ERRORS = _DiskErrors()
"""For `with`; not a generator, since every look at the index enters it."""


def _require_ours(connection: apsw.Connection, path: Path) -> None:
    is_new = connection.pragma("schema_version") == 0
    if is_new:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        with connection:
            connection.execute(_SCHEMA)
        return
    if connection.pragma("application_id") != APPLICATION_ID:
        raise ConfigError(f"{path}: a database of another program. {REMEDY}")
    version = connection.pragma("user_version")
    if version == 1:
        with connection:
            connection.execute(_FROM_1_TO_2)
        return
    if version != SCHEMA_VERSION:
        raise ConfigError(
            f"{path}: format {version}, this program knows {SCHEMA_VERSION}. "
            "Use the program that wrote it."
        )
