"""Attached files read on the spot: the twin of `daemon.file_reading.reader`.

Whoever makes the files of a simulation knows that they do no harm.
"""

from __future__ import annotations

from epost.apps.mail.attached.kinds import FILE_CHARACTERS_MAX, FileKind
from epost.apps.mail.attached.reading import read_pieces


async def read_here(kind: FileKind, octets: bytes) -> str:
    """Return the text of a file."""
    return "\n".join(read_pieces(kind, octets, FILE_CHARACTERS_MAX))[:FILE_CHARACTERS_MAX]
