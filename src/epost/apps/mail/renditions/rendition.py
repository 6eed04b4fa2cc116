"""What is made of a mail once, when it comes to this device: its renditions for IMAP and search."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from epost.apps.mail.index import Rendition
from epost.apps.mail.mime.headers import (
    HEADER_BYTES_READ_MAX,
    HeaderFields,
    read_date,
    read_fields,
)
from epost.apps.mail.mime.structure import Part, parse_structure
from epost.apps.mail.ports import Offload, work_on
from epost.apps.mail.renditions.rendering import render
from epost.apps.mail.renditions.text_search import body_text, files_to_read, header_text
from epost.foundation.octets import Octets

HEADER_BYTES_KEPT_MAX = 1024 * 1024
"""Longer headers are read out of the mail itself whenever they are asked for."""
QUICK_BYTES_MAX = 16 * 1024
"""Mails up to here are kept as they are until their rendition is needed."""


async def read_mail(octets: Octets, offload: Offload) -> tuple[Part, Rendition]:
    """Return the tree of parts of a mail and what is made of it.

    It is made beside the event loop if the mail is large.
    """
    return await work_on(len(octets), lambda: _read(octets), offload)


async def begin_to_read(
    octets: Octets, offload: Offload
) -> tuple[Part, Callable[[HeaderFields], Rendition]]:
    """Return the tree of parts of a mail, and what makes the rest with its header at hand.

    What takes little is made only then, what takes long before this returns.
    """
    if len(octets) <= QUICK_BYTES_MAX:
        structure = parse_structure(octets)
        return structure, partial(make_rendition, octets, structure)
    structure, rendition = await read_mail(octets, offload)
    return structure, lambda _header: rendition


def make_rendition(
    octets: Octets, structure: Part | None = None, header: HeaderFields | None = None
) -> Rendition:
    """Render a mail; takes about 1 ms for 10 KB of text, 50 ms for 25 MB."""
    mail = structure or parse_structure(octets)
    fields = header or read_fields(mail.header.cut(octets, HEADER_BYTES_READ_MAX))
    return Rendition(
        rendered=render(octets, mail, fields),
        header=mail.header.cut(octets) if len(mail.header) <= HEADER_BYTES_KEPT_MAX else None,
        sent=read_date(fields.first("date") or ""),
        header_text=header_text(fields),
        body_text=body_text(octets, mail),
        brings_files=any(files_to_read(mail)),
    )


def _read(octets: Octets) -> tuple[Part, Rendition]:
    structure = parse_structure(octets)
    return structure, make_rendition(octets, structure)
