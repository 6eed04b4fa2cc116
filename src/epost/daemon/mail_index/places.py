"""The rows of a folder, read from the mail index in the order of their UIDs.

Mails have random names, so that a look-up by name costs a page of the index over names, which
must be decrypted. But mails that came one after the other lie side by side, and as a rule they
are in one folder: so a run of rows looks up the mails at its ends, and reads what lies between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from epost.apps.mail.index import PlacedMail, RowColumns
from epost.apps.mail.log.fold import Placement
from epost.daemon.mail_index.rows import flags_that_are_set, mail_facts
from epost.daemon.mail_index.schema import FACTS, PLACED, POSITION

OTHERS_READ_MAX = 2
"""So many mails of other folders may be read along for each one that is wanted."""

_Row = tuple[Any, ...]
"""Columns of our own schema."""
_EMAIL = 3

_placement = msgspec.msgpack.Decoder(Placement)


class FolderPlaces:
    """Places with a number, and what is known of their mails."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def after(self, folder: bytes, uid: int, limit: int) -> Sequence[PlacedMail]:
        """Return numbered mails of a folder by UID, behind this one."""
        return [
            PlacedMail(_placement.decode(value), modseq, mail_facts(*facts))
            for (_, value, modseq, *_), facts in self._found(folder, uid, limit)
        ]

    def columns(self, folder: bytes, uid: int, limit: int) -> RowColumns:
        """Return the same by columns, for which of a place only its flags are decoded."""
        rows = [
            (uid, name, modseq, flags_that_are_set(value), *facts)
            for (uid, value, modseq, _, name), facts in self._found(folder, uid, limit)
        ]
        return RowColumns(*zip(*rows, strict=True)) if rows else RowColumns()

    def _found(self, folder: bytes, uid: int, limit: int) -> Sequence[tuple[_Row, _Row]]:
        """Return (UID, encoded place, MODSEQ, mail, name) with the facts of the mail."""
        found: list[tuple[_Row, _Row]] = []
        while len(found) < limit:
            wanted = limit - len(found)
            placed: list[_Row] = self._db.execute(PLACED, (folder, uid, wanted)).fetchall()
            facts = self._facts([row[_EMAIL] for row in placed])
            # Of others another device's log, which brings the mail, is still to be read.
            found += [(row, facts[row[_EMAIL]]) for row in placed if row[_EMAIL] in facts]
            if len(placed) < wanted:
                break
            uid = placed[-1][0]
        return found

    def _facts(self, emails: Sequence[bytes]) -> Mapping[bytes, _Row]:
        facts = self._facts_between(emails)
        missing = [email for email in emails if email not in facts]
        places = ",".join("?" * len(missing))
        rows = self._db.execute(f"{FACTS} email IN ({places})", missing) if missing else ()
        return {**facts, **{row[0]: row for row in rows}} if missing else facts

    def _facts_between(self, emails: Sequence[bytes]) -> Mapping[bytes, _Row]:
        """Return those of the mails between the first and the last one, if those are not many."""
        if len(emails) < 2:
            return {}
        first, last = (self._db.execute(POSITION, (emails[i],)).get for i in (0, -1))
        if first is None or last is None:
            return {}
        if not 0 <= last - first <= (1 + OTHERS_READ_MAX) * len(emails):
            return {}
        rows = self._db.execute(f"{FACTS} key BETWEEN ? AND ?", (first, last))
        return {row[0]: row for row in rows}
