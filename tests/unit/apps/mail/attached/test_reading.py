"""Which files are read."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.office import text_of_office
from epost.apps.mail.attached.pdf import text_of_pdf
from epost.apps.mail.attached.reading import Reader, reader_of
from epost.apps.mail.mime.content import read_content
from epost.apps.mail.mime.headers import read_fields

WORD = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("content_type", "reader"),
    [
        (b"application/pdf", text_of_pdf),
        (WORD, text_of_office),
        (b"application/vnd.oasis.opendocument.text", text_of_office),
        (b"application/octet-stream; name=Minutes.ODT", text_of_office),
        (b"application/octet-stream; name=a.b.pdf", text_of_pdf),
        (b"application/octet-stream; name=pdf.exe", None),
        (b"application/octet-stream", None),
        (b"image/png; name=x", None),
    ],
)
def test_a_file_is_read_by_its_type_or_by_its_name(
    content_type: bytes, reader: Reader | None
) -> None:
    fields = read_fields(b"Content-Type: " + content_type + b"\r\n\r\n")
    assert reader_of(read_content(fields)) is reader
