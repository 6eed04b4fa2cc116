"""Searching mails for a text: case-insensitive substrings of decoded text (RFC 3501 6.4.4)."""

from __future__ import annotations

from collections.abc import Iterator

from epost.apps.mail.attached.kinds import FILE_BYTES_MAX, FileKind, kind_of
from epost.apps.mail.attached.markup import text_of_html
from epost.apps.mail.mailbox import TextMatch, TextPlace
from epost.apps.mail.mime.addresses import mailboxes
from epost.apps.mail.mime.decoding import leaf_text
from epost.apps.mail.mime.headers import (
    HEADER_BYTES_READ_MAX,
    HeaderFields,
    decode_words,
    read_fields,
)
from epost.apps.mail.mime.structure import Part, PartKind
from epost.foundation.octets import Octets

BODY_CHARACTERS_MAX = 256 * 1024
"""Text of a mail beyond this is not searched, nor text of its files beyond as much again."""
_ADDRESS_FIELDS = frozenset({"from", "to", "cc", "bcc"})


def header_text(fields: HeaderFields) -> str:
    """Return header fields as they are searched: decoded and case-folded, one a line.

    Addresses with comments within stand there once more without them, as ENVELOPE shows them.
    """
    decoded = [(field.name, decode_words(field.value).replace("\n", " ")) for field in fields]
    plain = (
        (name, f"{mailbox.local_part}@{mailbox.domain}")
        for name, value in decoded
        if name in _ADDRESS_FIELDS and "(" in value
        for mailbox in mailboxes(value)
    )
    return searchable("".join(f"{name}: {value}\n" for name, value in (*decoded, *plain)))


def body_text(octets: Octets, mail: Part) -> str:
    """Return the text of a mail as it is searched: decoded and case-folded.

    Of files that are read for their text only the names are in it.
    """
    pieces: list[str] = []
    room = BODY_CHARACTERS_MAX
    for piece in _texts(octets, mail):
        pieces.append(piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return searchable("\n".join(pieces))


def files_to_read(mail: Part) -> Iterator[tuple[FileKind, Part]]:
    """Yield the files of a mail that are read for their text, after the mail shows."""
    for part in mail.leaves():
        kind = kind_of(part.content)
        is_text = part.content.media_type.startswith("text/")
        if kind is not None and not is_text and len(part.body) <= FILE_BYTES_MAX:
            yield kind, part


def matches(match: TextMatch, header: str, body: str) -> bool:
    """Does a mail with these searchable texts match?"""
    wanted = match.text.casefold()
    if match.place is TextPlace.BODY:
        return wanted in body
    if match.place is TextPlace.TEXT:
        return wanted in header or wanted in body
    name = f"{match.field}: "
    if wanted not in header:
        return False
    return any(line.startswith(name) and wanted in line[len(name) :] for line in header.split("\n"))


def _texts(octets: Octets, part: Part) -> Iterator[str]:
    if part.kind is PartKind.LEAF:
        yield from _leaf_texts(octets, part)
    for child in part.children:
        if part.kind is PartKind.MESSAGE:  # the header of a nested mail is text of this one
            yield header_text(read_fields(child.header.cut(octets, HEADER_BYTES_READ_MAX)))
        yield from _texts(octets, child)


def _leaf_texts(octets: Octets, part: Part) -> Iterator[str]:
    """Yield the name of a file, and the text of what has some."""
    content = part.content
    if content.is_attachment and (name := content.file_name):
        yield name
    if content.media_type.startswith("text/"):
        text = leaf_text(octets, part, BODY_CHARACTERS_MAX)
        yield text_of_html(text) if content.media_type == "text/html" else text


def searchable(text: str) -> str:
    """Return a text case-folded, with what is no character replaced."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return valid.casefold()
