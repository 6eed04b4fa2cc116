"""Which reader reads which file."""

from collections.abc import Callable

from epost.apps.mail.attached.office import text_of_office
from epost.apps.mail.attached.pdf import text_of_pdf
from epost.apps.mail.mime.content import Content

FILE_BYTES_MAX = 16 * 1024 * 1024
"""Encoded octets of a file beyond this: only its name is searched."""

Reader = Callable[[bytes, int], str]
"""Reads a decoded file, up to a number of characters."""

_OFFICE = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
    "application/vnd.ms-word.document.macroenabled",
    "application/vnd.ms-excel.sheet.macroenabled",
)
_BY_ENDING: dict[str, Reader] = {
    "pdf": text_of_pdf,
    **dict.fromkeys(("docx", "docm", "xlsx", "xlsm", "pptx", "odt", "ods", "odp"), text_of_office),
}


def reader_of(content: Content) -> Reader | None:
    """Return what reads a file, by its type; by its name if the type says nothing.

    Some programs call all that they attach application/octet-stream.
    """
    if content.media_type == "application/pdf":
        return text_of_pdf
    if content.media_type.startswith(_OFFICE):
        return text_of_office
    return _BY_ENDING.get((content.file_name or "").rpartition(".")[2].lower())
