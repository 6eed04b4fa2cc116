"""The mail index on disk: one encrypted SQLite database (crypto 9), twin of the simulated one.

It is made anew from the log whenever it cannot be read, so it trades durability for speed: WAL
without a flush per transaction. All calls come from the event loop's thread; only checkpoints,
which wait for the disk, run on a thread of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec

from epost.apps.mail.index import (
    Batch,
    FolderRow,
    IndexState,
    MailFacts,
    MailIndexDamaged,
    PlacedMail,
    Rendition,
    RowColumns,
)
from epost.apps.mail.log.fold import Annotation, Placement, Subscription
from epost.apps.mail.log.records import Content
from epost.apps.mail.mailbox import TextMatch
from epost.apps.mail.observed import MailIndexDiscarded
from epost.daemon.checkpoints import Checkpoints
from epost.daemon.mail_index.layouts import bring_up_to_date
from epost.daemon.mail_index.places import FolderPlaces
from epost.daemon.mail_index.rows import (
    content_row,
    flags_row,
    mail_facts,
    mail_row,
    number_row,
    placement_row,
)
from epost.daemon.mail_index.schema import (
    CONTENTS,
    FACTS,
    PLACES_OF,
    PUT_CONTENT,
    PUT_FLAGS,
    PUT_MAIL,
    PUT_NUMBER,
    PUT_PLACEMENT,
    PUT_SENT,
    SCHEMA_VERSION,
    TABLES,
    UNRENDERED,
    WITH_UNREAD_FILES,
)
from epost.daemon.mail_index.texts import SearchedTexts
from epost.foundation.codec import encode
from epost.foundation.errors import DiskFull
from epost.foundation.ports import Observer

CACHE_KIBIBYTES = 8 * 1024
"""More than the vault has: what is not here is not only read but decrypted again."""
CHECKPOINT_PAGES = 8000
"""32 MiB: a page that changes often is written back, and encrypted again, once for all of it."""
BUSY_TIMEOUT_MS = 5000

_annotation = msgspec.msgpack.Decoder(Annotation)
_content = msgspec.msgpack.Decoder(Content)
_folder_row = msgspec.msgpack.Decoder(FolderRow)
_placement = msgspec.msgpack.Decoder(Placement)
_state = msgspec.msgpack.Decoder(IndexState)
_subscription = msgspec.msgpack.Decoder(Subscription)


def open_mail_index(path: Path, key: bytes, observer: Observer) -> SqliteMailIndex:
    """Open or make the index under a raw 32-byte key.

    A file that is damaged, of another version or under another key is reported and replaced by an
    empty one: the mail application then fills it from the log.
    """
    try:
        _require_sound(path)
        return SqliteMailIndex(path, key)
    except MailIndexDamaged as error:
        observer.record(MailIndexDiscarded(error))
        for file in _files(path):
            file.unlink(missing_ok=True)
        return SqliteMailIndex(path, key)


class SqliteMailIndex:
    """The open database; raises DiskFull and MailIndexDamaged from every call."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._key = key
        with self._errors():
            self._db = self._connect()
            self._make_tables()
        self._places = FolderPlaces(self._db)
        self._texts = SearchedTexts(self._db, self._at)
        self._checkpoints = Checkpoints(self._connect, name="mail index")
        self._db.set_wal_hook(self._on_wal)

    def close(self) -> None:
        """Close; the last checkpoint happens here."""
        self._checkpoints.close()
        self._db.close()

    def clear(self) -> None:
        """Empty the index."""
        with self._transaction():
            for table in TABLES:
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names

    def state(self) -> IndexState | None:
        with self._errors():
            value = self._db.execute("SELECT value FROM state").get
        return None if value is None else _state.decode(value)

    def folders(self) -> Sequence[FolderRow]:
        with self._errors():
            found = self._db.execute("SELECT value FROM folder ORDER BY id")
            return [_folder_row.decode(value) for (value,) in found]

    def subscriptions(self) -> Sequence[Subscription]:
        with self._errors():
            found = self._db.execute("SELECT value FROM subscription ORDER BY name")
            return [_subscription.decode(value) for (value,) in found]

    def annotations(self) -> Sequence[Annotation]:
        with self._errors():
            found = self._db.execute("SELECT value FROM annotation ORDER BY folder, name")
            return [_annotation.decode(value) for (value,) in found]

    def placements(self, names: Collection[bytes]) -> Mapping[bytes, tuple[Placement, int]]:
        query = "SELECT name, value, modseq FROM placement WHERE name IN "
        return {
            name: (_placement.decode(value), modseq)
            for name, value, modseq in self._among(query, names)
        }

    def places_of(self, emails: Collection[bytes]) -> Sequence[bytes]:
        names = tuple(emails)
        with self._errors():
            query = PLACES_OF.format(names=",".join("?" * len(names)))
            return [name for _, name in self._db.execute(query, names * 2)]

    def facts(self, emails: Collection[bytes]) -> Mapping[bytes, MailFacts]:
        return {row[0]: mail_facts(*row) for row in self._among(f"{FACTS} email IN", emails)}

    def commit(self, batch: Batch) -> None:
        """Write all or nothing."""
        execute = self._db.execute
        with self._transaction():
            self._db.executemany(PUT_MAIL, map(mail_row, batch.mails))
            self._db.executemany(PUT_CONTENT, map(content_row, batch.mails))
            for email, rendition in batch.renditions:
                self._put_rendition(email, rendition)
            for email, text in batch.file_texts:
                self._texts.add_file_text(email, text)
            self._db.executemany(PUT_PLACEMENT, map(placement_row, batch.placements))
            # Far cheaper: these touch none of the indexes that are ordered by names.
            self._db.executemany(PUT_NUMBER, map(number_row, batch.numbered))
            self._db.executemany(PUT_FLAGS, map(flags_row, batch.flagged))
            self._db.executemany(
                "INSERT OR REPLACE INTO folder VALUES (?, ?)",
                ((row.state.folder, encode(row)) for row in batch.folders),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO subscription VALUES (?, ?)",
                ((entry.name, encode(entry)) for entry in batch.subscriptions),
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO annotation VALUES (?, ?, ?)",
                ((*note.key, encode(note)) for note in batch.annotations),
            )
            self._db.executemany("INSERT OR IGNORE INTO vanished VALUES (?, ?, ?)", batch.vanished)
            execute("INSERT OR REPLACE INTO state VALUES (1, ?)", (encode(batch.state),))

    def _put_rendition(self, email: bytes, rendition: Rendition) -> None:
        sent, forms = rendition.sent, rendition.rendered
        execute = self._db.execute
        key = execute(PUT_SENT, (sent and sent.seconds, sent and sent.zone_minutes, email)).get
        execute("INSERT OR REPLACE INTO envelope VALUES (?, ?)", (key, forms.envelope))
        structure = (key, forms.body, forms.bodystructure)
        execute("INSERT OR REPLACE INTO structure VALUES (?, ?, ?)", structure)
        execute("INSERT OR REPLACE INTO header VALUES (?, ?)", (key, rendition.header))
        self._texts.put(key, rendition)

    def folder_rows(self, folder: bytes, after_uid: int, limit: int) -> Sequence[PlacedMail]:
        with self._errors():
            return self._places.after(folder, after_uid, limit)

    def folder_columns(self, folder: bytes, after_uid: int, limit: int) -> RowColumns:
        with self._errors():
            return self._places.columns(folder, after_uid, limit)

    def content(self, email: bytes) -> Content | None:
        query = "SELECT c.value FROM mail m JOIN content c USING (key) WHERE m.email = ?"
        with self._errors():
            value = self._db.execute(query, (email,)).get
        return None if value is None else _content.decode(value)

    def contents(self, positions: Collection[int]) -> Mapping[int, Content]:
        found = self._at("SELECT key, value FROM content WHERE key ", positions)
        return {key: _content.decode(value) for key, value in found}

    def envelopes(self, positions: Collection[int]) -> Mapping[int, bytes]:
        return dict(self._at("SELECT key, value FROM envelope WHERE key ", positions))

    def structures(self, positions: Collection[int]) -> Mapping[int, tuple[bytes, bytes]]:
        found = self._at("SELECT key, body, bodystructure FROM structure WHERE key ", positions)
        return {key: (body, whole) for key, body, whole in found}

    def headers(self, positions: Collection[int]) -> Mapping[int, bytes | None]:
        return dict(self._at("SELECT key, value FROM header WHERE key ", positions))

    def containing(self, match: TextMatch, positions: Collection[int]) -> frozenset[int]:
        return self._texts.containing(match, positions)

    def vanished(self, folder: bytes, after_modseq: int) -> Sequence[int]:
        query = "SELECT uid FROM vanished WHERE folder = ? AND modseq > ?"
        with self._errors():
            return sorted(uid for (uid,) in self._db.execute(query, (folder, after_modseq)))

    def count_from(self, folder: bytes, uid: int) -> int:
        query = "SELECT count(*) FROM placement WHERE folder = ? AND uid >= ?"
        with self._errors():
            return int(self._db.execute(query, (folder, uid)).get)

    def unnumbered(self, limit: int) -> Sequence[Placement]:
        query = (
            "SELECT p.value FROM placement p JOIN mail m ON m.email = p.email "
            "WHERE p.is_waiting ORDER BY p.key LIMIT ?"
        )
        with self._errors():
            return [_placement.decode(value) for (value,) in self._db.execute(query, (limit,))]

    def unrendered(self, limit: int, after: int = 0) -> Sequence[tuple[int, bytes]]:
        with self._errors():
            return [(key, email) for key, email in self._db.execute(UNRENDERED, (after, limit))]

    def with_unread_files(self, after: int = 0) -> tuple[int, bytes] | None:
        with self._errors():
            found: tuple[int, bytes] | None = self._db.execute(WITH_UNREAD_FILES, (after,)).get
            return found

    def contents_of_mails(
        self, limit: int, after: int = 0, *, in_folders: bool
    ) -> Sequence[tuple[int, Content | None]]:
        with self._errors():
            found = self._db.execute(CONTENTS, (in_folders, after, limit))
            return [(key, value and _content.decode(value)) for key, value in found]

    def forget_vanished(self, folder: bytes, keep: int) -> int:
        oldest = (
            "SELECT modseq FROM vanished WHERE folder = ? "
            "ORDER BY modseq DESC, uid DESC LIMIT 1 OFFSET ?"
        )
        with self._transaction():
            last: int | None = self._db.execute(oldest, (folder, keep)).get
            forget = "DELETE FROM vanished WHERE folder = ? AND modseq <= ?"
            self._db.execute(forget, (folder, last))
        return 0 if last is None else last + 1

    def _among(self, query: str, names: Collection[bytes]) -> Sequence[tuple[Any, ...]]:
        """Run a query that ends with IN for these names; the columns are of our own schema."""
        if not names:
            return ()
        with self._errors():
            places = ",".join("?" * len(names))
            return self._db.execute(f"{query} ({places})", tuple(names)).fetchall()

    def _at(
        self, query: str, positions: Collection[int], *others: str
    ) -> Sequence[tuple[Any, ...]]:
        """Run a query that ends with a key, for these positions, which as a rule are a run."""
        wanted = frozenset(positions)
        if not wanted:
            return ()
        first, last = min(wanted), max(wanted)
        with self._errors():
            if last - first + 1 == len(wanted):
                query += "BETWEEN ? AND ?"
                return self._db.execute(query, (*others, first, last)).fetchall()
            query += f"IN ({','.join('?' * len(wanted))})"
            return self._db.execute(query, (*others, *wanted)).fetchall()

    def _connect(self) -> apsw.Connection:
        db = apsw.Connection(str(self._path))
        db.set_busy_timeout(BUSY_TIMEOUT_MS)
        db.pragma("cipher", "chacha20")
        db.pragma("key", f"raw:{self._key.hex()}")
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "normal")
        db.pragma("wal_autocheckpoint", 0)
        db.pragma("cache_size", -CACHE_KIBIBYTES)
        return db

    def _make_tables(self) -> None:
        if self._db.pragma("user_version") == SCHEMA_VERSION:
            return
        try:
            with self._transaction():
                bring_up_to_date(self._db)
        except MailIndexDamaged:
            self._db.close()
            raise

    def _on_wal(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        if pages >= CHECKPOINT_PAGES:
            self._checkpoints.ask()
        return apsw.SQLITE_OK

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back already
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Say in the project's words what went wrong; remember damage until the next start."""
        try:
            yield
        except apsw.FullError as error:
            raise DiskFull("no room for the mail index") from error
        except (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError) as error:
            _marker(self._path).touch()
            raise MailIndexDamaged(str(error)) from error


def _files(path: Path) -> Sequence[Path]:
    """The database, what SQLite keeps beside it, and our mark of damage."""
    return [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm")), _marker(path)]


def _marker(path: Path) -> Path:
    return path.with_name(path.name + ".damaged")


def _require_sound(path: Path) -> None:
    if _marker(path).exists():
        raise MailIndexDamaged("it was found damaged in the last run")
