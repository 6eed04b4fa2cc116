"""Which files are read."""

from __future__ import annotations

import pytest

from epost.apps.mail.attached.kinds import FileKind, kind_of
from epost.apps.mail.mime.content import read_content
from epost.apps.mail.mime.headers import read_fields

WORD = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        (b"application/pdf", FileKind.PDF),
        (WORD, FileKind.OFFICE),
        (b"application/vnd.oasis.opendocument.text", FileKind.OFFICE),
        (b"application/octet-stream; name=Minutes.ODT", FileKind.OFFICE),
        (b"application/octet-stream; name=a.b.pdf", FileKind.PDF),
        (b"application/octet-stream; name=pdf.exe", None),
        (b"application/octet-stream", None),
        (b"image/png; name=x", None),
    ],
)
def test_a_file_is_read_by_its_type_or_by_its_name(
    content_type: bytes, kind: FileKind | None
) -> None:
    fields = read_fields(b"Content-Type: " + content_type + b"\r\n\r\n")
    assert kind_of(read_content(fields)) is kind
