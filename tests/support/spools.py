"""Spools for tests: a real one, and one without room."""

from __future__ import annotations

from pathlib import Path

from epost.apps.mail.ports import in_the_loop
from epost.daemon.spool import DiskSpool
from epost.foundation.errors import DiskFull
from epost.foundation.octets import Octets
from epost.foundation.spool import SpoolWriter

MIB = 1024 * 1024


def disk_spool(folder: Path, mail_bytes_max: int = 16 * MIB) -> DiskSpool:
    """A spool on disk, which works in the event loop."""
    return DiskSpool(folder / "spool", in_the_loop, mail_bytes_max)


class FullSpool:
    """Takes a megabyte, then nothing more."""

    def begin(self) -> SpoolWriter:
        return _FullWriter()


class _FullWriter:
    def __init__(self) -> None:
        self._size = 0

    def write(self, octets: bytes, /) -> None:
        self._size += len(octets)

    async def drain(self) -> None:
        if self._size > MIB:
            raise DiskFull("no room left on this machine's disk")

    async def finish(self) -> Octets:
        return bytes(self._size)
