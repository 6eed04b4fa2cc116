"""What a session needs of a link, whatever carries it."""

from __future__ import annotations

from typing import Protocol


class LinkEvents(Protocol):
    """What happens on a link; implemented by the session."""

    def on_bytes(self, view: memoryview) -> int:
        """Take bytes in order; return how many are done with.

        The rest comes again in front of what arrives next. The view is only valid during the call.
        """
        ...

    def on_congested(self, congested: bool) -> None:
        """The link's own buffer is full, or has room again."""

    def on_lost(self, text: str) -> None:
        """The link is gone; nothing follows."""


class Link(Protocol):
    """Bytes to and from one peer whose certificate has been verified against the ring's."""

    @property
    def leaf(self) -> bytes:
        """The peer's DER certificate."""
        ...

    def attach(self, events: LinkEvents) -> None:
        """Say who takes the bytes; none are delivered before."""

    def write(self, data: bytes) -> None:
        """Send; never blocks."""

    def pause_reading(self) -> None:
        """Take no bytes for now: the peer will have to wait."""

    def resume_reading(self) -> None:
        """Take bytes again."""

    def close(self) -> None:
        """Send what was written, then end the link."""

    def abort(self) -> None:
        """End the link at once."""
