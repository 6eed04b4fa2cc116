"""Notes that mail programs keep about folders and about the account (RFC 5464).

They stand in the log: so every device of the account has them, and a lost index brings them back.
A folder keeps its notes when it is renamed.
"""

from __future__ import annotations

from collections.abc import Mapping

from epost.apps.mail.log.journal import Journal
from epost.apps.mail.log.ledger import Ledger
from epost.apps.mail.log.records import Annotate
from epost.foundation.errors import QuotaExceeded

ANNOTATIONS_PER_FOLDER_MAX = 100
ANNOTATIONS_MAX = 10_000
"""Of an account, those that were removed included: devices must remember that they were."""
ANNOTATED_BYTES_MAX = 2**20
"""Names and values of all notes of an account."""


class Annotations:
    """All notes of one account."""

    def __init__(self, ledger: Ledger, journal: Journal) -> None:
        self._ledger = ledger
        self._journal = journal

    def of(self, folder: bytes) -> Mapping[str, bytes]:
        """Return the notes about a folder, or about the account (no folder): values by name."""
        known = self._ledger.annotations.get(folder, {})
        return {name: note.value[0] for name, note in sorted(known.items()) if note.value}

    async def change(self, folder: bytes, changes: Mapping[str, bytes | None]) -> None:
        """Write notes and remove those whose value is None, all or none; raises QuotaExceeded."""
        async with self._journal.turn:
            known = self.of(folder)
            wanted = {name.lower(): value for name, value in changes.items()}
            different = {name: v for name, v in wanted.items() if v != known.get(name)}
            if not different:
                return
            self._require_room(folder, different)
            records = [
                Annotate(self._journal.stamp(), folder, name, () if value is None else (value,))
                for name, value in different.items()
            ]
            written = await self._journal.write(records)
        await written.durable()

    def _require_room(self, folder: bytes, changes: Mapping[str, bytes | None]) -> None:
        after = {**self.of(folder), **changes}
        if sum(value is not None for value in after.values()) > ANNOTATIONS_PER_FOLDER_MAX:
            raise QuotaExceeded("too many notes about one folder")
        others = [notes for of, notes in self._ledger.annotations.items() if of != folder]
        kept = after.keys() | self._ledger.annotations.get(folder, {}).keys()
        if len(kept) + sum(map(len, others)) > ANNOTATIONS_MAX:
            raise QuotaExceeded("too many notes")
        size = sum(_size(name, value) for name, value in after.items() if value is not None)
        size += sum(_size(n.name, *n.value) for notes in others for n in notes.values() if n.value)
        if size > ANNOTATED_BYTES_MAX:
            raise QuotaExceeded(f"notes of more than {ANNOTATED_BYTES_MAX} bytes")


def _size(name: str, value: bytes) -> int:
    return len(name) + len(value)
