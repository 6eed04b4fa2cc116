"""Finds the octets of an IMAP section, such as 1.2.MIME (RFC 3501 section 6.4.5)."""

from collections.abc import Sequence
from enum import StrEnum

from epost.apps.mail.mime.structure import Part, PartKind, Span


class SectionText(StrEnum):
    """What of a part is wanted; CONTENT is the bare part number, or the whole mail."""

    CONTENT = ""
    HEADER = "HEADER"
    TEXT = "TEXT"
    MIME = "MIME"


def find_part(mail: Part, numbers: Sequence[int]) -> Part | None:
    """Return the part of a number such as (1, 2), or None if the mail has no such part.

    A mail or nested mail that is not a multipart has one part, number 1: its own body.
    """
    part, is_mail = mail, True
    for number in numbers:
        if part.kind is PartKind.MESSAGE and not is_mail:
            part, is_mail = part.children[0], True
        if part.kind is PartKind.MULTIPART:
            if not 1 <= number <= len(part.children):
                return None
            part, is_mail = part.children[number - 1], False
        elif is_mail and number == 1:
            is_mail = False
        else:
            return None
    return part


def locate(mail: Part, numbers: Sequence[int], text: SectionText) -> Span | None:
    """Return where a section's octets are, or None if there is no such section.

    HEADER and TEXT below a number need a nested mail; MIME needs a number.
    """
    part = find_part(mail, numbers)
    if part is None:
        return None
    if text is SectionText.MIME:
        return part.header if numbers else None
    if text is SectionText.CONTENT:
        return part.body if numbers else Span(mail.header.start, mail.body.end)
    if numbers:
        if part.kind is not PartKind.MESSAGE:
            return None
        part = part.children[0]
    return part.header if text is SectionText.HEADER else part.body
