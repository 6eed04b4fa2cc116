"""Helping hands for tests of vaults: recording, and harming files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import apsw

from epost.foundation.ids import Handle


@dataclass
class Recorder:
    """An observer that keeps everything."""

    events: list[object] = field(default_factory=list)

    def record(self, event: object) -> None:
        self.events.append(event)


def rot_sqlite(folder: Path, handle: Handle) -> None:
    """Flip a bit of the first part of a body, in the database or in its file."""
    connection = apsw.Connection(str(folder / "vault.db"))
    [(key, inline)] = connection.execute(
        """SELECT bodies.id, bodies.body FROM bodies JOIN blocks ON bodies.id = blocks.body << 16
        WHERE kind = ? AND digest = ?""",
        (handle.kind, handle.digest),
    ).fetchall()
    if inline is None:
        path = folder / "bodies" / f"{key:x}"
        path.write_bytes(flipped(path.read_bytes()))
    else:
        connection.execute("UPDATE bodies SET body = ? WHERE id = ?", (flipped(inline), key))
    connection.close()


def flipped(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:]
