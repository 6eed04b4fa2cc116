"""The node's own vault as stories see it: writes through the driver's turns, notes at once."""

from __future__ import annotations

from collections.abc import Sequence

from epost.foundation.errors import DiskFull
from epost.foundation.ports import Vault, Write
from epost.node.driver import Driver

RESERVE_BYTES = 32 * 1024 * 1024
"""Left for small records, the index and what is under way: a commit that fails stops the node, so
new mail is refused before."""


class NodeDisk:
    """One order of durability for machines and stories alike."""

    def __init__(self, driver: Driver, vault: Vault) -> None:
        self._driver = driver
        self._vault = vault

    async def durable(self, writes: Sequence[Write]) -> None:
        """Return when these writes, and all asked for earlier, are on disk; raises DiskFull."""
        await self._driver.durable(writes)

    def write_later(self, writes: Sequence[Write]) -> None:
        """Write soon what nobody is ever told of, and what may be lost in a crash."""
        self._driver.write_later(writes)

    def require_room(self, size_bytes: int) -> None:
        """Raise DiskFull if new mail of this size would leave the disk too little."""
        if self._vault.room_bytes() < RESERVE_BYTES + size_bytes:
            raise DiskFull("no room left on this machine's disk")

    def wake(self) -> None:
        """Have the outbox performed soon."""
        self._driver.wake()

    def note(self, table: str, key: bytes) -> bytes | None:
        """Return a note, or None."""
        return self._vault.note(table, key)

    def notes(self, table: str) -> Sequence[tuple[bytes, bytes]]:
        """Return all notes of a table in key order."""
        return self._vault.notes(table)
