"""Reads attached files; for a process that may be ended at any moment.

A hostile file can make the libraries here raise anything, or take all the time and memory there
is: the daemon never imports this module.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from epost.apps.mail.attached.kinds import FileKind
from epost.apps.mail.attached.office import text_of_office
from epost.apps.mail.attached.pdf import pages_of_pdf


def read_pieces(kind: FileKind, octets: bytes, characters_max: int) -> Iterator[str]:
    """Yield the text of a file as it is found, not more than so many characters.

    What cannot be read ends it: what was found before stands.
    """
    room = characters_max
    try:
        for piece in _pieces(kind, octets, characters_max):
            yield piece[:room]
            room -= len(piece)
            if room <= 0:
                return
    except Exception:
        return


def _pieces(kind: FileKind, octets: bytes, characters_max: int) -> Iterator[str]:
    match kind:
        case FileKind.PDF:
            return pages_of_pdf(octets)
        case FileKind.OFFICE:
            return iter((text_of_office(octets, characters_max),))
    assert_never(kind)
