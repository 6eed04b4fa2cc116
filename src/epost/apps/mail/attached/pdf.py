"""The text of PDF files, by pypdf: complete, and as slow as a file wishes."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

from pypdf import PdfReader

PAGES_MAX = 1_000

# It tells of every fault of a file; nobody reads that.
logging.getLogger("pypdf").setLevel(logging.CRITICAL + 1)


def pages_of_pdf(octets: bytes) -> Iterator[str]:
    """Yield the text of each page; one that cannot be read is passed over.

    A file that is encrypted is read if its password is empty. Raises whatever pypdf raises.
    """
    reader = PdfReader(io.BytesIO(octets))
    for number in range(min(len(reader.pages), PAGES_MAX)):
        try:
            text = reader.pages[number].extract_text()
        except Exception:  # noqa: S112 - its faults are of many classes
            continue
        yield text.replace("\0", "")
