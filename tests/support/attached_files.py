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
    return b"".join(
        (
            b"%PDF-1.7\n",
            pdf_object(1, _PAGE % 2),
            pdf_stream(2, content),
            pdf_object(3, font),
            pdf_object(4, b"<< /Type /Catalog /Pages 5 0 R >>"),
            pdf_object(5, b"<< /Type /Pages /Kids [ 1 0 R ] /Count 1 >>"),
            *more,
            b"trailer << /Root 4 0 R >>\nstartxref\n0\n%%EOF\n",
        )
    )


_PAGE = b"<< /Type /Page /Parent 5 0 R /Contents %d 0 R /Resources << /Font << /F1 3 0 R >> >> >>"


def pdf_of_pages(*contents: bytes) -> bytes:
    """A document of several pages."""
    pages = b"".join(
        pdf_object(10 + 2 * n, _PAGE % (11 + 2 * n)) + pdf_stream(11 + 2 * n, content)
        for n, content in enumerate(contents)
    )
    kids = b" ".join(b"%d 0 R" % (10 + 2 * n) for n in range(len(contents)))
    tree = pdf_object(5, b"<< /Type /Pages /Kids [ %b ] /Count %d >>" % (kids, len(contents)))
    return pdf(b"", b"<< /Type /Font /Subtype /Type1 >>", pages, tree)


def archive(*members: tuple[str, str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive."""
    octets = io.BytesIO()
    with zipfile.ZipFile(octets, "w", method) as writer:
        for name, text in members:
            writer.writestr(name, text)
    return octets.getvalue()
