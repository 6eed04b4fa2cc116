"""Where octets wait that are too many to be held in memory: a port, like those of `ports`.

Written in order, then read as `Octets` as often as is needed. What is in a spool is gone when
nobody holds it any more, and when the program ends: nothing in it was promised to anybody.
"""

from __future__ import annotations

from typing import Protocol

from epost.foundation.octets import Octets


class SpoolWriter(Protocol):
    """Takes octets; like a stream, it is drained by whoever writes much."""

    def write(self, octets: bytes, /) -> None:
        """Take more octets; they are in memory until `drain`."""

    async def drain(self) -> None:
        """Wait until few octets are in memory; raises DiskFull."""

    async def finish(self) -> Octets:
        """Return what was written, and take no more; raises DiskFull."""
        ...


class Spool(Protocol):
    """The spool of a node."""

    def begin(self) -> SpoolWriter:
        """Begin a new run of octets; it is dropped if it is not finished."""
        ...


class MemorySpool:
    """Keeps everything in memory: for simulations, whose mails are small."""

    def begin(self) -> SpoolWriter:
        """Begin a new run of octets."""
        return _MemoryWriter()


class _MemoryWriter:
    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, octets: bytes, /) -> None:
        self._written.append(octets)

    async def drain(self) -> None:
        pass

    async def finish(self) -> Octets:
        return b"".join(self._written)


IN_MEMORY: Spool = MemorySpool()
