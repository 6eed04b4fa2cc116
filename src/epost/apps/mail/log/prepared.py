"""Renditions of mails whose records are about to be written: such a mail is read once only.

They may be made as late as they are asked for: what others wait for then goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from epost.apps.mail.index import Rendition

PREPARED_MAX = 1_000
"""As many mails as one APPEND may bring (RFC 3502)."""
PREPARED_OCTETS_MAX = 1 << 24
"""Of their texts, about; what is dropped is rendered again when the index has the mail."""


Making = Callable[[], Rendition]
"""Makes a rendition when it is asked for; never raises."""


class Prepared(Mapping[bytes, Rendition]):
    """The newest renditions by mail, within bounds."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[Rendition | Making, int]] = {}
        self._octets = 0

    def __getitem__(self, email: bytes) -> Rendition:
        kept, octets = self._kept[email]
        if isinstance(kept, Rendition):
            return kept
        made = kept()
        self._kept[email] = made, octets
        return made

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, email: bytes, rendition: Rendition) -> None:
        """Keep one, if need be in place of the oldest."""
        self._keep(email, rendition, _octets(rendition))

    def add_later(self, email: bytes, make: Making, octets: int) -> None:
        """Keep what makes one out of a mail of so many octets; as `add`."""
        self._keep(email, make, octets)

    def _keep(self, email: bytes, kept: Rendition | Making, octets: int) -> None:
        self.drop(email)
        self._kept[email] = kept, octets
        self._octets += octets
        while len(self) > PREPARED_MAX or (self._octets > PREPARED_OCTETS_MAX and len(self) > 1):
            self.drop(next(iter(self)))

    def drop(self, email: bytes) -> None:
        """Keep one no longer, if it is here."""
        _, octets = self._kept.pop(email, (None, 0))
        self._octets -= octets


def _octets(rendition: Rendition) -> int:
    header = rendition.header or b""
    return len(header) + len(rendition.header_text) + len(rendition.body_text)
