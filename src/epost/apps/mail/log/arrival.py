"""The log entries by which a mail comes into being in a folder."""

from __future__ import annotations

from collections.abc import Sequence

from epost.apps.mail.log.records import FIRST, Insert, Save, encode_record
from epost.foundation.ports import Clock
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry


def arrival(insert: Insert, clock: Clock) -> Sequence[Entry]:
    """Return the entries of a mail that comes now, whenever it was sent."""
    save = Save(insert.folder, FIRST, clock.wall_ms() // 1000, (insert.email,))
    return [Entry(AppId.MAIL, encode_record(record)) for record in (insert, save)]
