"""Disks that do one thing wrong each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from epost.foundation.ids import BlockKind, Handle
from epost.foundation.ports import PutBlock, Role, Write
from epost.past.pins import NOTES as PIN_NOTES
from epost.simulation.vault import SimulatedVault

HELD_FOR_OTHERS = Role.REPLICA | Role.STAND_IN


class ForgetfulVault(SimulatedVault):
    """Says that it keeps the content blocks of others, and does not."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([write for write in writes if not _is_for_others(write)])


def _is_for_others(write: Write) -> bool:
    return (
        isinstance(write, PutBlock)
        and write.entry.handle.kind is BlockKind.CONTENT
        and not write.entry.roles & ~HELD_FOR_OTHERS
    )


class ObstinateVault(SimulatedVault):
    """Keeps the first version of every public-key block of others that it was given."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([write for write in writes if not self._is_update(write)])

    def _is_update(self, write: Write) -> bool:
        return (
            isinstance(write, PutBlock)
            and write.entry.handle.kind is BlockKind.KEY
            and not write.entry.roles & ~HELD_FOR_OTHERS
            and self.entry(write.entry.handle) is not None
        )


class GarblingVault(SimulatedVault):
    """Writes another body than the replica accepted, for every tenth content block of others."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([_garbled(write) for write in writes])


def _garbled(write: Write) -> Write:
    if not _is_for_others(write) or not isinstance(write, PutBlock):
        return write
    is_hit = write.entry.handle.digest[-1] % 10 == 0
    return replace(write, body=bytes(write.entry.size)) if is_hit else write


class RollingBackVault(SimulatedVault):
    """Writes the first version that it was given over every newer one of a public-key block."""

    def commit(self, writes: Sequence[Write]) -> asyncio.Future[None]:
        return super().commit([self._first_of(write) for write in writes])

    def _first_of(self, write: Write) -> Write:
        if not isinstance(write, PutBlock) or write.entry.handle.kind is not BlockKind.KEY:
            return write
        first = self._firsts.setdefault(write.entry.handle, write)
        return first if write.entry.version > first.entry.version + 1 else write

    @cached_property
    def _firsts(self) -> dict[Handle, PutBlock]:
        return {}


class PinlessVault(SimulatedVault):
    """Does not give back which versions were seen before the start."""

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        return () if table == PIN_NOTES else super().notes(table)
