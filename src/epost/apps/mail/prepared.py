"""Renditions of mails whose records are about to be written: such a mail is read once only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from epost.apps.mail.index import Rendition

PREPARED_MAX = 1_000
"""As many mails as one APPEND may bring (RFC 3502)."""
PREPARED_OCTETS_MAX = 1 << 24
"""Of their texts, about; what is dropped is rendered again when the index has the mail."""


class Prepared(Mapping[bytes, Rendition]):
    """The newest renditions by mail, within bounds."""

    def __init__(self) -> None:
        self._renditions: dict[bytes, Rendition] = {}
        self._octets = 0

    def __getitem__(self, email: bytes) -> Rendition:
        return self._renditions[email]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._renditions)

    def __len__(self) -> int:
        return len(self._renditions)

    def add(self, email: bytes, rendition: Rendition) -> None:
        """Keep one, if need be in place of the oldest."""
        self.drop(email)
        self._renditions[email] = rendition
        self._octets += _octets(rendition)
        while len(self) > PREPARED_MAX or (self._octets > PREPARED_OCTETS_MAX and len(self) > 1):
            self.drop(next(iter(self)))

    def drop(self, email: bytes) -> None:
        """Keep one no longer, if it is here."""
        rendition = self._renditions.pop(email, None)
        if rendition is not None:
            self._octets -= _octets(rendition)


def _octets(rendition: Rendition) -> int:
    header = rendition.header or b""
    return len(header) + len(rendition.header_text) + len(rendition.body_text)
