"""Small files as programs write them, made by hand: PDF, and ZIP archives of XML."""

from __future__ import annotations

import io
import zipfile
import zlib


def pdf_object(number: int, value: bytes) -> bytes:
    """An object of a PDF."""
    return b"%d 0 obj\n%b\nendobj\n" % (number, value)


def pdf_stream(
    number: int, content: bytes, entries: bytes = b"", *, deflated: bool = True
) -> bytes:
    """A stream of a PDF, deflated or as it is."""
    stored = zlib.compress(content) if deflated else content
    entries += b"/Filter /FlateDecode" if deflated else b""
    head = b"<< /Length %d %b >>\nstream\n" % (len(stored), entries)
    return pdf_object(number, head + stored + b"\nendstream")


def pdf(content: bytes, font: bytes = b"<< /Type /Font /Subtype /Type1 >>", *more: bytes) -> bytes:
    """A document of one page, with one font, `/F1`; `more` are objects from number 10 on."""
    page = b"<< /Type /Page /Contents 2 0 R /Resources << /Font << /F1 3 0 R >> >> >>"
    return b"".join(
        (b"%PDF-1.7\n", pdf_object(1, page), pdf_stream(2, content), pdf_object(3, font), *more)
    )


def archive(*members: tuple[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive."""
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", method) as writer:
        for name, text in members:
            writer.writestr(name, text)
    return octets.getvalue()
