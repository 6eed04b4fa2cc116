"""The texts of the mail index that are searched: substrings, found by the database itself.

What does not match never becomes a string of ours. Fields that are searched often stand by
themselves, so that a search for a subject reads subjects only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Protocol, assert_never

import apsw

from epost.apps.mail.index import Rendition
from epost.apps.mail.mailbox import TextMatch, TextPlace
from epost.apps.mail.renditions.text_search import matches
from epost.daemon.mail_index.schema import SEARCHED_FIELDS

_IN_HEADER = "SELECT key, value FROM searched_header WHERE instr(value, ?) AND key "
_IN_BODY = "SELECT key, value FROM searched_body WHERE instr(value, ?) AND key "
_ADD_TO_BODY = """
UPDATE searched_body SET value = value || char(10) || ?
WHERE key = (SELECT key FROM mail WHERE email = ?)"""
_FILES_ARE_READ = "DELETE FROM unread_files WHERE key = (SELECT key FROM mail WHERE email = ?)"
_IN_FIELD = "SELECT key, value FROM searched_field WHERE field = ? AND instr(value, ?) AND key "


class RowsAt(Protocol):
    """Runs a query that ends with a key, for some positions."""

    def __call__(
        self, query: str, positions: Collection[int], *others: str
    ) -> Sequence[tuple[Any, ...]]:
        """Return the rows; `others` fill the places before the keys."""
        ...


class SearchedTexts:
    """The tables `searched_header`, `searched_field` and `searched_body`, and `unread_files`: the
    mails whose `searched_body` has not got the text of their files yet."""

    def __init__(self, db: apsw.Connection, rows_at: RowsAt) -> None:
        self._db = db
        self._rows_at = rows_at

    def put(self, key: int, rendition: Rendition) -> None:
        """Enter the texts of a mail, in the caller's transaction."""
        execute, header = self._db.execute, rendition.header_text
        execute("INSERT OR REPLACE INTO searched_header VALUES (?, ?)", (key, header))
        execute("INSERT OR REPLACE INTO searched_body VALUES (?, ?)", (key, rendition.body_text))
        self._db.executemany(
            "INSERT OR REPLACE INTO searched_field VALUES (?, ?, ?)",
            ((field, key, value) for field, value in _fields(header)),
        )
        if rendition.brings_files:
            execute("INSERT OR IGNORE INTO unread_files VALUES (?)", (key,))

    def add_file_text(self, email: bytes, text: str) -> None:
        """Enter what was read of the files of a mail, in the caller's transaction."""
        if text:
            self._db.execute(_ADD_TO_BODY, (text, email))
        self._db.execute(_FILES_ARE_READ, (email,))

    def containing(self, match: TextMatch, positions: Collection[int]) -> frozenset[int]:
        """Return those of these mails whose text matches."""
        wanted = match.text.casefold()
        match match.place:
            case TextPlace.BODY:
                return _keys(self._rows_at(_IN_BODY, positions, wanted))
            case TextPlace.TEXT:
                in_header = _keys(self._rows_at(_IN_HEADER, positions, wanted))
                return in_header | _keys(self._rows_at(_IN_BODY, positions, wanted))
            case TextPlace.HEADER if match.field in SEARCHED_FIELDS:
                rows = self._rows_at(_IN_FIELD, positions, match.field, wanted)
                return _keys([row for row in rows if "\n" not in wanted])  # it would be in no line
            case TextPlace.HEADER:
                rows = self._rows_at(_IN_HEADER, positions, wanted)
                return _keys([row for row in rows if matches(match, row[1], "")])
        assert_never(match.place)


def _keys(rows: Sequence[tuple[Any, ...]]) -> frozenset[int]:
    return frozenset(row[0] for row in rows)


def _fields(header_text: str) -> Iterator[tuple[str, str]]:
    """Yield those fields that stand by themselves, each with all its values, one a line."""
    lines = header_text.split("\n")
    for field in SEARCHED_FIELDS:
        name = f"{field}: "
        values = [line[len(name) :] for line in lines if line.startswith(name)]
        if values:
            yield field, "\n".join(values)
