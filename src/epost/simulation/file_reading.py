"""Attached files read on the spot: the twin of `daemon.file_reading.reader`.

Whoever makes the files of a simulation knows that they do no harm.
"""

from __future__ import annotations

from epost.apps.mail.attached.kinds import FileKind
from epost.apps.mail.attached.reading import read_pieces

CHARACTERS_MAX = 256 * 1024


async def read_here(kind: FileKind, octets: bytes) -> str:
    """Return the text of a file."""
    return "\n".join(read_pieces(kind, octets, CHARACTERS_MAX))[:CHARACTERS_MAX]
