"""Which attached files are read for their text."""

from __future__ import annotations

from enum import IntEnum

from epost.apps.mail.mime.content import Content

FILE_BYTES_MAX = 16 * 1024 * 1024
"""Encoded octets of a file beyond this: only its name is searched."""
FILE_CHARACTERS_MAX = 256 * 1024
"""As much text of one file is wanted."""


class FileKind(IntEnum):
    """How a file is read."""

    PDF = 1
    OFFICE = 2


_OFFICE = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/vnd.ms-word.document.macroenabled",
    "application/vnd.ms-excel.sheet.macroenabled",
)
_BY_ENDING = {
    "pdf": FileKind.PDF,
    **dict.fromkeys(("docx", "docm", "xlsx", "xlsm", "pptx", "odt", "ods", "odp"), FileKind.OFFICE),
}


def kind_of(content: Content) -> FileKind | None:
    """Return how a file is read, by its type; by its name if the type says nothing.

    Some programs call all that they attach application/octet-stream.
    """
    if content.media_type == "application/pdf":
        return FileKind.PDF
    if content.media_type.startswith(_OFFICE):
        return FileKind.OFFICE
    return _BY_ENDING.get((content.file_name or "").rpartition(".")[2].lower())
