"""Writes mail records: stamped, into the device's log, and visible before the caller goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeVar

from epost.apps.mail.log.ledger import MODSEQS_LEFT_MIN, Ledger
from epost.apps.mail.log.records import ModseqRange, Record, Stamp, encode_record
from epost.apps.mail.ports import Appending, DeviceLog
from epost.foundation.errors import UnavailableError
from epost.past.durability import Durability
from epost.post.app_ids import AppId
from epost.post.logs.entries import Entry

T = TypeVar("T")

ENCODED_PER_SLICE = 8
MODSEQS_RESERVED = 1 << 20
"""MODSEQs reserved at once: more than a year of an ordinary mailbox."""


class Written:
    """Records that show to everybody here already, on their way to the other machines."""

    def __init__(self, append: Appending) -> None:
        self._append = append

    async def durable(self) -> Durability:
        """Wait until they are as safe as can be said; raises what kept them from it."""
        return (await asyncio.shield(self._append)).durability


class Journal:
    """Writes the records of this device.

    Who looks at folders and then writes what follows from it holds `turn` until `write` returns:
    so nobody decides on what another is about to change.
    """

    def __init__(self, log: DeviceLog, ledger: Ledger) -> None:
        self.turn = asyncio.Lock()
        self._log = log
        self._ledger = ledger
        self._device = 0
        self._lamport = 0

    def write_as(self, device: int) -> None:
        """Stamp records as this device."""
        self._device = device

    def stamp(self) -> Stamp:
        """Return a stamp later than everything that this device has seen or done."""
        self._lamport = max(self._lamport, self._ledger.state.lamport) + 1
        return Stamp(self._lamport, self._device)

    async def write(self, records: Sequence[Record]) -> Written:
        """Append records, all or none; return when they are on this disk and in the index.

        Goes on if the caller is cancelled. Raises DiskFull, and what else the log raises.
        """
        payloads = []
        for number, record in enumerate(records, 1):
            payloads.append(encode_record(record))
            if number % ENCODED_PER_SLICE == 0:
                await asyncio.sleep(0)
        append = self._log.submit([Entry(AppId.MAIL, payload) for payload in payloads])
        shows = self._ledger.expect(payloads[-1])
        append.add_done_callback(lambda done: self._on_appended(done, payloads[-1]))
        await asyncio.shield(shows)
        return Written(append)

    async def reserve_modseqs(self) -> None:
        """Reserve more MODSEQs in the log, if it is time for it."""
        state = self._ledger.state
        if state.modseq_end - state.modseq_next < MODSEQS_LEFT_MIN:
            first = max(state.modseq_end, state.modseq_next)
            await self.write([ModseqRange(first + MODSEQS_RESERVED)])

    def _on_appended(self, append: asyncio.Future[Any], last: bytes) -> None:
        stopped = UnavailableError("the node is stopping")
        error = stopped if append.cancelled() else append.exception()
        if error is not None:
            self._ledger.forget_expected(last, error)
